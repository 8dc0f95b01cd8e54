/* The steps of a connection that its protocol has no part in: handshake, end
 * (worker/conn/conn.h). */
#include "base/conf/conf.h"
#include "base/log.h"
#include "worker/conn/conn_state.h"
#include "worker/core/core.h"
#include "worker/tls/tls.h"

void conn_close_hard(struct conn *c)
{
    stream_reset(&c->stream);
    c->state = CONN_CLOSED;
}

void conn_close_politely(struct conn *c, bool unread)
{
    unread |= c->stream.readable;
    stream_shutdown(&c->stream, unread);
    c->state = unread ? CONN_LINGER : CONN_CLOSED;
    if (unread)
        conn_arm(c, WORKER_LINGER_MS);
}

void conn_close_now(struct conn *c, enum exchange_end end, const char *why)
{
    if (c->protocol->cut(c, end, why) || c->writing)
        stream_reset(&c->stream);
    c->state = CONN_CLOSED;
}

/* Is it the client's doing, and no accident of versions, certificates or a port scan? */
static bool is_offence(enum handshake_failure failure)
{
    return failure == HANDSHAKE_TIMEOUT || failure == HANDSHAKE_NOT_TLS ||
           failure == HANDSHAKE_OTHER;
}

void conn_handshake_failed(struct conn *c, enum handshake_failure failure, const char *why)
{
    static struct log_gate gate[HANDSHAKE_FAILURES];
    struct worker_row *row = c->worker->row;
    const char *name = handshake_failure_name(failure);

    count_add(&row->handshake_errors, 1);
    count_add(&row->handshake_failures[failure], 1);
    if (is_offence(failure) || (failure == HANDSHAKE_CLOSED && tls_conn_heard(c->stream.tls)))
        conn_offend(c);
    /* A client that only checks whether the port is open is not worth a log line. */
    if (tls_conn_heard(c->stream.tls) && log_wants(LOG_LEVEL_INFO) &&
        log_gate_open(&gate[failure]))
        log_info("TLS handshake with %s failed: %s (%s)", c->peer.ip, name, why);
    else
        log_debug("TLS handshake with %s failed: %s (%s)", c->peer.ip, name, why);
    if (failure == HANDSHAKE_PLAIN_HTTP)
        h1_refuse_plain_http(c);
    else
        c->state = CONN_CLOSED;
}

static bool step_handshake(struct conn *c)
{
    struct worker *worker = c->worker;
    int done;

    if (!c->stream.readable)
        return false;
    done = stream_handshake(&c->stream);
    if (done < 0) {
        conn_handshake_failed(c, tls_conn_failure(c->stream.tls),
                              tls_conn_error(c->stream.tls));
        return true;
    }
    if (done == 0)
        return false;
    count_add(&worker->row->handshakes, 1);
    if (tls_conn_alpn(c->stream.tls) == TLS_ALPN_ACME) { /* the CA has seen what it needs */
        c->state = CONN_CLOSED;
        return true;
    }
    if (tls_conn_resumed(c->stream.tls))
        count_add(&worker->row->handshakes_resumed, 1);
    c->peer.handshake_us = worker->loop.now_us - c->peer.accepted_us;
    c->state = CONN_IDLE;
    if (tls_conn_alpn(c->stream.tls) == TLS_ALPN_H2) {
        c->protocol->release(c);
        c->protocol = c->protocol->h2;
        c->protocol->init(c);
    }
    conn_arm_wait(c);
    return true;
}

void conn_half_closed(struct conn *c)
{
    if (c->probed)
        return;
    c->probed = true;
    stream_half_closed(&c->stream);
}

/* One read per step, so that a client that sends without end gets only its turn. */
static bool step_linger(struct conn *c)
{
    ssize_t got = STREAM_AGAIN;

    if (c->stream.readable)
        got = stream_read(&c->stream, worker_body(c->worker), WORKER_BODY);
    if (got == STREAM_AGAIN)
        return false;
    if (got <= 0)
        c->state = CONN_CLOSED;
    return true;
}

bool conn_step(struct conn *c)
{
    switch ((enum conn_state)c->state) {
    case CONN_PROXY:
        return conn_proxy_step(c);
    case CONN_HANDSHAKE:
        return step_handshake(c);
    case CONN_IDLE:
    case CONN_HEAD:
    case CONN_EXCHANGE:
        return c->protocol->step(c);
    case CONN_LINGER:
        return step_linger(c);
    case CONN_CLOSED:
        break;
    }
    return false;
}
