#include "worker/proxy/detached.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/container.h"
#include "base/fd.h"
#include "worker/core/core.h"
#include "worker/proxy/exchange.h"
#include "worker/proxy/retry_budget.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/upstream.h"

bool detached_takes(const struct attempt *a, uint64_t elsewhere_us)
{
    uint64_t oldest;

    if (!a->probation &&
        (!a->silent || detached_waiting(a->backend, &oldest) >= DETACHED_SILENT_MOST))
        return false;
    return a->state == EXCHANGE_WAITING &&
           elsewhere_us / 1000 * DETACHED_TIMES <= DETACHED_LIMIT_MS;
}

static void leave(struct upstream *u)
{
    struct backend_view *b = u->backend;

    if (u->prev)
        u->prev->next = u->next;
    else
        b->detached = u->next;
    if (u->next)
        u->next->prev = u->prev;
    u->prev = u->next = NULL;
    if (u->on_probation)
        retry_budget_probation_release(u->worker, b);
    upstream_close(u);
}

static void detached_give_up(struct upstream *u)
{
    struct worker *worker = u->worker;
    struct backend_view *b = u->backend;

    leave(u);
    backends_leave(worker, b);
}

static uint64_t waited_us(const struct upstream *u)
{
    return u->worker->loop.now_us - u->chosen_us;
}

/* Is what it shows of use now? Before the backend is on probation healthd would not know what
 * to do with it. */
static bool is_judged(const struct upstream *u)
{
    return u->on_probation || u->backend->health.probation == PROBATION_SILENT;
}

/* Sets the timer for the rest of the wait. false: the time is over. */
static bool wait_on(struct upstream *u)
{
    uint64_t patience_us = u->backend->health.hang_timeout_ms * UINT64_C(1000);
    uint64_t limit_us = u->elsewhere_us * DETACHED_TIMES, waited = waited_us(u);
    uint64_t left_ms;

    if (!is_judged(u))
        limit_us = DETACHED_LIMIT_MS * UINT64_C(1000);
    else if (limit_us < patience_us)
        limit_us = patience_us;
    if (waited >= limit_us)
        return false;
    left_ms = (limit_us - waited) / 1000 + 1;
    if (!u->on_probation && left_ms > DETACHED_LOOK_MS)
        left_ms = DETACHED_LOOK_MS;
    loop_timer_set(&u->worker->loop, &u->timer, (uint32_t)left_ms);
    return true;
}

static void patience_over(struct loop_timer *timer)
{
    struct upstream *u = container_of(timer, struct upstream, timer);

    /* healthd may have raised the timeout meanwhile. */
    if (wait_on(u))
        return;
    if (is_judged(u)) {
        count_add(&u->backend->cell->probation_unanswered, 1);
        fd_ring(u->worker->heritage->doorbell_healthd);
    }
    detached_give_up(u);
}

void detached_begin(const struct attempt *a, uint64_t elsewhere_us)
{
    struct upstream *u = a->upstream;
    struct backend_view *b = a->backend;

    CHECK(!u->idle && !u->connecting && !u->waiting);
    u->exchange = NULL;
    u->detached = detached_ready;
    u->chosen_us = a->chosen;
    u->elsewhere_us = elsewhere_us;
    u->on_probation = a->probation;
    u->prev = NULL;
    u->next = b->detached;
    if (b->detached)
        b->detached->prev = u;
    b->detached = u;
    count_add(&b->cell->detached, 1);
    fd_ring(u->worker->heritage->doorbell_healthd);
    u->timer.fire = patience_over;
    if (!wait_on(u))
        loop_timer_set(&u->worker->loop, &u->timer, 0); /* not now: a response is being read */
}

/* The next probation request gets 1.5 times the time that this one needed. */
static void note_response(struct upstream *u)
{
    struct backend_view *b = u->backend;
    uint64_t needed_ms = waited_us(u) / 1000 * 3 / 2;

    if (count_read(&b->cell->served_us) < u->chosen_us)
        atomic_store_explicit(&b->cell->served_us, u->chosen_us, memory_order_relaxed);
    if (needed_ms > DETACHED_HEDGE_MS)
        needed_ms = DETACHED_HEDGE_MS;
    if (u->on_probation && b->probation_hedge_ms < needed_ms)
        b->probation_hedge_ms = (uint32_t)needed_ms;
    count_add(&b->cell->latency[latency_bucket(waited_us(u))], 1);
}

void detached_ready(struct upstream *u)
{
    char bytes[512];
    ssize_t got = recv(u->source.fd, bytes, sizeof bytes, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0) {
        note_response(u);
    } else if (u->served == 0) {
        /* A kept connection may just have been closed, which says nothing about the backend. */
        count_add(&u->backend->cell->resets, 1);
        backends_failed(u->worker, u->backend);
    }
    detached_give_up(u);
}

uint64_t detached_waiting(const struct backend_view *b, uint64_t *oldest_ms)
{
    uint64_t n = 0;

    *oldest_ms = 0;
    for (const struct upstream *u = b->detached; u; u = u->next, n++)
        if (!*oldest_ms || u->chosen_us / 1000 < *oldest_ms)
            *oldest_ms = u->chosen_us / 1000;
    return n;
}

void detached_close(struct backend_view *b)
{
    while (b->detached) {
        leave(b->detached);
        backends_leave_quietly(b->pool->worker, b);
    }
}
