#include "worker/exchange.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/conf.h"
#include "worker/backends.h"
#include "worker/box.h"
#include "worker/core.h"
#include "worker/local.h"
#include "worker/record.h"
#include "worker/request.h"
#include "worker/sticky.h"
#include "worker/upstream.h"

static void timer_fired(struct loop_timer *timer);

/* ---- life */

struct exchange *exchange_new(struct worker *worker, const struct carrier_ops *ops,
                              struct client *client, const struct peer *peer,
                              const struct http_request *request)
{
    struct exchange *x = pool_take(&worker->exchanges);

    if (!x)
        return NULL;
    memset(x, 0, sizeof *x);
    x->worker = worker;
    x->ops = ops;
    x->client = client;
    x->peer = peer;
    x->request = request;
    x->timer.fire = timer_fired;
    x->at.begin = x->at.parsed = worker->loop.now_us;
    worker_request_id(worker, x->id);
    worker->nexchanges++;
    atomic_store_explicit(&worker->row->exchanges, worker->nexchanges, memory_order_relaxed);
    count_add(&worker->row->exchanges_total, 1);
    return x;
}

void exchange_arm(struct exchange *x, uint32_t ms)
{
    if (ms)
        loop_timer_set(&x->worker->loop, &x->timer, ms);
    else
        loop_timer_cancel(&x->timer);
}

static void join_running(struct exchange *x, struct backend_view *b)
{
    x->backend = b;
    x->running_prev = NULL;
    x->running_next = b->running;
    if (b->running)
        b->running->running_prev = x;
    b->running = x;
}

static void leave_running(struct exchange *x)
{
    struct backend_view *b = x->backend;

    if (!b)
        return;
    if (x->running_prev)
        x->running_prev->running_next = x->running_next;
    else
        b->running = x->running_next;
    if (x->running_next)
        x->running_next->running_prev = x->running_prev;
    x->running_prev = x->running_next = NULL;
    x->backend = NULL;
    backends_leave(x->worker, b);
}

static void drop_upstream(struct exchange *x)
{
    if (x->upstream)
        upstream_close(x->upstream);
    x->upstream = NULL;
}

void exchange_leave(struct exchange *x)
{
    drop_upstream(x);
    exchange_arm(x, 0);
    x->at.connected = x->at.sent = 0;
    leave_running(x);
}

/* The last step of every exchange: the log, then the carrier, then freed. */
static void finish(struct exchange *x, bool whole)
{
    struct worker *worker = x->worker;

    x->at.end = worker->loop.now_us;
    record_exchange(x);
    loop_timer_cancel(&x->timer);
    if (x->queued)
        backends_queue_leave(worker, x->pool, x);
    sticky_end(x);
    drop_upstream(x);
    x->ops->finish(x, whole);
    outbox_free(worker, x->outbox);
    inbox_free(worker, x->partial);
    leave_running(x);
    worker->nexchanges--;
    atomic_store_explicit(&worker->row->exchanges, worker->nexchanges, memory_order_relaxed);
    pool_give(&worker->exchanges, x);
}

void exchange_complete(struct exchange *x)
{
    struct upstream *u = x->upstream;

    count_add(&x->backend->cell->completed, 1);
    x->upstream = NULL;
    /* A request that was not sent to its end leaves the connection in no state
     * to be used again (case 58). */
    if (x->no_reuse || !x->body_done || u->waiting)
        upstream_close(u);
    else
        upstream_keep(u);
    finish(x, true);
}

void exchange_cut(struct exchange *x, enum exchange_end end, const char *detail)
{
    x->end = (uint8_t)end;
    x->detail = detail;
    if (!x->answered)
        x->status = 0;
    finish(x, false);
}

void exchange_answer_own(struct exchange *x, struct rewrite_own_info *info)
{
    x->status = info->status;
    finish(x, x->ops->own(x, info) >= 0);
}

void exchange_fail(struct exchange *x, uint16_t status, enum exchange_end end,
                   const char *error, const char *detail)
{
    struct rewrite_own_info info = {
        .status = status, .proxy_error = error, .proxy_detail = error ? detail : NULL};

    x->error = error;
    if (x->answered) {
        exchange_cut(x, end, detail);
        return;
    }
    x->end = (uint8_t)end;
    x->detail = detail;
    if (status == 503)
        info.retry_after = LOCAL_RETRY_AFTER_S;
    exchange_answer_own(x, &info);
}

