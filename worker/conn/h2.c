/* HTTP/2 on a client's connection: its life, and what its connection asks of it
 * (worker/conn/h2.h). */
#include "worker/conn/h2.h"

#include <nghttp2/nghttp2.h>
#include <string.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/container.h"
#include "worker/conn/conn_state.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"

static void tick(struct loop_timer *timer);

/* ---- begin and end */

static void put_setting(uint8_t *to, unsigned id, uint32_t value)
{
    to[0] = (uint8_t)(id >> 8);
    to[1] = (uint8_t)id;
    to[2] = (uint8_t)(value >> 24);
    to[3] = (uint8_t)(value >> 16);
    to[4] = (uint8_t)(value >> 8);
    to[5] = (uint8_t)value;
}

static void greet(struct h2 *h2)
{
    uint8_t settings[4 * 6];

    put_setting(settings, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS);
    put_setting(settings + 6, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW);
    put_setting(settings + 12, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
                h2->conn->worker->limits.head);
    put_setting(settings + 18, H2_ENABLE_CONNECT_PROTOCOL, 1);
    h2_send_frame(h2, H2_SETTINGS, 0, 0, settings, sizeof settings);
    h2_send_number(h2, H2_WINDOW_UPDATE, 0, H2_CONN_WINDOW - H2_WINDOW_DEFAULT);
}

static void h2_init(struct conn *c)
{
    struct h2 *h2 = mempool_acquire(&c->worker->h2s);

    c->h2 = h2;
    if (h2) {
        memset(h2, 0, sizeof *h2);
        h2->conn = c;
        h2->tick.fire = tick;
        h2->send_window = h2->initial = H2_WINDOW_DEFAULT;
        h2->recv_window = H2_CONN_WINDOW;
        h2_budget_init(&h2->budget, c->worker->loop.now_ms);
    }
    if (!h2 || nghttp2_hd_inflate_new(&h2->inflater) != 0 ||
        nghttp2_hd_deflate_new(&h2->deflater, H2_TABLE) != 0) {
        c->state = CONN_CLOSED;
        return;
    }
    if (!conn_of_status(c))
        count_add(&c->worker->row->http2_connections, 1);
    greet(h2);
    if (c->worker->draining)
        h2_protocol.drain(c);
}

static void h2_release(struct conn *c)
{
    struct h2 *h2 = c->h2;

    if (!h2)
        return;
    while (h2->first)
        h2_stream_free(h2->first);
    loop_timer_cancel(&h2->tick);
    head_buffer_free(c->worker, h2->part);
    head_buffer_free(c->worker, h2->block);
    if (h2->out)
        mempool_return(&c->worker->h2_outs, h2->out);
    if (h2->inflater)
        nghttp2_hd_inflate_del(h2->inflater);
    if (h2->deflater)
        nghttp2_hd_deflate_del(h2->deflater);
    mempool_return(&c->worker->h2s, h2);
    c->h2 = NULL;
}

/* ---- one step */

/* Reads once. 1: got some; 0: none now; -1: the end. */
static int h2_read(struct h2 *h2)
{
    struct conn *c = h2->conn;
    ssize_t got;

    if (!c->stream.readable)
        return 0;
    got = stream_read(&c->stream, c->worker->h2_in, H2_READ);
    if (got == STREAM_AGAIN)
        return 0;
    if (got <= 0)
        return -1;
    h2_feed(h2, (const uint8_t *)c->worker->h2_in, (size_t)got);
    return 1;
}

static void abort_all(struct h2 *h2, const char *why)
{
    for (struct h2_stream *s = h2->first; s; s = s->next) {
        h2_stream_abort(s, why);
        s->whole = false;
    }
    h2->reap = true;
}

static void attend(struct h2 *h2)
{
    while (h2->attend) {
        h2->attend = false;
        for (struct h2_stream *s = h2->first; s; s = s->next)
            h2_stream_attend(s);
        h2_pump(h2);
        h2_wake(h2, true);
    }
}

/* The state follows from what there is. */
static void h2_settle(struct h2 *h2)
{
    struct conn *c = h2->conn;
    bool part = h2->nhead || h2->at > H2_AT_HEAD || h2->block_stream;
    enum conn_state state = h2->nstreams || c->writing ? CONN_EXCHANGE
                            : part                     ? CONN_HEAD
                                                       : CONN_IDLE;

    if (state == c->state)
        return;
    c->state = (uint8_t)state;
    if (state == CONN_HEAD)
        c->head_us = c->worker->loop.now_us;
    if (state != CONN_EXCHANGE)
        conn_arm_wait(c);
    else if (!c->writing)
        conn_arm(c, 0);
}

/* The connection ends after the last word: with GOAWAY, and all streams are over. */
static void end_dead(struct h2 *h2)
{
    struct conn *c = h2->conn;

    abort_all(h2, "the client broke the rules of HTTP/2");
    h2_streams_reap(h2);
    h2_flush(h2);
    c->stream.readable = c->stream.readable && !c->writing;
    if (!c->writing || c->broken)
        conn_close_politely(c, true);
    else
        c->state = CONN_EXCHANGE;
}

