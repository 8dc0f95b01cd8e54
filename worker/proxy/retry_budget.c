#include "worker/proxy/retry_budget.h"

#include "base/conf/conf.h"
#include "base/fd.h"
#include "shm/cap.h"
#include "worker/core/core.h"
#include "worker/proxy/exchange.h"
#include "worker/upstream/backends.h"

static uint32_t pool_in_flight(const struct worker *worker, const struct pool_view *pool)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < pool->nbackends; i++)
        total += cap_in_flight(worker->table, &worker->live, pool->backends[i].slot);
    return total;
}

bool retry_budget_acquire(struct exchange *x)
{
    struct worker *worker = x->worker;

    if (!x->resent || x->in_budget || x->beyond_budget)
        return true;
    x->in_budget = cap_retry_acquire(worker->table, &worker->live, worker->heritage->row,
                                     (int)x->pool->conf->index,
                                     cap_retries(pool_in_flight(worker, x->pool)));
    return x->in_budget;
}

bool retry_budget_exceed(struct exchange *x)
{
    if (!x->resent || x->in_budget || x->beyond_budget || x->retried != CONF_RETRY_VERDICT)
        return false;
    x->beyond_budget = true;
    return true;
}

/* Lets another exchange use the freed part of the budget: one of ours, or one that waits in
 * another worker. */
static void retry_budget_pass_on(struct worker *worker, struct pool_view *pool)
{
    int slot = pool->backends[0].slot; /* the cell in which they are counted */

    if (pool->retriers.first) {
        wait_queue_retry(pool);
        return;
    }
    for (int i = 0; i < worker->live.n; i++) {
        int row = worker->live.rows[i];

        if (row != worker->heritage->row &&
            atomic_load(&worker->table->worker[row].queued_any[slot]))
            fd_ring_for(worker->heritage->doorbell[row], HERITAGE_RING_FREED);
    }
}

void retry_budget_release(struct exchange *x)
{
    struct worker *worker = x->worker;

    if (!x->in_budget)
        return;
    x->in_budget = false;
    cap_retry_release(worker->table, worker->heritage->row, (int)x->pool->conf->index);
    retry_budget_pass_on(worker, x->pool);
}

static bool has_forgotten(const struct pool_view *pool)
{
    return pool->worker->loop.now_ms - pool->retries_useless_ms > RETRIES_USELESS_MS;
}

void retry_budget_result(const struct exchange *x, unsigned status)
{
    struct pool_view *pool = x->pool;

    if (status < 500 || has_forgotten(pool))
        pool->retries_useless = 0;
    if (status < 500)
        return;
    if (pool->retries_useless < RETRIES_USELESS)
        pool->retries_useless++;
    pool->retries_useless_ms = pool->worker->loop.now_ms;
}

bool retry_budget_helps(const struct pool_view *pool)
{
    return pool->retries_useless < RETRIES_USELESS || has_forgotten(pool);
}

static uint32_t least_expects(const struct pool_view *pool)
{
    uint32_t least = UINT32_MAX;

    for (uint32_t i = 0; i < pool->nbackends; i++) {
        uint32_t may = cap_expects(pool->backends[i].conf->max_in_flight);

        least = may < least ? may : least;
    }
    return least;
}

bool retry_budget_expect_acquire(struct exchange *x)
{
    struct worker *worker = x->worker;

    x->in_expects = cap_expect_acquire(worker->table, &worker->live, worker->heritage->row,
                                       (int)x->pool->conf->index, least_expects(x->pool));
    return x->in_expects;
}

void retry_budget_expect_release(struct exchange *x)
{
    if (!x->in_expects)
        return;
    x->in_expects = false;
    cap_expect_release(x->worker->table, x->worker->heritage->row, (int)x->pool->conf->index);
}

/* Only requests that are safe, complete, without a session, not a tunnel (which would hold the
 * probation slot for long), and not retried or hedged already. */
static bool may_try(const struct exchange *x)
{
    return x->safe && x->body_done && !x->affinity && !x->retried && !x->binds && !x->hedged &&
           !x->request->upgrade.n && x->pool->conf->retries > 0 &&
           x->route->retry & CONF_RETRY_EMPTY;
}

static bool acquire_probation_slot(struct worker *worker, const struct backend_view *b)
{
    int row = worker->heritage->row;
    uint32_t most = b->health.cause == CAUSE_SILENT ? PROBATION_SILENT_SLOTS : PROBATION_SLOTS;

    if (!cap_probation_acquire(worker->table, &worker->live, row, b->slot, most))
        return false;
    if (cap_acquire(worker->table, &worker->live, row, b->slot, b->conf->max_in_flight))
        return true;
    cap_probation_release(worker->table, row, b->slot);
    return false;
}

/* Publishes it at once, not at the next tick: otherwise healthd might conclude that no request
 * came for the probation. */
static void tell_waiting(const struct exchange *x, const struct backend_view *b)
{
    if (count_read(&b->cell->unanswered))
        return;
    atomic_store_explicit(&b->cell->oldest_ms, x->worker->loop.now_ms, memory_order_relaxed);
    atomic_store_explicit(&b->cell->unanswered, 1, memory_order_relaxed);
}

struct backend_view *retry_budget_probation_acquire(struct exchange *x)
{
    struct pool_view *pool = x->pool;

    if (!pool->nprobation || !may_try(x) || !backends_has_healthy(pool, x->tried))
        return NULL;
    for (uint32_t i = 0; i < pool->nbackends; i++) {
        struct backend_view *b = &pool->backends[i];

        if (b->health.state != HEALTH_PROBATION || b->admin != ADMIN_READY || !b->address_len ||
            !acquire_probation_slot(x->worker, b))
            continue;
        x->active->probation = true;
        tell_waiting(x, b);
        return b;
    }
    return NULL;
}

void retry_budget_probation_release(struct worker *worker, const struct backend_view *b)
{
    cap_probation_release(worker->table, worker->heritage->row, b->slot);
}
