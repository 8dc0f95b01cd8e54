#include "worker/upstream/wait_queue.h"

#include <stddef.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/container.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/cap.h"
#include "shm/heritage.h"
#include "worker/core/core.h"
#include "worker/upstream/backends.h"

enum {
    OFFER_MS = 2, /* that long a free slot is left to the worker that was told of it */
    OFFER_SHARE = 8,
};

bool wait_queue_has_others(const struct pool_view *pool, const struct backend_view *affinity)
{
    if (!affinity)
        return pool->waiters.first != NULL;
    /* Exchanges that can go to any backend do not wait for one that is drained. */
    return affinity->waiters.first || (pool->waiters.first && affinity->admin == ADMIN_READY);
}

static uint64_t since_of(const struct waiters *waiters)
{
    return waiters->first ? waiters->first->since_ms : 0;
}

static bool is_of_backend(const struct pool_view *pool, const struct waiters *queue)
{
    return queue != &pool->waiters && queue != &pool->retriers;
}

static void publish_waiting(struct worker *worker, struct pool_view *pool,
                            const struct waiters *queue)
{
    atomic_store_explicit(&worker->row->queued_all[pool->slots[0]], pool->nwaiting,
                          memory_order_relaxed);
    if (is_of_backend(pool, queue)) {
        const struct backend_view *at = container_of(queue, struct backend_view, waiters);

        atomic_store(&worker->row->queued[at->slot], at->waiters.n);
        atomic_store(&at->cell->waiting_since_ms, since_of(queue));
        return;
    }
    atomic_store(&worker->row->queued_any[pool->backends[0].slot],
                 pool->waiters.n + pool->retriers.n);
    if (queue == &pool->waiters)
        atomic_store(&worker->row->waiting_since_ms[pool->conf->index], since_of(queue));
}

/* Returns 1 if the cell was wrong. */
static uint32_t mend(_Atomic uint32_t *cell, uint32_t want)
{
    if (atomic_load_explicit(cell, memory_order_relaxed) == want)
        return 0;
    atomic_store(cell, want);
    return 1;
}

static uint32_t mend_since(_Atomic uint64_t *cell, uint64_t want)
{
    if (atomic_load_explicit(cell, memory_order_relaxed) == want)
        return 0;
    atomic_store(cell, want);
    return 1;
}

static uint32_t mend_backend(struct worker *worker, const struct backend_view *b)
{
    const struct pool_view *pool = b->pool;
    bool first = b == pool->backends;

    return mend(&worker->row->queued[b->slot], b->waiters.n) +
           mend(&worker->row->queued_any[b->slot],
                first ? pool->waiters.n + pool->retriers.n : 0) +
           mend(&worker->row->queued_all[b->slot], first ? pool->nwaiting : 0) +
           mend_since(&b->cell->waiting_since_ms, since_of(&b->waiters));
}

uint32_t wait_queue_repair(struct worker *worker, struct pool_view *pool)
{
    uint32_t n =
        mend_since(&worker->row->waiting_since_ms[pool->conf->index], since_of(&pool->waiters));

    for (uint32_t i = 0; i < pool->nbackends; i++)
        n += mend_backend(worker, &pool->backends[i]);
    return n;
}

static uint64_t older(uint64_t a, uint64_t b)
{
    return a && (!b || a < b) ? a : b;
}

/* When did the exchange begin to wait that has waited longest in that worker and could use a
 * slot at that backend? 0: none waits. any: those that could use any backend may use it, too.
 */
static uint64_t waiting_since(const struct worker *worker, int row,
                              const struct backend_view *b, bool any)
{
    const struct worker_row *of = &worker->table->worker[row];
    uint64_t here = count_read(&of->be[b->slot].waiting_since_ms);

    return any ? older(count_read(&of->waiting_since_ms[b->pool->conf->index]), here) : here;
}

/* Is a request that waits elsewhere since `other` worth handing it our slot, for which one of
 * ours waits since `ours` (0: none)? It costs that worker a wake-up and often a new connection,
 * and the two have waited equally long in a steady overload. So it must have waited an eighth
 * longer; no request waits much longer than others because of that. */
