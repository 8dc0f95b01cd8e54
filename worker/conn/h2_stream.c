/* Streams of an HTTP/2 connection: their life, and their request bodies (worker/conn/h2.h). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "worker/conn/conn_state.h"
#include "worker/conn/h2.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"

/* ---- life */

struct h2_stream *h2_stream_find(struct h2 *h2, uint32_t id)
{
    struct h2_stream *s = h2->found;

    if (s && s->id == id)
        return s;
    for (s = h2->last; s; s = s->prev)
        if (s->id == id)
            return h2->found = s;
    return NULL;
}

struct h2_stream *h2_stream_open(struct h2 *h2, uint32_t id)
{
    struct conn *c = h2->conn;
    struct h2_stream *s = mempool_acquire(&c->worker->h2_streams);

    if (!s)
        return NULL;
    memset(s, 0, sizeof *s);
    s->h2 = h2;
    s->id = id;
    s->send_window = h2->initial;
    s->recv_window = H2_STREAM_WINDOW;
    s->transport.ops = &h2_ops;
    s->transport.peer = &c->peer;
    s->transport.begin_us = c->worker->loop.now_us;
    s->transport.send_ms = c->worker->conf->timeouts.send_ms;
    s->prev = h2->last;
    if (h2->last)
        h2->last->next = s;
    else
        h2->first = s;
    h2->last = h2->found = s;
    if (h2->nstreams++ == 0 && !loop_timer_armed(&h2->tick))
        loop_timer_set(&c->worker->loop, &h2->tick, H2_TICK_MS);
    return s;
}

static void drop_in(struct h2_stream *s)
{
    s->h2->conn->worker->buffered -= s->in_cap;
    free(s->in);
    s->in = NULL;
    s->nin = s->in_at = s->in_cap = 0;
}

void h2_stream_free(struct h2_stream *s)
{
    struct h2 *h2 = s->h2;
    struct worker *worker = h2->conn->worker;

    CHECK(!s->transport.exchange);
    h2_conn_credit(h2, s->nin - s->in_at);
    drop_in(s);
    h2_stream_drop_out(s);
    head_buffer_free(worker, s->head);
    worker->requests->client_gone(&s->transport.pins);
    if (s->prev)
        s->prev->next = s->next;
    else
        h2->first = s->next;
    if (s->next)
        s->next->prev = s->prev;
    else
        h2->last = s->prev;
    if (h2->found == s)
        h2->found = NULL;
    h2->nstreams--;
    mempool_return(&worker->h2_streams, s);
}

/* An id of a client is odd: without its last bit, and with 31 of 32, two bits are left. */
static uint32_t mark(uint32_t id)
{
    return id >> 1 << 2;
}

void h2_stream_remember(struct h2 *h2, uint32_t id, enum h2_end end)
{
    h2->closed[h2->nclosed++ % H2_CLOSED] = mark(id) | ((uint32_t)end + 1);
}

int h2_stream_ended(const struct h2 *h2, uint32_t id)
{
    for (int i = 0; i < H2_CLOSED; i++)
        if (h2->closed[i] && (h2->closed[i] & ~UINT32_C(3)) == mark(id))
            return (int)(h2->closed[i] & 3) - 1;
    return -1;
}

static void rst(struct h2_stream *s, enum h2_error error)
{
    s->reset = true;
    h2_send_number(s->h2, H2_RST_STREAM, s->id, error);
}

/* Its exchange is over. The client learns how. */
static void reap(struct h2_stream *s)
{
    struct h2 *h2 = s->h2;
    enum h2_end end = H2_END_WHOLE;

    if (!s->reset && (!s->whole || !s->local_ended))
        rst(s, H2_INTERNAL_ERROR);
    else if (!s->reset && !s->remote_ended)
        rst(s, H2_NO_ERROR); /* RFC 9113 8.1: the rest of the request is not needed */
    if (s->reset)
        end = s->by_client ? H2_END_BY_CLIENT : H2_END_BY_US;
    h2_stream_remember(h2, s->id, end);
    h2_stream_free(s);
}

