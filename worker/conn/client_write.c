/* What is written to a client: heads, bodies, our own responses (worker/conn/client.h). */
#include <string.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/container.h"
#include "base/log.h"
#include "worker/conn/client_state.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"
#include "worker/core/request_id.h"
#include "worker/http/h1_write.h"
#include "worker/http/headers.h"
#include "worker/tls/tls.h"

void client_waits(struct client *c, size_t waiting)
{
    if (!client_of_status(c))
        c->worker->waiting += waiting - c->waiting;
    c->waiting = waiting;
}

enum { CLIENT_LOOK_MS = 1000 }; /* minimum time between two checks of a slow reader */

/* ---- slow readers: their responses are kept as long as they read at all */

bool client_has_room(const struct client *c)
{
    const struct worker *worker = c->worker;
    const struct conf_limits *limits = &worker->conf->limits;

    return !c->tunnel && c->waiting < limits->response_buffer &&
           worker->waiting < limits->response_memory &&
           worker->collecting_bytes + worker->waiting < limits->memory / 4 * 3 &&
           worker->buffered + worker->waiting < limits->memory;
}

/* Milliseconds until the next check whether it reads. */
static uint32_t left_to_read(const struct client *c)
{
    uint32_t left = pace_left(&c->reads, c->worker->loop.now_ms, c->transport.send_ms,
                              c->worker->conf->limits.min_read_rate);

    /* A client that has used up its time still gets a moment to show that it reads. */
    if (left < CLIENT_LOOK_MS)
        left = CLIENT_LOOK_MS;
    return left < c->transport.send_ms ? left : c->transport.send_ms;
}

static void begin_waiting(struct client *c)
{
    c->writing = true;
    /* Its request body is not read meanwhile. */
    pace_got(&c->sends, c->worker->loop.now_ms, 0, c->worker->conf->limits.min_body_rate);
    c->handed = stream_handed(&c->stream);
    c->taken = stream_acknowledged(&c->stream);
    pace_wait(&c->reads, c->worker->loop.now_ms);
    client_arm(c, left_to_read(c));
}

void client_flushed(struct client *c)
{
    uint64_t handed = stream_handed(&c->stream);

    c->writing = false;
    client_waits(c, 0);
    pace_got(&c->reads, c->worker->loop.now_ms, handed - c->handed,
             c->worker->conf->limits.min_read_rate);
    client_arm(c, 0);
}

const char *client_late(struct client *c)
{
    uint64_t now = c->worker->loop.now_ms, taken = stream_acknowledged(&c->stream);
    uint64_t more = taken > c->taken ? taken - c->taken : 0;

    /* The socket's own buffer may hold more than the client reads in this time: only bytes that
     * the client has acknowledged count. */
    pace_got(&c->reads, now, more, c->worker->conf->limits.min_read_rate);
    pace_wait(&c->reads, now);
    c->taken = taken;
    c->handed = stream_handed(&c->stream);
    if (more && pace_left(&c->reads, now, c->transport.send_ms,
                          c->worker->conf->limits.min_read_rate)) {
        client_arm(c, left_to_read(c));
        return NULL;
    }
    count_add(&c->worker->row->slow_readers, 1);
    return more ? "the client read too slowly (limits.min_read_rate)"
                : "the client does not read the response";
}

/* Some bytes wait. 1: the backend must wait for the client, 2: it need not. */
static int keep_waiting(struct client *c, size_t waiting)
{
    const struct conf_limits *limits = &c->worker->conf->limits;

    client_waits(c, waiting);
    if (!c->writing)
        begin_waiting(c);
    if (client_has_room(c))
        return 2;
    if (!c->tunnel && waiting < limits->response_buffer)
        worker_refused_memory(c->worker, c->worker->waiting >= limits->response_memory
                                             ? "limits.response_memory"
                                             : "limits.memory");
    return 1;
}

/* One write; arms the client's deadline if the socket does not take everything. last: last
 * bytes of this response. */
static int client_write_put(struct client *c, const char *bytes, size_t n, bool last)
{
    ssize_t waiting = last && !c->keep ? stream_write_last(&c->stream, bytes, n)
                                       : stream_write(&c->stream, bytes, n);

    c->transport.wire_out += n;
    if (waiting < 0) {
        c->broken = true;
        return -1;
    }
    if (waiting > 0)
        return keep_waiting(c, (size_t)waiting);
    if (c->writing)
        client_flushed(c);
    return 0;
}

