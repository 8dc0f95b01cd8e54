/* The steps of a client's connection: one function per state, each returns true
 * when the next step can be taken at once (worker/client.h). */
#include <string.h>
#include <sys/socket.h>

#include "base/conf.h"
#include "base/log.h"
#include "worker/box.h"
#include "worker/client_state.h"
#include "worker/core.h"
#include "worker/tls.h"

/* The answer was cut short: a FIN would look like its end to a client that
 * counts on the close (HTTP/1.0), so that it gets a reset. */
static void close_hard(struct client *c)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};

    setsockopt(c->source.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    c->state = CLIENT_CLOSED;
}

/* Says goodbye. Bytes of the client that nobody read would turn the close into
 * a reset, which could overtake our answer: so they are read for a while. */
static void close_politely(struct client *c)
{
    bool unread = c->stream.readable || !c->body_done;

    stream_shutdown(&c->stream, unread);
    c->state = unread ? CLIENT_LINGER : CLIENT_CLOSED;
    if (unread)
        client_arm(c, WORKER_LINGER_MS);
}

static bool step_handshake(struct client *c)
{
    struct worker *worker = c->worker;
    int done;

    if (!c->stream.readable)
        return false;
    done = stream_handshake(&c->stream);
    if (done < 0) {
        count_add(&worker->row->handshake_errors, 1);
        log_debug("TLS handshake with %s failed: %s", c->peer.ip,
                  tls_conn_error(c->stream.tls));
        c->state = CLIENT_CLOSED;
        return true;
    }
    if (done == 0) {
        c->stream.readable = c->stream.hung_up;
        if (c->stream.hung_up)
            c->state = CLIENT_CLOSED;
        return c->stream.hung_up;
    }
    count_add(&worker->row->handshakes, 1);
    if (tls_conn_alpn(c->stream.tls) == TLS_ALPN_ACME) { /* a CA has seen what it came for */
        c->state = CLIENT_CLOSED;
        return true;
    }
    if (tls_conn_resumed(c->stream.tls))
        count_add(&worker->row->handshakes_resumed, 1);
    c->peer.handshake_us = worker->loop.now_us - c->peer.accepted_us;
    c->state = CLIENT_IDLE;
    client_arm(c, worker->conf->timeouts.header_ms);
    return true;
}

/* Reads more of a head into the inbox. 1: got some; 0: none now; -1: gone. */
static int read_head(struct client *c)
{
    struct worker *worker = c->worker;
    ssize_t got;

    if (!c->stream.readable)
        return 0;
    if (!c->inbox)
        c->inbox = inbox_new(worker, WORKER_INBOX);
    else if (c->inbox->n == c->inbox->cap)
        c->inbox = inbox_grow(worker, c->inbox, worker->limits.head + WORKER_INBOX);
    if (!c->inbox)
        return -1;
    got = stream_read(&c->stream, c->inbox->bytes + c->inbox->n, c->inbox->cap - c->inbox->n);
    if (got > 0)
        c->inbox->n += (size_t)got;
    return got > 0 ? 1 : got == STREAM_AGAIN ? 0 : -1;
}

static bool step_idle(struct client *c)
{
    int got = c->broken ? -1 : 1;

    if (got > 0 && (!c->inbox || !c->inbox->n)) {
        got = read_head(c);
        if (got <= 0) {
            inbox_free(c->worker, c->inbox);
            c->inbox = NULL;
        }
    }
    if (got < 0) {
        c->state = CLIENT_CLOSED;
        return true;
    }
    if (got == 0)
        return false;
    c->state = CLIENT_HEAD;
    c->head_us = c->worker->loop.now_us;
    client_arm(c, c->worker->conf->timeouts.header_ms);
    return true;
}

void client_refuse_head(struct client *c, int error)
{
    const struct http1_error_info *info = http1_error_info(error);

    client_refuse(c, info->status, info->reason);
    c->body_done = false; /* what follows is not a request: read and thrown away */
    c->state = CLIENT_EXCHANGE;
}