void h2_streams_reap(struct h2 *h2)
{
    struct h2_stream *next;

    if (!h2->reap)
        return;
    h2->reap = false;
    for (struct h2_stream *s = h2->first; s; s = next) {
        next = s->next;
        if (s->finished && (!s->nout || !s->whole || s->reset || h2->conn->broken))
            reap(s);
    }
    if (!h2->nstreams)
        loop_timer_cancel(&h2->tick);
}

/* ---- early ends */

void h2_stream_abort(struct h2_stream *s, const char *why)
{
    if (s->transport.exchange)
        s->h2->conn->worker->requests->abort(s->transport.exchange, 0, why);
    s->finished = s->h2->reap = true;
}

void h2_stream_fail(struct h2_stream *s, enum h2_error error, const char *why)
{
    h2_count_reset(s->h2);
    if (!s->reset)
        rst(s, error);
    h2_stream_abort(s, why);
}

void h2_stream_late(struct h2 *h2, uint32_t id)
{
    h2_send_number(h2, H2_RST_STREAM, id, H2_STREAM_CLOSED);
    h2_count_reset(h2);
}

void h2_stream_reset(struct h2_stream *s)
{
    if (!s->local_ended)
        h2_count_reset(s->h2);
    s->reset = s->by_client = true;
    /* It keeps its place among the streams as long as it keeps a backend busy. */
    if (!s->transport.exchange ||
        !s->h2->conn->worker->requests->at_work(s->transport.exchange))
        h2_stream_abort(s, "the client reset the stream");
}

/* ---- the request's body */

void h2_conn_credit(struct h2 *h2, size_t n)
{
    h2->credit += (uint32_t)n;
    if (h2->credit < H2_CONN_WINDOW / 2 || h2->dead || h2->conn->state == CONN_CLOSED)
        return;
    h2->recv_window += h2->credit;
    h2_send_number(h2, H2_WINDOW_UPDATE, 0, h2->credit);
    h2->credit = 0;
}

static void h2_stream_credit(struct h2_stream *s, size_t n)
{
    h2_conn_credit(s->h2, n);
    s->credit += (uint32_t)n;
    if (s->credit < H2_STREAM_WINDOW / 2 || s->remote_ended || s->reset)
        return;
    s->recv_window += s->credit;
    h2_send_number(s->h2, H2_WINDOW_UPDATE, s->id, s->credit);
    s->credit = 0;
}

/* n <= WORKER_BODY bytes, which the exchange asked for. */
static void deliver(struct h2_stream *s, const char *bytes, size_t n, bool end)
{
    struct worker *worker = s->h2->conn->worker;
    char *to = worker_body(worker);

    if (n)
        memcpy(to, bytes, n);
    s->want_body = false;
    s->told_end = end;
    h2_stream_credit(s, n);
    if (!s->tunnel)
        worker->requests->body(s->transport.exchange, to, n, end);
    else if (n)
        worker->requests->body(s->transport.exchange, to, n, false);
    if (s->tunnel && end && s->transport.exchange)
        worker->requests->tunnel_ended(s->transport.exchange);
}

/* Keeps what came unasked. */
static void hold_in(struct h2_stream *s, const char *bytes, size_t n)
{
    struct worker *worker = s->h2->conn->worker;
    size_t cap = s->in_cap;
    char *more = s->in;

    if (n > cap - s->nin) {
        cap = s->nin + n > 2 * cap ? s->nin + n : 2 * cap;
        worker->requests->hold(s->transport.exchange);
        more = worker_has_memory(worker, cap - s->in_cap) ? realloc(s->in, cap) : NULL;
        if (more) {
            worker->buffered += cap - s->in_cap;
            s->in = more;
            s->in_cap = cap;
        }
    }
    if (!more) {
        if (s->transport.exchange)
            worker->requests->no_memory(s->transport.exchange, n);
        h2_conn_credit(s->h2, n);
        return;
    }
    memcpy(s->in + s->nin, bytes, n);
    s->nin += n;
}

static bool has_length(const struct h2_stream *s)
{
    return s->transport.request && s->transport.request->body == HTTP_BODY_LENGTH;
}

