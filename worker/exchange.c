#include "worker/exchange.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/conf.h"
#include "worker/backends.h"
#include "worker/blame.h"
#include "worker/box.h"
#include "worker/budget.h"
#include "worker/core.h"
#include "worker/hedge.h"
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
    /* While two attempts race, they have one deadline (hedge_start()). */
    if (x->rival.upstream)
        return;
    if (ms)
        loop_timer_set(&x->worker->loop, &x->timer, ms);
    else
        loop_timer_cancel(&x->timer);
}

void exchange_join_running(struct exchange *x, struct backend_view *b)
{
    x->backend = b;
    x->running_prev = NULL;
    x->running_next = b->running;
    if (b->running)
        b->running->running_prev = x;
    b->running = x;
}

void exchange_unlink_running(struct exchange *x)
{
    struct backend_view *b = x->backend;

    if (x->running_prev)
        x->running_prev->running_next = x->running_next;
    else
        b->running = x->running_next;
    if (x->running_next)
        x->running_next->running_prev = x->running_prev;
    x->running_prev = x->running_next = NULL;
    x->backend = NULL;
}

static void leave_running(struct exchange *x)
{
    struct backend_view *b = x->backend;

    if (!b)
        return;
    exchange_unlink_running(x);
    if (x->trial)
        trial_give(x->worker, b);
    x->trial = false;
    backends_leave(x->worker, b);
}

static void drop_upstream(struct exchange *x)
{
    if (x->upstream)
        upstream_close(x->upstream);
    x->upstream = NULL;
}

static void forget_answer(struct exchange *x)
{
    inbox_free(x->worker, x->partial);
    inbox_free(x->worker, x->held);
    x->partial = x->held = NULL;
    x->at.first_byte = 0;
    x->backend_status = 0;
    x->interims = 0;
    x->no_reuse = false;
}

void exchange_leave(struct exchange *x)
{
    drop_upstream(x);
    exchange_arm(x, 0);
    x->at.connected = x->at.sent = 0;
    forget_answer(x);
    leave_running(x);
}

/* The last step of every exchange: the log, then the carrier, then freed. */
static void finish(struct exchange *x, bool whole)
{
    struct worker *worker = x->worker;

    x->at.end = worker->loop.now_us;
    record_exchange(x);
    loop_timer_cancel(&x->timer);
    if (x->queue)
        backends_queue_leave(worker, x->pool, x);
    sticky_end(x);
    drop_upstream(x);
    x->ops->finish(x, whole);
    outbox_free(worker, x->outbox);
    inbox_free(worker, x->partial);
    inbox_free(worker, x->held);
    hedge_drop(x);
    leave_running(x);
    budget_give(x);
    worker->nexchanges--;
    atomic_store_explicit(&worker->row->exchanges, worker->nexchanges, memory_order_relaxed);
    pool_give(&worker->exchanges, x);
}

void exchange_complete(struct exchange *x)
{
    struct upstream *u = x->upstream;

    backends_completed(x->backend);
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

uint32_t exchange_time_left(const struct exchange *x)
{
    uint32_t ms = x->route->timeouts.first_byte_ms;
    uint64_t waited = (x->worker->loop.now_us - x->at.sent) / 1000;

    return !ms ? 0 : waited < ms ? ms - (uint32_t)waited : 1;
}

static void arm_waiting(struct exchange *x)
{
    uint32_t ms = exchange_time_left(x), race = hedge_delay(x);

    x->race_due = race && (!ms || race < ms) && !x->rival.upstream;
    exchange_arm(x, x->race_due ? race : ms);
}

void exchange_arm_state(struct exchange *x)
{
    if (x->state == EXCHANGE_CONNECTING)
        exchange_arm(x, x->route->timeouts.connect_ms);
    else if (x->state == EXCHANGE_SENDING)
        exchange_arm(x, x->route->timeouts.body_ms);
    else
        arm_waiting(x);
}

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
        arm_waiting(x);
    }
}