/* Can the connection go on after a response that begins now? */
static bool goes_on(const struct client *c)
{
    return c->keep && c->body_done && !c->worker->draining;
}

static struct client *client_of(struct transport *t)
{
    return container_of(t, struct client, transport);
}

/* Writes the head to head_scratch. Its length, or -1. */
static ssize_t client_write_head(struct client *c, const struct http_head *head)
{
    struct rewrite_out out;

    rewrite_out_init(&out, c->worker->head_scratch, WORKER_HEADROOM - H1_CHUNK_HEAD_MAX);
    return h1_write_response(&out, head, c->keep, c->minor);
}

/* Ends a chunked body that has trailers; the bytes before are out. */
static int put_trailers(struct client *c)
{
    char *to = c->worker->head_scratch;
    struct rewrite_out out;
    ssize_t n;

    memcpy(to, "0\r\n", 3);
    rewrite_out_init(&out, to + 3, WORKER_HEADROOM - 5);
    n = h1_write_trailers(&out, c->transport.trailers, c->transport.ntrailers);
    if (n < 0)
        n = 0;
    memcpy(to + 3 + n, "\r\n", 2);
    return client_write_put(c, to, (size_t)n + 5, true);
}

/* Writes n bytes, framed, with the end of the body if last. before: bytes that go in front of
 * them in the same write. */
static int put_chunk(struct client *c, struct str before, char *data, size_t n, bool last)
{
    bool trailers = last && c->chunked && c->transport.ntrailers;
    int result;

    if (c->chunked && (n || (last && !trailers)))
        n = h1_chunk_frame(&data, n, last && !trailers);
    if (before.n) {
        /* Head and first bytes go out as one record and one write. */
        CHECK(data - c->worker->relay_buffer >= (ptrdiff_t)before.n);
        data -= before.n;
        memcpy(data, before.p, before.n);
        n += before.n;
    }
    result = n ? client_write_put(c, data, n, last && !trailers) : c->writing ? 2 : 0;
    return trailers && result >= 0 ? put_trailers(c) : result;
}

static int respond(struct transport *t, const struct http_head *head, char *data, size_t n,
                   bool last)
{
    struct client *c = client_of(t);
    enum http_body body = h1_write_body(head, c->minor);
    ssize_t len;

    c->tunnel = head->status == 101;
    c->expect = false; /* no 100 after a final response */
    c->chunked = body == HTTP_BODY_CHUNKED && !c->tunnel;
    c->keep = goes_on(c) && body != HTTP_BODY_UNTIL_CLOSE && !c->tunnel;
    if (c->tunnel)
        c->want_body = c->body_done = false;
    len = client_write_head(c, head);
    if (len < 0)
        return -1;
    return put_chunk(c, str_make(c->worker->head_scratch, (size_t)len), data, n, last);
}

static int body(struct transport *t, char *data, size_t n, bool last)
{
    struct client *c = client_of(t);

    if (n || !last || !c->tunnel)
        return put_chunk(c, STR_EMPTY, data, n, last);
    client_end_output(c);
    return 0;
}

void client_end_output(struct client *c)
{
    ssize_t waiting = c->writing ? 1 : stream_shutdown(&c->stream, false);

    c->end_due = waiting > 0;
    if (waiting > 0) {
        if (!c->writing)
            begin_waiting(c);
        return;
    }
    c->ended = true;
    stream_shutdown(&c->stream, true);
}

static int client_write_interim(struct transport *t, const struct http_head *head)
{
    struct client *c = client_of(t);
    ssize_t len;

    if (c->minor == 0)
        return 0;
    len = client_write_head(c, head);
    return len < 0 ? -1 : client_write_put(c, c->worker->head_scratch, (size_t)len, false);
}

/* Writes a whole response, in one write if that is not too large. *sent: its length. */
static int put_own(struct client *c, const struct http_head *head, struct str body,
                   size_t *sent)
{
    char *bytes = c->worker->head_scratch;
    ssize_t len = client_write_head(c, head);
    size_t n = (size_t)len;
    int result;

    *sent = 0;
    if (len < 0)
        return -1;
    *sent = n + body.n;
    if (body.n && body.n <= WORKER_HEADROOM - n) {
        memcpy(bytes + n, body.p, body.n);
        n += body.n;
        body = STR_EMPTY;
    }
    result = client_write_put(c, bytes, n, !body.n);
    return body.n && result >= 0 ? client_write_put(c, body.p, body.n, true) : result;
}

