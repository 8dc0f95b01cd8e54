/* The queues for slots, and who gets a slot that became free (worker/backends.h). */
#include <stddef.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/cap.h"
#include "worker/backends.h"
#include "worker/core.h"
#include "worker/exchange.h"

bool backends_others_wait(const struct pool_view *pool, const struct backend_view *home)
{
    if (!home)
        return pool->waiters.first != NULL;
    /* Exchanges that can go to any backend do not wait for one that is drained. */
    return home->waiters.first || (pool->waiters.first && home->admin == ADMIN_READY);
}

static uint64_t wait_queue_since(const struct waiters *waiters)
{
    return waiters->first ? waiters->first->queued_ms : 0;
}

static bool is_of_backend(const struct pool_view *pool, const struct waiters *queue)
{
    return queue != &pool->waiters && queue != &pool->retriers;
}

static void publish_waiting(struct worker *worker, struct pool_view *pool,
                            const struct waiters *queue)
{
    if (is_of_backend(pool, queue)) {
        const struct backend_view *at =
            (const struct backend_view *)((uintptr_t)queue -
                                          offsetof(struct backend_view, waiters));

        atomic_store(&worker->row->queued[at->slot], at->waiters.n);
        atomic_store(&at->cell->waiting_since_ms, wait_queue_since(queue));
        return;
    }
    atomic_store(&worker->row->queued_any[pool->backends[0].slot],
                 pool->waiters.n + pool->retriers.n);
    if (queue == &pool->waiters)
        atomic_store(&worker->row->waiting_since_ms[pool->conf->index],
                     wait_queue_since(queue));
}

/* Returns 1 if the cell was wrong. */
static uint32_t wait_queue_repair(struct worker *worker, const struct backend_view *b)
{
    _Atomic uint32_t *queued = &worker->row->queued[b->slot];
    uint64_t since_ms = wait_queue_since(&b->waiters);

    if (atomic_load(queued) == b->waiters.n &&
        atomic_load(&b->cell->waiting_since_ms) == since_ms)
        return 0;
    atomic_store(queued, b->waiters.n);
    atomic_store(&b->cell->waiting_since_ms, since_ms);
    return 1;
}

uint32_t backends_queue_repair(struct worker *worker, struct pool_view *pool)
{
    _Atomic uint64_t *oldest = &worker->row->waiting_since_ms[pool->conf->index];
    _Atomic uint32_t *any = &worker->row->queued_any[pool->backends[0].slot];
    uint32_t of_pool = pool->waiters.n + pool->retriers.n;
    uint32_t n =
        atomic_load(oldest) != wait_queue_since(&pool->waiters) || atomic_load(any) != of_pool;

    atomic_store(oldest, wait_queue_since(&pool->waiters));
    atomic_store(any, of_pool);
    for (uint32_t i = 0; i < pool->nbackends; i++)
        n += wait_queue_repair(worker, &pool->backends[i]);
    return n;
}

static uint64_t older(uint64_t a, uint64_t b)
{
    return a && (!b || a < b) ? a : b;
}

/* When did the exchange begin to wait that has waited longest and could use a slot at that
 * backend? 0: none waits. */
static uint64_t waiting_since(const struct worker *worker, int row,
                              const struct backend_view *b)
{
    const struct worker_row *of = &worker->table->worker[row];

    return older(count_read(&of->waiting_since_ms[b->pool->conf->index]),
                 count_read(&of->be[b->slot].waiting_since_ms));
}

/* A slot became free: the exchange that has waited longest for one there gets it, in whichever
 * worker it is. */
static void offer_slot(struct worker *worker, struct backend_view *b)
{
    uint64_t oldest = waiting_since(worker, worker->heritage->row, b);
    int row = -1;

    for (int i = 0; i < worker->live.n; i++) {
        int other = worker->live.rows[i];
        uint64_t when = other == worker->heritage->row ? 0 : waiting_since(worker, other, b);

        if (when && (!oldest || when < oldest)) {
            oldest = when;
            row = other;
        }
    }
    if (row >= 0)
        fd_ring(worker->heritage->doorbell[row]);
    else if (oldest)
        backends_wake(worker, b->pool);
}

static void release_slot(struct worker *worker, const struct backend_view *b)
{
    cap_release(worker->table, worker->heritage->row, b->slot, b->conf->max_in_flight);
}

void backends_leave_quietly(struct worker *worker, struct backend_view *b)
{
    release_slot(worker, b);
    b->pool->freed = true;
}

void backends_leave(struct worker *worker, struct backend_view *b)
{
    release_slot(worker, b);
    if (b->conf->max_in_flight)
        offer_slot(worker, b);
    else if (b->pool->nwaiting)
        backends_wake(worker, b->pool);
}