void exchange_abort(struct exchange *x, uint16_t status, const char *detail)
{
    if (status)
        exchange_fail(x, status, EXCHANGE_END_CLIENT, NULL, detail);
    else
        exchange_cut(x, EXCHANGE_END_CLIENT, detail);
}

/* ---- the way to a backend */

/* Sends head and first body to the connected upstream. false: it is over. */
static bool send_outbox(struct exchange *x)
{
    ssize_t waiting = upstream_send(x->upstream, x->outbox->bytes, x->outbox->n);

    if (waiting < 0) {
        exchange_gone_unanswered(x, errno, false);
        return false;
    }
    count_add(&x->backend->cell->bytes_out, x->outbox->n);
    x->state = EXCHANGE_SENDING;
    if (waiting > 0)
        exchange_arm(x, x->route->timeouts.body_ms);
    else
        exchange_upstream_writable(x);
    return true;
}

enum exchange_flow exchange_connected(struct exchange *x)
{
    x->at.connected = x->worker->loop.now_us;
    return send_outbox(x) ? EXCHANGE_GO_ON : EXCHANGE_OVER;
}

void exchange_upstream_writable(struct exchange *x)
{
    if (x->state == EXCHANGE_TUNNEL || !x->body_done) {
        /* From here the client is waited for, and its deadline runs. */
        if (x->state == EXCHANGE_SENDING)
            exchange_arm(x, 0);
        x->ops->want_body(x);
        return;
    }
    if (!x->at.sent)
        x->at.sent = x->worker->loop.now_us;
    if (x->state == EXCHANGE_SENDING) {
        x->state = EXCHANGE_WAITING;
        exchange_arm(x, x->route->timeouts.first_byte_ms);
    }
}

static void connect_to(struct exchange *x, struct backend_view *b)
{
    join_running(x, b);
    x->sticky = b == x->home;
    x->at.chosen = x->worker->loop.now_us;
    x->attempts++;
    x->state = EXCHANGE_CONNECTING;
    x->upstream = upstream_get(b, x, x->fresh, &x->reused);
    if (!x->upstream) {
        exchange_connect_failed(x, errno);
        return;
    }
    if (x->reused) {
        x->at.connected = x->at.chosen;
        send_outbox(x);
        return;
    }
    exchange_arm(x, x->route->timeouts.connect_ms);
}

static void wait_in_queue(struct exchange *x)
{
    uint32_t limit = x->pool->conf->queue.timeout_ms;
    uint64_t waited = x->queued_ms ? x->worker->loop.now_ms - x->queued_ms : 0;

    if (waited >= limit || !backends_queue_join(x->worker, x->pool, x)) {
        exchange_fail(x, 503, EXCHANGE_END_PROXY, "connection_limit_reached",
                      waited >= limit ? "no place at any instance in time"
                                      : "the queue of the pool is full");
        return;
    }
    x->state = EXCHANGE_QUEUED;
    exchange_arm(x, (uint32_t)(limit - waited));
}

/* The last failure's own words, when every instance has been tried. */
static void fail_none_left(struct exchange *x)
{
    if (x->error)
        exchange_fail(x, x->status ? x->status : 502, EXCHANGE_END_BACKEND, x->error,
                      x->detail);
    else
        exchange_fail(x, 503, EXCHANGE_END_PROXY, "destination_unavailable",
                      "no instance may serve this request");
}

/* A home that failed us or may not serve any more is none: any other one will do. */
static bool has_lost_home(const struct exchange *x)
{
    uint32_t i = x->home ? (uint32_t)(x->home - x->pool->backends) : 0;

    return x->home && ((x->tried[i / 64] >> (i % 64) & 1) || !backends_is_home(x->home));
}

void exchange_choose(struct exchange *x)
{
    struct backend_view *b = NULL;

    if (has_lost_home(x))
        x->home = NULL;
    switch (backends_choose(x->worker, x->pool, x->home, x->tried, &b)) {
    case BACKENDS_CHOSEN:
        connect_to(x, b);
        return;
    case BACKENDS_NONE:
        fail_none_left(x);
        return;
    case BACKENDS_FULL:
    case BACKENDS_WAIT:
        wait_in_queue(x);
        return;
    }
}

