#include "worker/proxy/attempt.h"

#include <errno.h>

#include "base/conf/conf.h"
#include "base/container.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"
#include "worker/proxy/exchange.h"
#include "worker/proxy/retry_budget.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/upstream.h"

/* ---- deadlines */

/* May it be sent to a second backend while it waits at the first? */
static bool may_hedge(const struct exchange *x)
{
    return !x->hedged && !x->active->first_byte && x->safe && !x->binds && !x->streamed &&
           x->body_done && !x->affinity && !x->request->upgrade.n &&
           !exchange_other(x)->upstream;
}

/* A probation request is hedged early. Where requests failed and it is only slow, it gets the
 * time that it was seen to need, because a complete response has to end the probation. */
static uint32_t probation_delay(const struct exchange *x, uint32_t ms)
{
    const struct backend_view *b = x->active->backend;
    bool auto_ms = x->route->hedge_after_ms == CONF_HEDGE_AUTO;
    uint32_t limit = b->probation_hedge_ms ? b->probation_hedge_ms : ATTEMPT_HEDGE_PROBATION_MS;

    if (auto_ms && ms && b->probation_hedge_ms && b->health.cause != CAUSE_SILENT)
        return limit;
    return ms && ms < limit ? ms : limit;
}

/* How long after it went to its backend it is hedged, in milliseconds; 0: never. */
static uint32_t attempt_hedge_delay(const struct exchange *x)
{
    const struct backend_view *b = x->active->backend;
    uint32_t ms = x->route->hedge_after_ms;

    if (ms == CONF_HEDGE_AUTO)
        ms = b->hedge_ms;
    if (x->active->probation)
        ms = probation_delay(x, ms);
    else if (b->health.cause == CAUSE_SILENT && b->health.hedge_all)
        ms = ATTEMPT_HEDGE_NOW_MS;
    return ms && may_hedge(x) ? ms : 0;
}

/* ms: until the attempt fails; 0: without limit. race: until it is hedged; 0: never. */
static void arm(struct exchange *x, uint32_t ms, uint32_t race)
{
    x->hedge_due = race && (!ms || race < ms);
    exchange_arm(x, x->hedge_due ? race : ms);
}

static void arm_waiting(struct exchange *x)
{
    arm(x, exchange_time_left(x), attempt_hedge_delay(x));
}

/* A connection that does not open is silence, too; but a time that was set for a route runs
 * from the end of the request. */
static void arm_connecting(struct exchange *x)
{
    bool auto_ms = x->route->hedge_after_ms == CONF_HEDGE_AUTO;

    arm(x, exchange_time_left(x), auto_ms ? attempt_hedge_delay(x) : 0);
}

void attempt_hedge_now(struct exchange *x)
{
    if (x->active->state != EXCHANGE_WAITING || x->route->hedge_after_ms != CONF_HEDGE_AUTO ||
        !attempt_hedge_delay(x))
        return;
    arm(x, exchange_time_left(x), ATTEMPT_HEDGE_NOW_MS);
}

void attempt_arm(struct exchange *x)
{
    if (x->active->state == EXCHANGE_CONNECTING)
        arm_connecting(x);
    else if (x->active->state == EXCHANGE_SENDING)
        exchange_arm(x, x->route->timeouts.body_ms);
    else
        arm_waiting(x);
}

/* ---- sending */

void attempt_wait_for_room(struct exchange *x)
{
    if (!x->active->stuck_us)
        x->active->stuck_us = x->worker->loop.now_us;
    exchange_arm(x, x->route->timeouts.body_ms);
}

/* Sends head and first part of the body to the connected upstream. false: the exchange is
 * over. */
static bool send_request_buffer(struct exchange *x)
{
    ssize_t waiting =
        upstream_send(x->active->upstream, x->request_buffer->bytes, x->request_buffer->n);

    if (waiting < 0) {
        x->worker->failures->unanswered(x, errno, false);
        return false;
    }
    count_add(&x->active->backend->cell->bytes_out, x->request_buffer->n);
    x->active->state = EXCHANGE_SENDING;
    if (waiting > 0)
        attempt_wait_for_room(x);
    else
        attempt_writable(x);
    return true;
}

enum exchange_flow attempt_connected(struct exchange *x)
{
    x->active->connected = x->worker->loop.now_us;
    return send_request_buffer(x) ? EXCHANGE_GO_ON : EXCHANGE_OVER;
}

void attempt_continue(struct exchange *x)
{
    x->expects = false;
    attempt_writable(x);
}

void attempt_writable(struct exchange *x)
{
    x->active->stuck_us = 0;
    if (x->expects) {
        exchange_arm(x, EXCHANGE_EXPECT_MS);
        return;
    }
    if (x->active->state == EXCHANGE_TUNNEL || !x->body_done) {
        /* From here on the client must send, and its own deadline runs. */
        if (x->active->state == EXCHANGE_SENDING)
            exchange_arm(x, 0);
        x->active->wants_us = x->body_done ? 0 : x->worker->loop.now_us;
        x->transport->ops->want_body(x->transport);
        return;
    }
    if (!x->active->sent)
        x->active->sent = x->worker->loop.now_us;
    if (x->active->state == EXCHANGE_SENDING) {
        x->active->state = EXCHANGE_WAITING;
        arm_waiting(x);
    }
}