void exchange_connect(struct exchange *x, struct backend_view *b)
{
    exchange_join_running(x, b);
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

/* Who was at an instance before is told what happened there. */
static void fail_no_place(struct exchange *x, enum exchange_end end, const char *detail)
{
    if (x->error)
        fail_none_left(x);
    else
        exchange_fail(x, 503, end, "connection_limit_reached", detail);
}

static void wait_in_queue(struct exchange *x)
{
    uint32_t limit = x->pool->conf->queue.timeout_ms;
    uint64_t waited = x->queued_ms ? x->worker->loop.now_ms - x->queued_ms : 0;

    if (waited >= limit) {
        fail_no_place(x, EXCHANGE_END_PROXY, "no place at any instance in time");
        return;
    }
    if (!backends_queue_join(x->worker, x->pool, x)) {
        fail_no_place(x, EXCHANGE_END_PROXY, "the queue of the pool is full");
        return;
    }
    x->state = EXCHANGE_QUEUED;
    exchange_arm(x, (uint32_t)(limit - waited));
}

/* A home that failed us or may not serve any more is none: any other one will do. */
static bool has_lost_home(const struct exchange *x)
{
    uint32_t i = x->home ? (uint32_t)(x->home - x->pool->backends) : 0;

    return x->home && ((x->tried[i / 64] >> (i % 64) & 1) || !backends_is_home(x->home));
}

/* One that ended in another worker before it could see us wait rang no bell. */
static void wait_for_budget(struct exchange *x)
{
    struct worker *worker = x->worker;
    struct pool_view *pool = x->pool;

    wait_in_queue(x);
    backends_wake(worker, pool);
}

void exchange_choose(struct exchange *x)
{
    struct backend_view *b;

    if (has_lost_home(x))
        x->home = NULL;
    if (!budget_take(x)) {
        wait_for_budget(x);
        return;
    }
    b = trial_take(x);
    if (b) {
        exchange_connect(x, b);
        return;
    }
    switch (backends_choose(x->worker, x->pool, x->home, x->tried, &b)) {
    case BACKENDS_CHOSEN:
        exchange_connect(x, b);
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
    bool was_counted = x->in_budget;
    enum backends_choice choice;

    if (!budget_take(x)) {
        if (!x->refused || blame_retry_helps(x->pool))
            return false;
        backends_queue_leave(x->worker, x->pool, x);
        fail_none_left(x);
        return true;
    }
    /* It waits in another queue from now on, or not at all. */
    if (has_lost_home(x) || x->in_budget != was_counted) {
        backends_queue_leave(x->worker, x->pool, x);
        exchange_choose(x);
        return true;
    }
    choice = backends_choose(x->worker, x->pool, x->home, x->tried, &b);

    if (choice == BACKENDS_FULL || choice == BACKENDS_WAIT)
        return false;
    backends_queue_leave(x->worker, x->pool, x);
    if (choice == BACKENDS_CHOSEN)
        exchange_connect(x, b);
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

    hedge_late(x);
    switch ((enum exchange_state)x->state) {
    case EXCHANGE_QUEUED:
        if (x->home && x->home->health.state == HEALTH_UNKNOWN) {
            backends_queue_leave(x->worker, x->pool, x);
            x->home = NULL;
            exchange_choose(x);
            return;
        }
        fail_no_place(x, EXCHANGE_END_TIMEOUT, "no place at any instance in time");
        return;
    case EXCHANGE_CONNECTING:
        exchange_connect_failed(x, ETIMEDOUT);
        return;
    case EXCHANGE_SENDING:
        exchange_no_answer(x, "connection_write_timeout",
                           "the instance does not take the request");
        return;
    case EXCHANGE_WAITING:
        if (x->race_due) {
            x->race_due = false;
            hedge_start(x);
        } else {
            exchange_no_answer(x, "http_response_timeout",
                               "no first byte of an answer in time");
        }
        return;
    case EXCHANGE_ANSWERING:
        exchange_answer_cut(x, true, "connection_read_timeout", "the answer stopped coming");
        return;
    case EXCHANGE_TUNNEL:
        exchange_cut(x, EXCHANGE_END_TIMEOUT, "nothing went through the tunnel");
        return;
    case EXCHANGE_LOCAL:
        return;
    }
}