static bool goes_first(uint64_t now_ms, uint64_t other, uint64_t ours)
{
    uint64_t waited = ours && ours < now_ms ? now_ms - ours : 0;

    return other && (!ours || other + waited + waited / OFFER_SHARE < now_ms);
}

static void look_by(struct pool_view *pool, uint64_t ms)
{
    if (ms < pool->look_ms)
        pool->look_ms = ms;
}

/* May an exchange that does not belong there use its slots? Those of a backend that drains or
 * is on probation are for its sessions while others serve. */
static bool is_for_any(const struct backend_view *b)
{
    return b->admin == ADMIN_READY && b->health.state != HEALTH_PROBATION;
}

/* Some slots may be left, and none of ours waits any more: the worker whose exchange has waited
 * longest looks. */
static void offer_rest(struct worker *worker, const struct pool_view *pool)
{
    uint64_t oldest = 0;
    int row = -1;

    for (int i = 0; i < worker->live.n; i++) {
        int other = worker->live.rows[i];
        uint64_t when =
            count_read(&worker->table->worker[other].waiting_since_ms[pool->conf->index]);

        if (other != worker->heritage->row && when && (!oldest || when < oldest)) {
            oldest = when;
            row = other;
        }
    }
    if (row >= 0)
        fd_ring_for(worker->heritage->doorbell[row], HERITAGE_RING_FREED);
}

void wait_queue_contended(struct worker *worker, struct pool_view *pool)
{
    uint64_t now_ms = worker->loop.now_ms, soon_ms = now_ms + OFFER_MS;

    if (pool->look_ms <= now_ms || pool->look_ms > soon_ms)
        pool->look_ms = soon_ms;
}

void wait_queue_freed(struct worker *worker, struct backend_view *b)
{
    bool other = b->conf->max_in_flight && worker->live.n > 1; /* one may wait elsewhere */

    if (!b->pool->nwaiting && !other)
        return;
    if (!b->conf->max_in_flight) {
        wait_queue_retry(b->pool);
        return;
    }
    if (b->nfreed++)
        return;
    b->freed_next = NULL;
    if (worker->freed_last)
        worker->freed_last->freed_next = b;
    else
        worker->freed_first = b;
    worker->freed_last = b;
    loop_defer(&worker->loop);
}

void wait_queue_retry(struct pool_view *pool)
{
    pool->due = true;
    loop_defer(&pool->worker->loop);
}

/* Loads that were read earlier in this turn of the loop do not know of that slot. */
void wait_queue_rung(struct worker *worker)
{
    for (size_t i = 0; i < worker->conf->n_pools; i++) {
        worker->pools[i].loads_turn = 0;
        wait_queue_retry(&worker->pools[i]);
    }
}

/* Exchanges that wait for one backend can fill only that backend's share of the queue. */
static bool is_queue_full(struct worker *worker, struct pool_view *pool,
                          const struct backend_view *affinity)
{
    uint32_t size = pool->conf->queue.size;

    if (affinity && cap_queued(worker->table, &worker->live, affinity->slot) >= size)
        return true;
    return cap_queued_all(worker->table, &worker->live, pool->slots[0]) >=
           size * pool->nbackends;
}

void wait_queue_refused(const struct pool_view *pool, const struct backend_view *affinity,
                        bool timed_out)
{
    struct worker_backend *cell = (affinity ? affinity : &pool->backends[0])->cell;
    const struct conf_queue *queue = &pool->conf->queue;
    static struct log_gate full, late;

    count_add(timed_out ? &cell->queue_timeouts : &cell->queue_full, 1);
    if (timed_out && log_gate_open(&late))
        log_warn("pool %s: no slot of %s became free within queue.timeout (%u ms): 503",
                 pool->conf->name, affinity ? affinity->conf->name : "any backend",
                 queue->timeout_ms);
    else if (!timed_out && log_gate_open(&full))
        log_warn("pool %s: its queue is full (queue.size: %u for each backend): 503",
                 pool->conf->name, queue->size);
}

