#include "worker/proxy/detached.h"

#include <stddef.h>

#include "base/check.h"
#include "base/container.h"
#include "base/fd.h"
#include "worker/core/core.h"
#include "worker/proxy/exchange.h"
#include "worker/proxy/retry_budget.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/upstream.h"

struct detached {
    struct attempt attempt; /* without an exchange */
    struct worker *worker;
    struct detached *prev, *next; /* in backend->detached */
    struct loop_timer timer;
    uint64_t elsewhere_us; /* how long another backend needed for the request */
};

void detached_init(struct worker *worker, size_t keep)
{
    mempool_init(&worker->detached, sizeof(struct detached), keep);
}

static bool is_worth_it(const struct attempt *a, uint64_t elsewhere_us)
{
    uint64_t oldest;

    if (!a->probation &&
        (!a->silent || detached_waiting(a->backend, &oldest) >= DETACHED_SILENT_MOST))
        return false;
    return a->state == EXCHANGE_WAITING &&
           elsewhere_us / 1000 * DETACHED_TIMES <= DETACHED_LIMIT_MS;
}

/* Frees it with its connection; its slot is left to the caller. */
static void detached_free(struct detached *d)
{
    struct backend_view *b = d->attempt.backend;

    if (d->prev)
        d->prev->next = d->next;
    else
        b->detached = d->next;
    if (d->next)
        d->next->prev = d->prev;
    loop_timer_cancel(&d->timer);
    if (d->attempt.probation)
        retry_budget_probation_release(d->worker, b);
    upstream_close(d->attempt.upstream);
    mempool_return(&d->worker->detached, d);
}

static void give_up(struct detached *d)
{
    struct worker *worker = d->worker;
    struct backend_view *b = d->attempt.backend;

    detached_free(d);
    backends_release_slot(worker, b);
}

/* ---- how long it waits */

static uint64_t waited_us(const struct detached *d)
{
    return d->worker->loop.now_us - d->attempt.chosen;
}

/* Is what it shows of use now? Before the backend is on probation healthd would not know what
 * to do with it. */
static bool is_judged(const struct detached *d)
{
    return d->attempt.probation || d->attempt.backend->health.cause == CAUSE_SILENT;
}

/* A silence of hang_timeout_ms began the probation. What waited there by then gets half as long
 * again: a backend that is only slow must not be cut off just before it responds. */
static uint64_t hang_timeout_us(const struct detached *d)
{
    uint64_t us = d->attempt.backend->health.hang_timeout_ms * UINT64_C(1000);

    return d->attempt.probation ? us : us / 2 * 3;
}

/* Sets the timer for the rest of the wait. false: the time is over. */
static bool wait_on(struct detached *d)
{
    uint64_t hang_us = hang_timeout_us(d);
    uint64_t limit_us = d->elsewhere_us * DETACHED_TIMES, waited = waited_us(d);
    uint64_t left_ms;

    if (!is_judged(d))
        limit_us = DETACHED_LIMIT_MS * UINT64_C(1000);
    else if (limit_us < hang_us)
        limit_us = hang_us;
    if (waited >= limit_us)
        return false;
    left_ms = (limit_us - waited) / 1000 + 1;
    if (!d->attempt.probation && left_ms > DETACHED_LOOK_MS)
        left_ms = DETACHED_LOOK_MS;
    loop_timer_set(&d->worker->loop, &d->timer, (uint32_t)left_ms);
    return true;
}

static void wait_over(struct detached *d)
{
    if (is_judged(d)) {
        count_add(&d->attempt.backend->cell->probation_unanswered, 1);
        fd_ring(d->worker->heritage->doorbell_healthd);
    }
    give_up(d);
}

static void timer_fired(struct loop_timer *timer)
{
    struct detached *d = container_of(timer, struct detached, timer);

    /* healthd may have raised the timeout meanwhile. */
    if (!wait_on(d))
        wait_over(d);
}

/* ---- what its connection tells: it is connected, and nothing waits to be sent */

static struct detached *detached_of(const struct upstream *u)
{
    return container_of(u->attempt, struct detached, attempt);
}

/* The next probation request gets 1.5 times the time that this one needed. */
static void note_response(const struct detached *d)
{
    struct backend_view *b = d->attempt.backend;
    uint64_t needed_ms = waited_us(d) / 1000 * 3 / 2;

    if (count_read(&b->cell->served_us) < d->attempt.chosen)
        atomic_store_explicit(&b->cell->served_us, d->attempt.chosen, memory_order_relaxed);
    if (needed_ms > DETACHED_HEDGE_MS)
        needed_ms = DETACHED_HEDGE_MS;
    if (d->attempt.probation && b->probation_hedge_ms < needed_ms)
        b->probation_hedge_ms = (uint32_t)needed_ms;
    count_add(&b->cell->latency[latency_bucket(waited_us(d))], 1);
}

static void detached_turn(struct upstream *u)
{
    (void)u;
}

static bool detached_wants_more(const struct upstream *u)
{
    (void)u;
    return true;
}

static bool detached_received(struct upstream *u, char *bytes, size_t n)
{
    struct detached *d = detached_of(u);

    (void)bytes, (void)n;
    note_response(d);
    give_up(d);
    return false;
}

static void detached_ended(struct upstream *u, int error)
{
    struct detached *d = detached_of(u);

    (void)error;
    /* A kept connection may just have been closed, which says nothing about the backend. */
    if (u->served == 0) {
        count_add(&u->backend->cell->resets, 1);
        backends_failed(d->worker, u->backend);
    }
    give_up(d);
}

static const struct upstream_ops detached_ops = {
    .turn = detached_turn,
    .wants_more = detached_wants_more,
    .received = detached_received,
    .ended = detached_ended,
};

/* ---- for the rest of the worker */

bool detached_begin(struct attempt *a, uint64_t elsewhere_us)
{
    struct worker *worker = a->exchange->worker;
    struct backend_view *b = a->backend;
    struct detached *d =
        is_worth_it(a, elsewhere_us) ? mempool_acquire(&worker->detached) : NULL;

    if (!d)
        return false;
    CHECK(!a->upstream->connecting && !upstream_waits(a->upstream));
    exchange_unlink_running(a);
    *d = (struct detached){
        .attempt = *a, .worker = worker, .next = b->detached, .elsewhere_us = elsewhere_us};
    d->attempt.exchange = NULL;
    d->attempt.backend = b;
    d->attempt.upstream->ops = &detached_ops;
    d->attempt.upstream->attempt = &d->attempt;
    a->upstream = NULL;
    if (b->detached)
        b->detached->prev = d;
    b->detached = d;
    count_add(&b->cell->detached, 1);
    fd_ring(worker->heritage->doorbell_healthd);
    d->timer.fire = timer_fired;
    if (!wait_on(d))
        wait_over(d);
    return true;
}

uint64_t detached_waiting(const struct backend_view *b, uint64_t *oldest_ms)
{
    uint64_t n = 0;

    *oldest_ms = 0;
    for (const struct detached *d = b->detached; d; d = d->next, n++)
        if (!*oldest_ms || d->attempt.chosen / 1000 < *oldest_ms)
            *oldest_ms = d->attempt.chosen / 1000;
    return n;
}

void detached_close(struct backend_view *b)
{
    while (b->detached) {
        detached_free(b->detached);
        backends_release_slot(b->pool->worker, b);
    }
}