/* Exchanges that wait for one backend can fill only that backend's share of the queue. */
static bool is_queue_full(struct worker *worker, struct pool_view *pool,
                          const struct backend_view *home)
{
    uint32_t size = pool->conf->queue.size;

    if (home && cap_queued(worker->table, &worker->live, home->slot) >= size)
        return true;
    return cap_queued_all(worker->table, &worker->live, pool->slots, pool->nbackends) >=
           size * pool->nbackends;
}

void backends_queue_refused(const struct exchange *x, bool timed_out)
{
    const struct pool_view *pool = x->pool;
    struct worker_backend *cell = (x->home ? x->home : &pool->backends[0])->cell;
    const struct conf_queue *queue = &pool->conf->queue;
    static struct log_gate full, late;

    count_add(timed_out ? &cell->queue_timeouts : &cell->queue_full, 1);
    if (timed_out && log_gate_open(&late))
        log_warn("pool %s: no slot of %s became free within queue.timeout (%u ms): 503",
                 pool->conf->name, x->home ? x->home->conf->name : "any backend",
                 queue->timeout_ms);
    else if (!timed_out && log_gate_open(&full))
        log_warn("pool %s: its queue is full (queue.size: %u for each backend): 503",
                 pool->conf->name, queue->size);
}

static struct waiters *wait_queue_of(struct pool_view *pool, const struct exchange *x)
{
    if (x->resent && !x->in_budget && !x->beyond_budget)
        return &pool->retriers;
    return x->home ? &x->home->waiters : &pool->waiters;
}

bool backends_queue_join(struct worker *worker, struct pool_view *pool, struct exchange *x)
{
    struct waiters *queue = wait_queue_of(pool, x);

    /* An exchange that had a slot before was already admitted. */
    if (!x->resent && is_queue_full(worker, pool, x->home))
        return false;
    x->queue_prev = queue->last;
    x->queue_next = NULL;
    if (queue->last)
        queue->last->queue_next = x;
    else
        queue->first = x;
    queue->last = x;
    queue->n++;
    pool->nwaiting++;
    pool->nhome_waiting += is_of_backend(pool, queue);
    x->queue = queue;
    if (!x->queued_ms)
        x->queued_ms = worker->loop.now_ms;
    publish_waiting(worker, pool, queue);
    return true;
}

void backends_queue_leave(struct worker *worker, struct pool_view *pool, struct exchange *x)
{
    struct waiters *queue = x->queue;

    CHECK(queue);
    if (x->queue_prev)
        x->queue_prev->queue_next = x->queue_next;
    else
        queue->first = x->queue_next;
    if (x->queue_next)
        x->queue_next->queue_prev = x->queue_prev;
    else
        queue->last = x->queue_prev;
    x->queue_prev = x->queue_next = NULL;
    x->queue = NULL;
    queue->n--;
    pool->nwaiting--;
    pool->nhome_waiting -= is_of_backend(pool, queue);
    publish_waiting(worker, pool, queue);
}

static void all_may_try(struct pool_view *pool)
{
    pool->waiters.stuck = pool->retriers.stuck = false;
    for (uint32_t i = 0; i < pool->nbackends && pool->nhome_waiting; i++)
        pool->backends[i].waiters.stuck = false;
}

static bool is_older(const struct waiters *a, const struct waiters *b)
{
    return a->first && !a->stuck && (!b || a->first->queued_ms < b->first->queued_ms);
}

/* The queue whose turn it is; NULL: no exchange can get a slot now. */
static struct waiters *oldest_queue(struct pool_view *pool)
{
    struct waiters *oldest = is_older(&pool->waiters, NULL) ? &pool->waiters : NULL;

    if (is_older(&pool->retriers, oldest))
        oldest = &pool->retriers;
    for (uint32_t i = 0; i < pool->nbackends && pool->nhome_waiting; i++)
        if (is_older(&pool->backends[i].waiters, oldest))
            oldest = &pool->backends[i].waiters;
    return oldest;
}

void backends_wake(struct worker *worker, struct pool_view *pool)
{
    struct waiters *queue;

    /* An exchange that gets its slot may end at once and wake others in turn: the flag turns
     * this recursion into a loop. */
    if (pool->waking || pool->closed || !pool->nwaiting)
        return;
    pool->waking = true;
    all_may_try(pool);
    while ((queue = oldest_queue(pool)) != NULL) {
        if (worker->retry_queued(queue->first))
            all_may_try(pool);
        else
            queue->stuck = true;
    }
    pool->waking = false;
}

void backends_queue_close(struct worker *worker)
{
    for (size_t i = 0; i < worker->conf->n_pools; i++)
        worker->pools[i].closed = true;
}

void backends_wake_due(struct worker *worker)
{
    bool look = worker->loop.now_ms >= worker->queue_look_ms;

    if (look)
        worker->queue_look_ms = worker->loop.now_ms + BACKENDS_LOOK_MS;
    for (size_t i = 0; i < worker->conf->n_pools; i++) {
        struct pool_view *pool = &worker->pools[i];

        if (look || pool->freed) {
            pool->freed = false;
            backends_wake(worker, pool);
        }
    }
}