static struct waiters *wait_queue_of(struct pool_view *pool, struct backend_view *affinity,
                                     enum waiter_kind kind)
{
    if (kind == WAITER_RETRY)
        return &pool->retriers;
    return affinity ? &affinity->waiters : &pool->waiters;
}

bool wait_queue_join(struct worker *worker, struct pool_view *pool,
                     struct backend_view *affinity, enum waiter_kind kind, struct waiter *w)
{
    struct waiters *queue = wait_queue_of(pool, affinity, kind);

    /* One that had a slot before was already admitted. */
    if (kind == WAITER_NEW && is_queue_full(worker, pool, affinity))
        return false;
    w->prev = queue->last;
    w->next = NULL;
    if (queue->last)
        queue->last->next = w;
    else
        queue->first = w;
    queue->last = w;
    queue->n++;
    /* If it is to be earlier, this one has just competed for a slot (wait_queue_contended()).
     */
    if (!pool->nwaiting++ && pool->look_ms <= worker->loop.now_ms)
        pool->look_ms = worker->loop.now_ms + WAIT_QUEUE_LOOK_MS;
    pool->nsession_waiting += is_of_backend(pool, queue);
    w->queue = queue;
    if (!w->since_ms)
        w->since_ms = worker->loop.now_ms;
    publish_waiting(worker, pool, queue);
    return true;
}

void wait_queue_leave(struct worker *worker, struct pool_view *pool, struct waiter *w)
{
    struct waiters *queue = w->queue;

    CHECK(queue);
    if (w->prev)
        w->prev->next = w->next;
    else
        queue->first = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        queue->last = w->prev;
    w->prev = w->next = NULL;
    w->queue = NULL;
    queue->n--;
    pool->nwaiting--;
    pool->nsession_waiting -= is_of_backend(pool, queue);
    publish_waiting(worker, pool, queue);
}

static void all_may_try(struct pool_view *pool)
{
    pool->waiters.stuck = pool->retriers.stuck = false;
    for (uint32_t i = 0; i < pool->nbackends && pool->nsession_waiting; i++)
        pool->backends[i].waiters.stuck = false;
}

static bool is_older(const struct waiters *a, const struct waiters *b)
{
    return a->first && !a->stuck && (!b || a->first->since_ms < b->first->since_ms);
}

/* The queue whose turn it is; NULL: no exchange can get a slot now. */
static struct waiters *oldest_queue(struct pool_view *pool)
{
    struct waiters *oldest = is_older(&pool->waiters, NULL) ? &pool->waiters : NULL;

    if (is_older(&pool->retriers, oldest))
        oldest = &pool->retriers;
    for (uint32_t i = 0; i < pool->nbackends && pool->nsession_waiting; i++)
        if (is_older(&pool->backends[i].waiters, oldest))
            oldest = &pool->backends[i].waiters;
    return oldest;
}

static void retry_waiting(struct worker *worker, struct pool_view *pool)
{
    struct waiters *queue;
    bool took = false;

    pool->due = false;
    if (pool->closed || !pool->nwaiting)
        return;
    all_may_try(pool);
    while ((queue = oldest_queue(pool)) != NULL) {
        if (worker->retry_queued(queue->first)) {
            took = true;
            all_may_try(pool);
        } else {
            queue->stuck = true;
        }
    }
    if (took && !pool->nwaiting)
        offer_rest(worker, pool);
}

/* The queue of those that could use the slot that is offered; NULL: nobody wants it. */
static struct waiters *oldest_for(struct pool_view *pool, struct backend_view *b, bool any)
{
    struct waiters *oldest = is_older(&b->waiters, NULL) ? &b->waiters : NULL;

    if (any && is_older(&pool->waiters, oldest))
        oldest = &pool->waiters;
    if (is_older(&pool->retriers, oldest))
        oldest = &pool->retriers;
    return oldest;
}