bool exchange_retry_queued(struct exchange *x)
{
    struct backend_view *b = NULL;
    enum backends_choice choice;

    if (has_lost_home(x)) { /* it waits in another queue from now on, or not at all */
        backends_queue_leave(x->worker, x->pool, x);
        exchange_choose(x);
        return true;
    }
    choice = backends_choose(x->worker, x->pool, x->home, x->tried, &b);

    if (choice == BACKENDS_FULL || choice == BACKENDS_WAIT)
        return false;
    backends_queue_leave(x->worker, x->pool, x);
    if (choice == BACKENDS_CHOSEN)
        connect_to(x, b);
    else
        fail_none_left(x);
    return true;
}

void exchange_begin(struct exchange *x, const char *data, size_t n, bool last)
{
    x->body_done = last;
    x->bytes_in = n;
    if (!request_prepare(x, data, n, last))
        return;
    if (has_lost_home(x))
        x->home = NULL;
    /* Nobody overtakes those who wait already for the same. */
    if (backends_others_wait(x->pool, x->home))
        wait_in_queue(x);
    else
        exchange_choose(x);
}

/* ---- the request's body */

void exchange_body(struct exchange *x, char *data, size_t n, bool last)
{
    ssize_t waiting;

    x->bytes_in += n;
    if (x->state != EXCHANGE_TUNNEL) {
        if (x->bytes_in > x->route->body_bytes) {
            exchange_fail(x, 413, EXCHANGE_END_CLIENT, NULL, "body over the limit");
            return;
        }
        x->streamed = true;
        x->body_done = last;
        if (x->chunked)
            n = request_chunk(&data, n, last);
    } else {
        exchange_arm(x, x->route->timeouts.tunnel_ms);
    }
    waiting = n ? upstream_send(x->upstream, data, n) : 0;
    if (waiting < 0) {
        /* An early answer may still be there to read (case 58); the reading
         * side finds it, or the end. */
        x->no_reuse = true;
        x->upstream->readable = x->upstream->hung_up = true;
        if (!x->blocked)
            upstream_resume(x->upstream);
        return;
    }
    count_add(&x->backend->cell->bytes_out, n);
    if (waiting == 0)
        exchange_upstream_writable(x);
    else if (x->state == EXCHANGE_SENDING)
        exchange_arm(x, x->route->timeouts.body_ms);
}

void exchange_carrier_writable(struct exchange *x)
{
    if (!x->blocked)
        return;
    x->blocked = false;
    if (x->upstream)
        upstream_resume(x->upstream);
}

static void timer_fired(struct loop_timer *timer)
{
    struct exchange *x = (struct exchange *)((char *)timer - offsetof(struct exchange, timer));

    switch ((enum exchange_state)x->state) {
    case EXCHANGE_QUEUED:
        if (x->home && x->home->health.state == HEALTH_UNKNOWN) {
            backends_queue_leave(x->worker, x->pool, x);
            x->home = NULL;
            exchange_choose(x);
            return;
        }
        exchange_fail(x, 503, EXCHANGE_END_TIMEOUT, "connection_limit_reached",
                      "no place at any instance in time");
        return;
    case EXCHANGE_CONNECTING:
        exchange_connect_failed(x, ETIMEDOUT);
        return;
    case EXCHANGE_SENDING:
    case EXCHANGE_WAITING:
        count_add(&x->backend->cell->timeouts, 1);
        backends_complain(x->worker, x->backend);
        exchange_fail(x, 504, EXCHANGE_END_TIMEOUT,
                      x->state == EXCHANGE_WAITING ? "http_response_timeout"
                                                   : "connection_write_timeout",
                      x->state == EXCHANGE_WAITING ? "no first byte of an answer in time"
                                                   : "the instance does not take the request");
        return;
    case EXCHANGE_ANSWERING:
        count_add(&x->backend->cell->timeouts, 1);
        x->error = "connection_read_timeout";
        exchange_cut(x, EXCHANGE_END_TIMEOUT, "the answer stopped coming");
        return;
    case EXCHANGE_TUNNEL:
        exchange_cut(x, EXCHANGE_END_TIMEOUT, "nothing went through the tunnel");
        return;
    case EXCHANGE_LOCAL:
        return;
    }
}
