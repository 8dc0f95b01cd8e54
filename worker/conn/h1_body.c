/* HTTP/1.1, its reading side: bodies of requests, and tunnels (worker/conn/h1.h). */
#include <string.h>

#include "base/conf/conf.h"
#include "worker/conn/conn_state.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"

int h1_first_body(struct conn *c, const struct http_request *r, size_t head, size_t *n)
{
    size_t there = c->h1.head_buffer->n - head;
    ssize_t used = 0;

    *n = 0;
    c->h1.body = r->body;
    c->h1.body_left = 0;
    if (r->body == HTTP_BODY_LENGTH) {
        *n = there < r->content_length ? there : (size_t)r->content_length;
        c->h1.body_left = r->content_length - *n;
        used = (ssize_t)*n;
    } else if (r->body == HTTP_BODY_CHUNKED) {
        h1_chunked_init(&c->h1.chunks);
        used = h1_chunked_squeeze(&c->h1.chunks, c->h1.head_buffer->bytes + head, there, n,
                                  &c->worker->limits);
        if (used < 0)
            return (int)used;
    }
    c->h1.used = head + (size_t)used;
    c->h1.body_done = r->body == HTTP_BODY_CHUNKED ? c->h1.chunks.done : c->h1.body_left == 0;
    return 0;
}

bool h1_read_tunnel(struct conn *c)
{
    char *to = worker_body(c->worker);
    ssize_t got;

    if (c->h1.head_buffer->n > c->h1.used) {
        got = (ssize_t)(c->h1.head_buffer->n - c->h1.used);
        memcpy(to, c->h1.head_buffer->bytes + c->h1.used, (size_t)got);
        c->h1.head_buffer->n = c->h1.used;
    } else {
        got = c->stream.readable ? stream_read(&c->stream, to, WORKER_BODY) : STREAM_AGAIN;
    }
    if (got == STREAM_AGAIN)
        return false;
    c->h1.want_body = false;
    if (got > 0) {
        c->h1.transport.wire_in += (size_t)got;
        c->worker->requests->body(c->h1.transport.exchange, to, (size_t)got, false);
    } else if (got == STREAM_EOF) {
        c->h1.body_done = true;
        conn_half_closed(c);
        c->worker->requests->tunnel_ended(c->h1.transport.exchange);
    } else {
        c->worker->requests->abort(c->h1.transport.exchange, 0, "the client went away");
    }
    return true;
}

/* Sets aside what followed a chunked body: it is the next request. */
static bool keep_surplus(struct conn *c, const char *bytes, size_t n)
{
    if (!n)
        return true;
    c->worker->requests->hold(c->h1.transport.exchange);
    c->h1.next = head_buffer_new(c->worker, WORKER_HEAD_BUFFER);
    if (!c->h1.next)
        return false;
    head_buffer_charge(c->h1.next, c->peer.client);
    memcpy(c->h1.next->bytes, bytes, n);
    c->h1.next->n = n;
    return true;
}

static bool read_chunked(struct conn *c, char *to, size_t got)
{
    size_t n;
    ssize_t used = h1_chunked_squeeze(&c->h1.chunks, to, got, &n, &c->worker->limits);

    if (used < 0) {
        c->worker->requests->abort(c->h1.transport.exchange, h1_error_info((int)used)->status,
                                   h1_error_info((int)used)->reason);
        return true;
    }
    c->h1.body_done = c->h1.chunks.done;
    c->h1.transport.wire_in += (size_t)used;
    if (!keep_surplus(c, to + used, got - (size_t)used)) {
        c->h1.keep = false; /* part of the next request is lost */
        c->worker->requests->no_memory(c->h1.transport.exchange, 0);
        return true;
    }
    if (!n && !c->h1.body_done)
        return true;
    c->h1.want_body = false;
    c->worker->requests->body(c->h1.transport.exchange, to, n, c->h1.body_done);
    return true;
}

/* Milliseconds left for the first byte of a body that has its 100 Continue and its slot;
 * UINT32_MAX: not such a body. */
static uint32_t begin_left(const struct conn *c)
{
    uint64_t waited = pace_waited(&c->sends, c->worker->loop.now_ms);

    /* Without a slot it delays nobody. */
    if (!c->worker->requests->owes_body(c->h1.transport.exchange))
        return UINT32_MAX;
    return waited < H1_BODY_BEGIN_MS ? H1_BODY_BEGIN_MS - (uint32_t)waited : 0;
}

/* Applies three limits: for the first byte, between two pieces, and the minimum rate. */
static void wait_for_body(struct conn *c)
{
    uint64_t now = c->worker->loop.now_ms;
    uint32_t ms = c->h1.transport.body_ms, left, begin;

    pace_wait(&c->sends, now);
    left = pace_left(&c->sends, now, ms, c->worker->conf->limits.min_body_rate);
    begin = begin_left(c);
    left = begin < left ? begin : left;
    conn_arm(c, left < ms ? left + 1 : ms);
}

bool h1_read_body(struct conn *c)
{
    char *to = worker_body(c->worker);
    size_t room = WORKER_BODY;
    ssize_t got;

    /* A chunked body may be followed by the next request, which must fit into a head_buffer. */
    if (c->h1.body == HTTP_BODY_CHUNKED)
        room = WORKER_HEAD_BUFFER;
    else if (c->h1.body_left < room)
        room = (size_t)c->h1.body_left;
    if (!c->stream.readable) {
        wait_for_body(c);
        return false;
    }
    got = stream_read(&c->stream, to, room);
    if (got == STREAM_AGAIN) {
        wait_for_body(c);
        return false;
    }
    if (got <= 0) {
        c->worker->requests->abort(
            c->h1.transport.exchange, 0,
            "the client closed the connection in the middle of the body");
        return true;
    }
    pace_got(&c->sends, c->worker->loop.now_ms, (uint64_t)got,
             c->worker->conf->limits.min_body_rate);
    conn_arm(c, 0);
    if (c->h1.body == HTTP_BODY_CHUNKED)
        return read_chunked(c, to, (size_t)got);
    c->h1.transport.wire_in += (size_t)got;
    c->h1.body_left -= (uint64_t)got;
    c->h1.body_done = c->h1.body_left == 0;
    c->h1.want_body = false;
    c->worker->requests->body(c->h1.transport.exchange, to, (size_t)got, c->h1.body_done);
    return true;
}

void h1_cut_sender(struct conn *c)
{
    const struct conf *conf = c->worker->conf;
    uint32_t left = pace_left(&c->sends, c->worker->loop.now_ms, c->h1.transport.body_ms,
                              conf->limits.min_body_rate);

    const char *why = left > 1 ? "the request body stopped arriving"
                               : "the request body arrived too slowly (limits.min_body_rate)";

    if (begin_left(c) <= 1)
        why = "no request body after 100 Continue";
    count_add(&c->worker->row->slow_bodies, 1);
    conn_offend(c);
    c->worker->requests->abort(c->h1.transport.exchange, 408, why);
}
