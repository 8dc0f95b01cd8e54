/* HTTP/1.1, its reading side: heads, and one function per state, each returns true when the
 * next step can run at once (worker/conn/h1.h). */
#include <string.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "worker/conn/conn_state.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"

/* The next size for a head that fills its buffer, which may have been shrunk before. */
static size_t room_for_more(const struct conn *c)
{
    return c->h1.head_buffer->cap < WORKER_HEAD_BUFFER
               ? WORKER_HEAD_BUFFER
               : c->worker->limits.head + WORKER_HEAD_BUFFER;
}

/* Reads more of a head into head_buffer. 1: got some; 0: none now; -1: gone; -2: no memory for
 * it; what came first is there. A client that sends nothing, or closes, needs no memory. */
static int read_head(struct conn *c)
{
    struct worker *worker = c->worker;
    bool first = !c->h1.head_buffer;
    ssize_t got;

    if (!c->stream.readable)
        return 0;
    if (first)
        c->h1.head_buffer = head_buffer_new_apart(worker, WORKER_HEAD_BUFFER);
    else if (c->h1.head_buffer->n == c->h1.head_buffer->cap)
        c->h1.head_buffer = head_buffer_grow(worker, c->h1.head_buffer, room_for_more(c));
    if (!c->h1.head_buffer)
        return -2;
    got = stream_read(&c->stream, c->h1.head_buffer->bytes + c->h1.head_buffer->n,
                      c->h1.head_buffer->cap - c->h1.head_buffer->n);
    if (got <= 0)
        return got == STREAM_AGAIN ? 0 : -1;
    c->h1.head_buffer->n += (size_t)got;
    if (!first || conn_of_status(c))
        return 1;
    if (!head_buffer_claim(worker, c->h1.head_buffer))
        return -2;
    head_buffer_charge(c->h1.head_buffer, c->peer.client);
    return 1;
}

void h1_refuse_head(struct conn *c, int error)
{
    const struct h1_error_info *info = h1_error_info(error);

    if (info->status == 400 || info->status == 408)
        conn_offend(c);
    h1_refuse(c, info->status, info->reason);
    c->h1.body_done = false; /* what follows is not a request: read and discarded */
    c->state = CONN_EXCHANGE;
}

static void begin_exchange(struct conn *c, size_t head, bool refuse)
{
    const struct http_request *r = &c->h1.head_buffer->head.request;
    size_t n;
    int error = h1_first_body(c, r, head, &n);

    if (error < 0) {
        h1_refuse_head(c, error);
        return;
    }
    c->h1.minor = r->version_minor;
    c->h1.keep = r->keep_alive;
    c->h1.expect = r->expect_continue && !c->h1.body_done && n == 0;
    c->h1.want_body = c->cut = c->h1.chunked = c->tunnel = false;
    c->sends = c->reads = (struct pace){0};
    c->state = CONN_EXCHANGE;
    c->peer.requests++;
    conn_asked(c);
    conn_arm(c, 0);
    c->h1.transport.request = r;
    c->h1.transport.begin_us = c->head_us;
    c->h1.transport.wire_in = c->h1.used;
    c->h1.transport.wire_out = 0;
    if (!c->worker->requests->create(c->worker, &c->h1.transport)) {
        h1_refuse(c, 503, EXCHANGE_NO_MEMORY);
    } else if (!refuse) {
        c->worker->requests->begin(c->h1.transport.exchange, c->h1.head_buffer->bytes + head, n,
                                   c->h1.body_done);
    } else {
        c->h1.keep = false;
        c->worker->requests->no_memory(c->h1.transport.exchange, n);
    }
}

static void refuse_for_memory(struct conn *c)
{
    h1_refuse(c, 503, EXCHANGE_NO_MEMORY);
    c->h1.body_done = false; /* its request is not parsed: read and discarded */
    c->state = CONN_EXCHANGE;
}

/* The same for one that has just begun: what has come of it is read for a moment, so that the
 * access log can tell which request it was. */
static bool refuse_first(struct conn *c)
{
    ssize_t head;

    c->head_us = c->worker->loop.now_us;
    head = c->h1.head_buffer ? h1_head_parse(c, c->h1.head_buffer) : 0;
    if (head > 0)
        begin_exchange(c, (size_t)head, true);
    else
        refuse_for_memory(c);
    return true;
}

static bool step_idle(struct conn *c)
{
    int got = c->broken ? -1 : 1;

    if (got > 0 && (!c->h1.head_buffer || !c->h1.head_buffer->n)) {
        got = read_head(c);
        if (got == 0 || got == -1) {
            head_buffer_free(c->worker, c->h1.head_buffer);
            c->h1.head_buffer = NULL;
        }
    }
    if (got == -2)
        return refuse_first(c);
    if (got < 0) {
        c->state = CONN_CLOSED;
        return true;
    }
    if (got == 0)
        return false;
    c->state = CONN_HEAD;
    c->head_us = c->worker->loop.now_us;
    conn_arm_wait(c);
    return true;
}

static bool step_head(struct conn *c)
{
    ssize_t head = h1_head_parse(c, c->h1.head_buffer);
    int got;

    if (head < 0) {
        h1_refuse_head(c, (int)head);
        return true;
    }
    if (head > 0) {
        begin_exchange(c, (size_t)head, false);
        return true;
    }
    got = read_head(c);
    if (got == -2) {
        refuse_for_memory(c);
    } else if (got < 0) {
        conn_offend(c);
        c->state = CONN_CLOSED;
    }
    return got != 0;
}