/* RFC 9113 8.1.1: content-length and DATA differ. */
static bool is_wrong(const struct h2_stream *s, bool end)
{
    uint64_t length = has_length(s) ? s->transport.request->content_length : 0;

    return has_length(s) && (s->got > length || (end && s->got < length));
}

void h2_stream_data(struct h2_stream *s, const char *bytes, size_t n, bool end)
{
    struct conn *c = s->h2->conn;

    s->got += n;
    s->remote_ended |= end;
    s->expect = false;
    s->transport.wire_in += n;
    h2_budget_bytes(&s->h2->budget, n);
    if (n)
        pace_got(&s->sends, c->worker->loop.now_ms, n, c->worker->conf->limits.min_body_rate);
    if (!s->reset && s->transport.exchange && is_wrong(s, end)) {
        h2_conn_credit(s->h2, n);
        h2_stream_fail(s, H2_PROTOCOL_ERROR, "content-length and DATA differ");
        return;
    }
    if (s->reset || !s->transport.exchange)
        h2_conn_credit(s->h2, n);
    else if (s->want_body && !s->nin)
        deliver(s, bytes, n, end);
    else if (n)
        hold_in(s, bytes, n);
}

void h2_stream_attend(struct h2_stream *s)
{
    while (s->transport.exchange && s->want_body && !s->reset) {
        size_t n = s->nin - s->in_at;
        const char *at = s->in + s->in_at;
        bool end = s->remote_ended;

        if (!n && (!s->remote_ended || s->told_end))
            break;
        if (n > WORKER_BODY) {
            n = WORKER_BODY;
            end = false;
        }
        s->in_at += n;
        deliver(s, n ? at : "", n, end);
        if (s->in_at == s->nin)
            drop_in(s);
    }
    if (s->transport.exchange && s->want_body && s->expect && !s->reset)
        h2_send_continue(s);
}

/* ---- deadlines */

static void cut_sender(struct h2_stream *s, const char *why)
{
    struct worker *worker = s->h2->conn->worker;

    count_add(&worker->row->slow_bodies, 1);
    worker->requests->abort(s->transport.exchange, 408, why);
}

/* The same limits as for HTTP/1.1 (h1_body.c). */
static void look_at_body(struct h2_stream *s)
{
    struct worker *worker = s->h2->conn->worker;
    uint64_t now = worker->loop.now_ms;
    uint32_t ms = s->transport.body_ms;

    pace_wait(&s->sends, now);
    if (worker->requests->owes_body(s->transport.exchange) &&
        pace_waited(&s->sends, now) >= H1_BODY_BEGIN_MS)
        cut_sender(s, "no request body after 100 Continue");
    else if (now - s->sends.since_ms >= ms)
        cut_sender(s, "the request body stopped arriving");
    else if (!pace_left(&s->sends, now, ms, worker->conf->limits.min_body_rate))
        cut_sender(s, "the request body arrived too slowly (limits.min_body_rate)");
}

/* The client's window is closed: its socket takes bytes, but not those of this stream. */
static void look_at_response(struct h2_stream *s)
{
    struct conn *c = s->h2->conn;
    struct worker *worker = c->worker;
    uint64_t now = worker->loop.now_ms;
    uint32_t ms = s->transport.send_ms;
    const char *why = NULL;

    pace_wait(&s->reads, now);
    if (now - s->reads.since_ms >= ms)
        why = "the client does not read the response";
    else if (!pace_left(&s->reads, now, ms, worker->conf->limits.min_read_rate))
        why = "the client read too slowly (limits.min_read_rate)";
    if (!why)
        return;
    count_add(&worker->row->slow_readers, 1);
    if (s->transport.exchange)
        worker->requests->cut(s->transport.exchange, EXCHANGE_END_TIMEOUT, why);
    s->finished = s->h2->reap = true;
    s->whole = false;
}

void h2_stream_look(struct h2_stream *s)
{
    bool sends = s->transport.exchange && s->want_body && !s->remote_ended && !s->nin;

    if (s->reset)
        return;
    if (s->nout && !s->h2->conn->writing)
        look_at_response(s);
    else if (sends && !s->h2->conn->writing)
        look_at_body(s);
}