/* How much of the bytes behind the head is its body: decoded in place. */
static int first_body(struct client *c, const struct http_request *r, size_t head, size_t *n)
{
    size_t there = c->inbox->n - head;
    ssize_t used = 0;

    *n = 0;
    c->body = r->body;
    c->body_left = 0;
    if (r->body == HTTP_BODY_LENGTH) {
        *n = there < r->content_length ? there : (size_t)r->content_length;
        c->body_left = r->content_length - *n;
        used = (ssize_t)*n;
    } else if (r->body == HTTP_BODY_CHUNKED) {
        http1_chunked_init(&c->chunks);
        used = http1_chunked_squeeze(&c->chunks, c->inbox->bytes + head, there, n,
                                     &c->worker->limits);
        if (used < 0)
            return (int)used;
    }
    c->used = head + (size_t)used;
    c->body_done = r->body == HTTP_BODY_CHUNKED ? c->chunks.done : c->body_left == 0;
    return 0;
}

static void begin_exchange(struct client *c, size_t head)
{
    const struct http_request *r = &c->inbox->head.request;
    struct exchange *x;
    size_t n;
    int error = first_body(c, r, head, &n);

    if (error < 0) {
        client_refuse_head(c, error);
        return;
    }
    c->method = r->method;
    c->minor = r->version_minor;
    c->keep = r->keep_alive;
    c->expect = r->expect_continue && !c->body_done && n == 0;
    c->want_body = c->cut = c->chunked = c->tunnel = false;
    c->state = CLIENT_EXCHANGE;
    c->peer.requests++;
    client_arm(c, 0);
    x = exchange_new(c->worker, &client_ops, c, &c->peer, r);
    if (!x) {
        client_refuse(c, 503, "out of memory");
        return;
    }
    c->exchange = x;
    x->at.begin = c->head_us;
    exchange_begin(x, c->inbox->bytes + head, n, c->body_done);
}

static bool step_head(struct client *c)
{
    const struct http1_request_policy policy = {.is_tls = c->peer.tls != NULL};
    struct inbox *box = c->inbox;
    ssize_t head = http1_request_parse(&box->head.request, box->bytes, box->n, &box->scan,
                                       &c->worker->limits, &policy);
    int got;

    if (head < 0) {
        client_refuse_head(c, (int)head);
        return true;
    }
    if (head > 0) {
        begin_exchange(c, (size_t)head);
        return true;
    }
    got = read_head(c);
    if (got < 0)
        c->state = CLIENT_CLOSED;
    return got != 0;
}

/* Bytes of a tunnel: those that came with the head first. */
static bool read_tunnel(struct client *c)
{
    char *to = worker_body(c->worker);
    ssize_t got;

    if (c->inbox->n > c->used) {
        got = (ssize_t)(c->inbox->n - c->used);
        memcpy(to, c->inbox->bytes + c->used, (size_t)got);
        c->inbox->n = c->used;
    } else {
        got = c->stream.readable ? stream_read(&c->stream, to, WORKER_BODY) : STREAM_AGAIN;
    }
    if (got == STREAM_AGAIN)
        return false;
    if (got <= 0) {
        exchange_cut(c->exchange, EXCHANGE_END_WHOLE, NULL);
        return true;
    }
    c->want_body = false;
    exchange_body(c->exchange, to, (size_t)got, false);
    return true;
}

/* Puts what followed a chunked body aside: it is the next request. */
static bool keep_surplus(struct client *c, const char *bytes, size_t n)
{
    if (!n)
        return true;
    c->next = inbox_new(c->worker, WORKER_INBOX);
    if (!c->next)
        return false;
    memcpy(c->next->bytes, bytes, n);
    c->next->n = n;
    return true;
}