/* Moves what came behind the request to the front: it is the next request. */
static void next_request(struct conn *c)
{
    struct head_buffer *buffer = c->h1.head_buffer;

    if (c->h1.next) {
        head_buffer_free(c->worker, buffer);
        c->h1.head_buffer = c->h1.next;
        c->h1.next = NULL;
    } else if (buffer->n > c->h1.used) {
        memmove(buffer->bytes, buffer->bytes + c->h1.used, buffer->n - c->h1.used);
        buffer->n -= c->h1.used;
        buffer->scan = (struct h1_scan){0};
    } else {
        head_buffer_free(c->worker, buffer);
        c->h1.head_buffer = NULL;
    }
    c->h1.used = 0;
    c->state = CONN_IDLE;
    conn_arm_wait(c);
}

/* What comes after the last response is discarded. */
static void end_politely(struct conn *c)
{
    conn_close_politely(c, !c->h1.body_done);
    head_buffer_free(c->worker, c->h1.head_buffer);
    c->h1.head_buffer = NULL;
}

static bool step_exchange(struct conn *c)
{
    if (!c->h1.transport.exchange) {
        if (c->writing && !c->broken)
            return false;
        if (c->cut || c->broken)
            conn_close_hard(c);
        else if (c->h1.keep)
            next_request(c);
        else
            end_politely(c);
        return true;
    }
    /* The two directions of a tunnel do not wait for each other. */
    if ((c->writing && !c->tunnel) || !c->h1.want_body) {
        if (c->broken) {
            c->worker->requests->abort(c->h1.transport.exchange, 0, "the client went away");
            return true;
        }
        if (c->stream.hung_up && !c->writing)
            conn_half_closed(c);
        return false;
    }
    if (h1_continue(c) < 0) {
        c->worker->requests->abort(c->h1.transport.exchange, 0, "the client went away");
        return true;
    }
    /* The 100 still waits, and its deadline runs: the body is read when the 100 is out. */
    if (c->writing && !c->tunnel)
        return false;
    return c->tunnel ? h1_read_tunnel(c) : h1_read_body(c);
}

static bool h1_step(struct conn *c)
{
    switch ((enum conn_state)c->state) {
    case CONN_IDLE:
        return step_idle(c);
    case CONN_HEAD:
        return step_head(c);
    case CONN_EXCHANGE:
        return step_exchange(c);
    case CONN_PROXY:
    case CONN_HANDSHAKE:
    case CONN_LINGER:
    case CONN_CLOSED:
        break;
    }
    return false;
}

/* ---- what happens to the connection */

static void h1_init(struct conn *c)
{
    c->h1.transport.ops = &h1_ops;
    c->h1.transport.peer = &c->peer;
}

static void h1_release(struct conn *c)
{
    CHECK(!c->h1.transport.exchange);
    head_buffer_free(c->worker, c->h1.head_buffer);
    head_buffer_free(c->worker, c->h1.next);
    c->worker->requests->client_gone(&c->h1.transport.pins);
}

static void h1_writable(struct conn *c, bool all)
{
    if (c->h1.transport.exchange)
        c->worker->requests->writable(c->h1.transport.exchange, all);
}

static bool h1_cut(struct conn *c, enum exchange_end end, const char *why)
{
    if (!c->h1.transport.exchange)
        return false;
    c->worker->requests->cut(c->h1.transport.exchange, end, why);
    return true;
}

static void head_timed_out(struct conn *c)
{
    if (!c->worker->draining) {
        h1_refuse_head(c, H1_E_HEAD_TIMEOUT);
        return;
    }
    h1_refuse(c, 408, "the request was not complete when its worker had to end");
    c->h1.body_done = false; /* what follows is read and discarded */
    c->state = CONN_EXCHANGE;
}

static void h1_late(struct conn *c)
{
    if (c->state == CONN_HEAD) {
        head_timed_out(c);
    } else if (!c->h1.transport.exchange) {
        c->broken = true;
        conn_close_now(c, EXCHANGE_END_TIMEOUT, "the client does not read the response");
    } else if (c->h1.want_body) {
        h1_cut_sender(c);
    }
}

/* Between two requests there is nothing to be said: the client may send the next one again. */
static void h1_close(struct conn *c)
{
    stream_shutdown(&c->stream, false);
    c->state = CONN_CLOSED;
}

/* Responses say "Connection: close" from now on (goes_on()). */
static void h1_drain(struct conn *c)
{
    if (c->state == CONN_IDLE || c->state == CONN_HEAD)
        conn_arm(c, WORKER_DRAIN_IDLE_MS);
}

static void h1_drop_head(struct conn *c, const char *why)
{
    h1_refuse(c, 408, why);
    c->h1.body_done = false; /* what follows is read and discarded */
    c->state = CONN_EXCHANGE;
    head_buffer_free(c->worker, c->h1.head_buffer);
    c->h1.head_buffer = NULL;
}

static uint32_t h1_send_ms(const struct conn *c)
{
    return c->h1.transport.send_ms;
}

const struct protocol h1_protocol = {
    .h2 = &h2_protocol,
    .init = h1_init,
    .step = h1_step,
    .writable = h1_writable,
    .late = h1_late,
    .cut = h1_cut,
    .close = h1_close,
    .drain = h1_drain,
    .drop_head = h1_drop_head,
    .send_ms = h1_send_ms,
    .release = h1_release,
};