static int own(struct transport *t, const struct http_head *head, struct str body)
{
    struct client *c = client_of(t);
    size_t sent;

    /* After a refusal that the client's bytes caused, its next bytes cannot be trusted to be a
     * request. */
    c->keep = goes_on(c) && head->status != 400 && head->status != 408;
    return put_own(c, head, body, &sent);
}

/* Without an exchange: there is no request, or no memory for one. */
static void refuse(struct client *c, struct headers_own_info *info, const char *detail)
{
    struct worker *worker = c->worker;
    struct headers_own own;
    struct rewrite_out text;
    size_t sent = 0;

    c->keep = false;
    c->transport.send_ms = worker->conf->timeouts.send_ms;
    info->date = str_from(worker->date);
    info->hsts = peer_hsts(worker, &c->peer);
    rewrite_out_init(&text, worker->field_scratch, WORKER_HEADROOM);
    if (headers_own(&own, info, &text))
        put_own(c, &own.head, own.body, &sent);
    worker->requests->refused(worker, &c->peer, info, detail,
                              c->head_buffer ? c->head_buffer->n : 0, sent, own.body.n);
}

void client_refuse(struct client *c, uint16_t status, const char *detail)
{
    struct headers_own_info info = {.status = status};
    char id[32];

    if (status == 405) /* TRACE, CONNECT: refused before a route is known (RFC 9110 15.5.6) */
        info.allow = c->peer.listen->serve == CONF_SERVE_STATUS ? STR("GET, HEAD")
                                                                : STR(HEADERS_METHODS);
    if (status == 503) {
        request_id_make(c->worker, id);
        info.request_id = str_make(id, sizeof id);
        info.retry_after = HEADERS_RETRY_AFTER_S;
        info.proxy_error = "proxy_internal_error";
        info.proxy_detail = detail;
    }
    refuse(c, &info, detail);
}

static void refuse_plain_http(struct client *c)
{
    struct headers_own_info info = {
        .status = 400,
        .body =
            STR("400 Bad Request: this port requires TLS, and the request came without it.\n"
                "Use https:// instead of http://.\n"),
    };

    stream_drop_tls(&c->stream);
    c->peer.tls = NULL;
    refuse(c, &info, "plain HTTP on a TLS port");
    c->body_done = false; /* what follows is read and discarded */
    c->state = CLIENT_EXCHANGE;
}

void client_handshake_failed(struct client *c, enum handshake_failure failure, const char *why)
{
    static struct log_gate gate[HANDSHAKE_FAILURES];
    struct worker_row *row = c->worker->row;
    const char *name = handshake_failure_name(failure);

    count_add(&row->handshake_errors, 1);
    count_add(&row->handshake_failures[failure], 1);
    /* A client that only checks whether the port is open is not worth a log line. */
    if (tls_conn_heard(c->stream.tls) && log_wants(LOG_LEVEL_INFO) &&
        log_gate_open(&gate[failure]))
        log_info("TLS handshake with %s failed: %s (%s)", c->peer.ip, name, why);
    else
        log_debug("TLS handshake with %s failed: %s (%s)", c->peer.ip, name, why);
    if (failure == HANDSHAKE_PLAIN_HTTP)
        refuse_plain_http(c);
    else
        c->state = CLIENT_CLOSED;
}

int client_continue(struct client *c)
{
    if (!c->expect)
        return 0;
    c->expect = false;
    return client_write_put(c, H1_WRITE_CONTINUE, sizeof H1_WRITE_CONTINUE - 1, false);
}

static void want_body(struct transport *t)
{
    struct client *c = client_of(t);

    if (c->want_body || c->body_done)
        return;
    c->want_body = true;
    client_schedule(c);
}

static void client_write_finish(struct transport *t, bool whole)
{
    struct client *c = client_of(t);

    c->transport.exchange = NULL;
    c->want_body = false;
    c->keep &= whole;
    c->cut = !whole;
    client_schedule(c);
}

const struct transport_ops client_ops = {
    .piece = WORKER_BODY,
    .respond = respond,
    .body = body,
    .interim = client_write_interim,
    .own = own,
    .want_body = want_body,
    .finish = client_write_finish,
};