static bool read_chunked(struct client *c, char *to, size_t got)
{
    size_t n;
    ssize_t used = http1_chunked_squeeze(&c->chunks, to, got, &n, &c->worker->limits);

    if (used < 0) {
        exchange_abort(c->exchange, http1_error_info((int)used)->status,
                       http1_error_info((int)used)->reason);
        return true;
    }
    c->body_done = c->chunks.done;
    if (!keep_surplus(c, to + used, got - (size_t)used)) {
        exchange_abort(c->exchange, 503, "out of memory");
        return true;
    }
    if (!n && !c->body_done)
        return true;
    c->want_body = false;
    exchange_body(c->exchange, to, n, c->body_done);
    return true;
}

static bool read_body(struct client *c)
{
    char *to = worker_body(c->worker);
    size_t room = WORKER_BODY;
    ssize_t got;

    /* Behind a chunked body may come the next request, which an inbox must hold. */
    if (c->body == HTTP_BODY_CHUNKED)
        room = WORKER_INBOX;
    else if (c->body_left < room)
        room = (size_t)c->body_left;
    if (!c->stream.readable) {
        client_arm(c, c->exchange->route->timeouts.body_ms);
        return false;
    }
    got = stream_read(&c->stream, to, room);
    if (got == STREAM_AGAIN) {
        client_arm(c, c->exchange->route->timeouts.body_ms);
        return false;
    }
    if (got <= 0) {
        exchange_abort(c->exchange, 0, "the client closed in its body");
        return true;
    }
    client_arm(c, 0);
    if (c->body == HTTP_BODY_CHUNKED)
        return read_chunked(c, to, (size_t)got);
    c->body_left -= (uint64_t)got;
    c->body_done = c->body_left == 0;
    c->want_body = false;
    exchange_body(c->exchange, to, (size_t)got, c->body_done);
    return true;
}

/* Moves what came behind the request to the front: the next one. */
static void next_request(struct client *c)
{
    struct inbox *box = c->inbox;

    if (c->next) {
        inbox_free(c->worker, box);
        c->inbox = c->next;
        c->next = NULL;
    } else if (box->n > c->used) {
        memmove(box->bytes, box->bytes + c->used, box->n - c->used);
        box->n -= c->used;
        box->scan = (struct http1_scan){0};
    } else {
        inbox_free(c->worker, box);
        c->inbox = NULL;
    }
    c->used = 0;
    c->state = CLIENT_IDLE;
    client_arm(c,
               c->worker->draining ? WORKER_DRAIN_IDLE_MS : c->worker->conf->timeouts.idle_ms);
}

static bool step_exchange(struct client *c)
{
    if (!c->exchange) {
        if (c->writing)
            return false;
        if (c->cut)
            close_hard(c);
        else if (c->keep)
            next_request(c);
        else
            close_politely(c);
        return true;
    }
    if (c->writing || !c->want_body) {
        /* Nobody half-closes a TLS connection: FIN means that the answer has no
         * reader any more, and the backend may stop (PAS.md: long requests). */
        if (c->broken || (c->stream.tls && c->stream.hung_up && !c->want_body)) {
            exchange_abort(c->exchange, 0, "the client went away");
            return true;
        }
        return false;
    }
    if (client_continue(c) < 0) {
        exchange_abort(c->exchange, 0, "the client went away");
        return true;
    }
    return c->tunnel ? read_tunnel(c) : read_body(c);
}

static bool step_linger(struct client *c)
{
    char *to = worker_body(c->worker);
    ssize_t got = STREAM_AGAIN;

    while (c->stream.readable && (got = stream_read(&c->stream, to, WORKER_BODY)) > 0)
        ;
    if (got == STREAM_AGAIN || got > 0)
        return false;
    c->state = CLIENT_CLOSED;
    return true;
}

bool client_step(struct client *c)
{
    switch ((enum client_state)c->state) {
    case CLIENT_HANDSHAKE:
        return step_handshake(c);
    case CLIENT_IDLE:
        return step_idle(c);
    case CLIENT_HEAD:
        return step_head(c);
    case CLIENT_EXCHANGE:
        return step_exchange(c);
    case CLIENT_LINGER:
        return step_linger(c);
    case CLIENT_CLOSED:
        break;
    }
    return false;
}