/* Offers n slots to those of ours that wait. false: some are left, for another worker. */
static bool offer_to_ours(struct worker *worker, struct backend_view *b, uint32_t n, bool any)
{
    struct pool_view *pool = b->pool;
    const uint32_t *load = &pool->in_flight[b - pool->backends];
    uint32_t full = *load + n;
    struct waiters *queue;

    b->waiters.stuck = pool->waiters.stuck = pool->retriers.stuck = false;
    pool->offered = b;
    while (*load < full && (queue = oldest_for(pool, b, any)) != NULL)
        if (!worker->retry_queued(queue->first))
            queue->stuck = true;
    pool->offered = NULL;
    return *load >= full;
}

static struct backend_view *take_freed(struct worker *worker, uint32_t *n)
{
    struct backend_view *b = worker->freed_first;

    if (!b)
        return NULL;
    worker->freed_first = b->freed_next;
    if (!b->freed_next)
        worker->freed_last = NULL;
    *n = b->nfreed;
    b->nfreed = 0;
    return b;
}

/* n slots became free: the exchange that has waited longest for one there gets it, in whichever
 * worker it is, or ours if that has waited about as long. If that is another one, ours look a
 * moment later: it may hang, or its exchange may have tried this backend, or it has one
 * exchange for several slots. */
static void offer_slots(struct worker *worker, struct backend_view *b, uint32_t n)
{
    struct pool_view *pool = b->pool;
    bool any = is_for_any(b), closed = pool->closed;
    uint64_t ours = closed ? 0 : waiting_since(worker, worker->heritage->row, b, any);
    uint64_t oldest = 0;
    int row = -1;

    for (int i = 0; i < worker->live.n; i++) {
        int other = worker->live.rows[i];
        uint64_t when =
            other == worker->heritage->row ? 0 : waiting_since(worker, other, b, any);

        if (when && (!oldest || when < oldest)) {
            oldest = when;
            row = other;
        }
    }
    if (goes_first(worker->loop.now_ms, oldest, ours))
        look_by(pool, worker->loop.now_ms + OFFER_MS);
    else if (closed || !pool->nwaiting || offer_to_ours(worker, b, n, any))
        return;
    if (row >= 0)
        fd_ring_for(worker->heritage->doorbell[row], HERITAGE_RING_FREED);
}

void wait_queue_run(struct loop *loop)
{
    struct worker *worker = container_of(loop, struct worker, loop);
    struct backend_view *b;
    uint32_t n;

    while ((b = take_freed(worker, &n)) != NULL)
        offer_slots(worker, b, n);
    for (size_t i = 0; i < worker->conf->n_pools; i++)
        if (worker->pools[i].due)
            retry_waiting(worker, &worker->pools[i]);
}

void wait_queue_close(struct worker *worker)
{
    for (size_t i = 0; i < worker->conf->n_pools; i++)
        worker->pools[i].closed = true;
}

bool wait_queue_look(struct worker *worker)
{
    uint64_t now_ms = worker->loop.now_ms;
    bool any;

    for (size_t i = 0; i < worker->conf->n_pools; i++) {
        struct pool_view *pool = &worker->pools[i];

        if (!pool->nwaiting || now_ms < pool->look_ms)
            continue;
        pool->look_ms = now_ms + WAIT_QUEUE_LOOK_MS;
        wait_queue_retry(pool);
    }
    any = worker->loop.deferred;
    loop_run_deferred(&worker->loop);
    return any;
}

int wait_queue_look_in_ms(const struct worker *worker, int most)
{
    if (worker->loop.deferred)
        return 0;
    for (size_t i = 0; i < worker->conf->n_pools; i++) {
        const struct pool_view *pool = &worker->pools[i];
        uint64_t left =
            pool->look_ms > worker->loop.now_ms ? pool->look_ms - worker->loop.now_ms : 0;

        if (pool->nwaiting && left < (uint64_t)most)
            most = (int)left;
    }
    return most;
}