static bool end_broken(struct h2 *h2)
{
    abort_all(h2, "the client went away");
    h2_streams_reap(h2);
    conn_close_hard(h2->conn);
    return true;
}

/* Draining, or going for another reason: the last stream has been served. */
static bool is_over(const struct h2 *h2)
{
    return h2->going && !h2->nstreams && !h2->conn->writing && !h2->out;
}

static bool h2_step(struct conn *c)
{
    struct h2 *h2 = c->h2;
    int got;

    if (c->broken || c->cut)
        return end_broken(h2);
    got = h2->dead ? 0 : h2_read(h2);
    if (got < 0) {
        c->broken = true;
        return end_broken(h2);
    }
    attend(h2);
    h2_streams_reap(h2);
    if (got > 0 && !h2->dead)
        return true;
    if (h2->announced && h2->ponged && !h2->going)
        h2_go(h2);
    h2_flush(h2);
    if (c->broken || h2->attend)
        return true;
    if (h2->dead) {
        end_dead(h2);
        return c->state != CONN_EXCHANGE;
    }
    if (is_over(h2)) {
        conn_close_politely(c, true);
        return true;
    }
    h2_settle(h2);
    return false;
}

/* ---- deadlines */

static void tick(struct loop_timer *timer)
{
    struct h2 *h2 = container_of(timer, struct h2, tick);
    struct conn *c = h2->conn;
    uint64_t late_us = c->worker->conf->timeouts.header_ms * UINT64_C(1000);

    for (struct h2_stream *s = h2->first; s; s = s->next)
        h2_stream_look(s);
    if (h2->block_stream && c->worker->loop.now_us - h2->block_us > late_us)
        h2_limit(h2, &c->worker->row->http2_ended_blocks,
                 "a header block did not come to its end");
    if (h2->nstreams)
        loop_timer_set(&c->worker->loop, timer, H2_TICK_MS);
    if (h2->reap || h2->dead)
        conn_schedule(c);
}

static void h2_late(struct conn *c)
{
    if (c->state == CONN_HEAD)
        h2_limit(c->h2, &c->worker->row->http2_ended_blocks, "a frame did not come to its end");
}

/* ---- what happens to the connection */

static void h2_writable(struct conn *c, bool all)
{
    (void)all;
    h2_pump(c->h2);
    h2_wake(c->h2, true);
}

static bool h2_cut(struct conn *c, enum exchange_end end, const char *why)
{
    bool any = false;

    for (struct h2_stream *s = c->h2 ? c->h2->first : NULL; s; s = s->next)
        if (s->transport.exchange) {
            c->worker->requests->cut(s->transport.exchange, end, why);
            any = true;
        }
    return any;
}

/* Its last GOAWAY: streams that are newer than the last one are not served. */
void h2_go(struct h2 *h2)
{
    if (h2->going || h2->dead)
        return;
    h2->going = true;
    h2_send_goaway(h2, h2->newest, H2_NO_ERROR);
}

static void h2_close(struct conn *c)
{
    h2_go(c->h2);
    h2_flush(c->h2);
    stream_shutdown(&c->stream, false);
    c->state = CONN_CLOSED;
}

/* Two steps (RFC 9113 6.8): first the client learns that it should send no more; what is under
 * way meanwhile is served. When its reply to our PING is here, it knows. */
static void h2_drain(struct conn *c)
{
    static const char ping[8] = "pasgate";
    struct h2 *h2 = c->h2;

    if (h2->announced || h2->dead)
        return;
    h2->announced = true;
    h2_send_goaway(h2, H2_WINDOW_MAX, H2_NO_ERROR);
    h2_send_frame(h2, H2_PING, 0, 0, ping, sizeof ping);
    if (c->state == CONN_IDLE || c->state == CONN_HEAD)
        conn_arm(c, WORKER_DRAIN_IDLE_MS);
}

static void h2_drop_head(struct conn *c, const char *why)
{
    h2_limit(c->h2, &c->worker->row->http2_ended_blocks, why);
    head_buffer_free(c->worker, c->h2->part);
    head_buffer_free(c->worker, c->h2->block);
    c->h2->part = c->h2->block = NULL;
    c->state = CONN_EXCHANGE;
}

static uint32_t h2_send_ms(const struct conn *c)
{
    return c->worker->conf->timeouts.send_ms;
}

const struct protocol h2_protocol = {
    .init = h2_init,
    .step = h2_step,
    .writable = h2_writable,
    .late = h2_late,
    .cut = h2_cut,
    .close = h2_close,
    .drain = h2_drain,
    .drop_head = h2_drop_head,
    .send_ms = h2_send_ms,
    .release = h2_release,
};