void attempt_connect(struct exchange *x, struct backend_view *b)
{
    exchange_join_running(x->active, b);
    x->active->sticky = b == x->affinity;
    x->active->chosen = x->worker->loop.now_us;
    x->attempts++;
    x->active->state = EXCHANGE_CONNECTING;
    const struct upstream_owner owner = {x->worker->upstream_ops, x->active,
                                         &x->transport->pins, x->binds,
                                         x->transport->ops->piece};
    x->active->upstream = upstream_get(b, &owner, x->fresh, &x->active->reused);
    if (!x->active->upstream) {
        x->worker->failures->connect(x, errno);
        return;
    }
    if (x->active->reused) {
        x->active->connected = x->active->chosen;
        send_request_buffer(x);
        return;
    }
    arm_connecting(x);
}

/* ---- choosing */

/* Reports the last failure, when every backend has been tried. */
static void fail_none_left(struct exchange *x)
{
    if (x->error)
        exchange_fail(x, x->status ? x->status : 502, (enum exchange_end)x->end, x->error,
                      x->detail);
    else
        exchange_fail(x, 503, EXCHANGE_END_PROXY, "destination_unavailable",
                      x->pool->out         ? x->pool->out
                      : x->pool->outage_ms ? "every backend of the pool is down"
                                           : "no backend may serve this request");
}

/* A request that was at a backend before reports what happened there. */
static void fail_no_slot(struct exchange *x, enum exchange_end end, const char *detail)
{
    if (x->error)
        fail_none_left(x);
    else
        exchange_fail(x, 503, end, "connection_limit_reached", detail);
}

void attempt_queue_timeout(struct exchange *x)
{
    wait_queue_refused(x->pool, x->affinity, true);
    fail_no_slot(x, EXCHANGE_END_TIMEOUT, "timed out waiting for a free backend slot");
}

static enum waiter_kind kind_of_waiter(const struct exchange *x)
{
    if (!x->resent)
        return WAITER_NEW;
    return x->in_budget || x->beyond_budget ? WAITER_AGAIN : WAITER_RETRY;
}

static void wait_in_queue(struct exchange *x)
{
    uint32_t limit = x->pool->conf->queue.timeout_ms;
    uint64_t waited = x->waiter.since_ms ? x->worker->loop.now_ms - x->waiter.since_ms : 0;

    if (waited >= limit) {
        attempt_queue_timeout(x);
        return;
    }
    if (!wait_queue_join(x->worker, x->pool, x->affinity, kind_of_waiter(x), &x->waiter)) {
        wait_queue_refused(x->pool, x->affinity, false);
        fail_no_slot(x, EXCHANGE_END_PROXY, "the queue of the pool is full");
        return;
    }
    x->active->state = EXCHANGE_QUEUED;
    exchange_arm(x, (uint32_t)(limit - waited));
}

/* An affinity target that failed or may not serve any more is dropped: any other backend will
 * do. */
static bool has_lost_affinity(const struct exchange *x)
{
    uint32_t i = x->affinity ? (uint32_t)(x->affinity - x->pool->backends) : 0;

    return x->affinity &&
           ((x->tried[i / 64] >> (i % 64) & 1) || !backends_serves_sessions(x->affinity));
}

/* A retry that ended in another worker before it could see this one wait has rung no
 * doorbell. */
static void wait_for_budget(struct exchange *x)
{
    struct pool_view *pool = x->pool;

    wait_in_queue(x);
    wait_queue_retry(pool);
}

void attempt_choose(struct exchange *x)
{
    struct backend_view *b;

    if (has_lost_affinity(x))
        x->affinity = NULL;
    if (!retry_budget_acquire(x)) {
        wait_for_budget(x);
        return;
    }
    b = retry_budget_probation_acquire(x);
    if (!b && x->pool->asked && !x->retried && x->route->hedge_after_ms == CONF_HEDGE_AUTO &&
        may_hedge(x))
        b = backends_choose_asked(x->worker, x->pool, x->tried);
    if (b) {
        attempt_connect(x, b);
        return;
    }
    switch (backends_choose(x->worker, x->pool, x->affinity, x->tried, &b)) {
    case BACKENDS_TRIES:
        x->active->opens = true;
        attempt_connect(x, b);
        return;
    case BACKENDS_CHOSEN:
        attempt_connect(x, b);
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

bool attempt_retry_queued(struct waiter *waiter)
{
    struct exchange *x = container_of(waiter, struct exchange, waiter);
    struct backend_view *b = NULL;
    bool was_counted = x->in_budget;
    enum backends_choice choice;

    if (!retry_budget_acquire(x)) {
        if (!x->refused || retry_budget_helps(x->pool))
            return false;
        wait_queue_leave(x->worker, x->pool, &x->waiter);
        fail_none_left(x);
        return true;
    }
    /* From now on it waits in another queue, or not at all. */
    if (has_lost_affinity(x) || x->in_budget != was_counted) {
        wait_queue_leave(x->worker, x->pool, &x->waiter);
        attempt_choose(x);
        return true;
    }
    choice = backends_choose_queued(x->worker, x->pool, x->affinity, x->tried, &b);

    if (choice == BACKENDS_FULL || choice == BACKENDS_WAIT)
        return false;
    wait_queue_leave(x->worker, x->pool, &x->waiter);
    x->active->opens = choice == BACKENDS_TRIES;
    if (choice == BACKENDS_CHOSEN || choice == BACKENDS_TRIES)
        attempt_connect(x, b);
    else
        fail_none_left(x);
    return true;
}

/* It has everything that it needs before it takes a slot. */
void attempt_join(struct exchange *x)
{
    if (has_lost_affinity(x))
        x->affinity = NULL;
    /* Nobody overtakes exchanges that already wait for the same. */
    if (wait_queue_has_others(x->pool, x->affinity))
        wait_in_queue(x);
    else
        attempt_choose(x);
}
