#include "worker/upstream/candidates.h"

#include <stdlib.h>

#include "base/conf/conf.h"
#include "shm/admission.h"
#include "shm/cap.h"
#include "worker/core/core.h"
#include "worker/upstream/backends.h"

enum {
    SLOW_STEP_MS = 20, /* a weight in slow start is at most so old */
};

int candidates_init(struct pool_view *pool)
{
    uint32_t n = pool->nbackends;

    pool->balance = calloc(n, sizeof *pool->balance);
    pool->in_flight = calloc(n, sizeof *pool->in_flight);
    pool->slots = calloc(n, sizeof *pool->slots);
    if (!pool->balance || !pool->in_flight || !pool->slots)
        return -1;
    pool->slots_run = true;
    for (uint32_t i = 0; i < n; i++) {
        pool->slots[i] = (uint16_t)pool->backends[i].slot;
        pool->slots_run &= pool->slots[i] == pool->slots[0] + i;
    }
    return 0;
}

enum balance_class candidates_class_of(const struct backend_view *b, uint64_t now_ms)
{
    if (b->admin == ADMIN_MAINT || !b->address_len || b->health.state == HEALTH_UNKNOWN)
        return BALANCE_NEVER;
    /* One on probation gets only the requests that worker/proxy/retry_budget.c gives it. */
    if (health_is_out(b->health.state) || b->health.state == HEALTH_PROBATION)
        return BALANCE_DOWN;
    if (b->admin == ADMIN_DRAIN)
        return BALANCE_DRAINING;
    if (b->avoid_until_ms > now_ms || b->health.state == HEALTH_SUSPECT)
        return BALANCE_AVOID;
    return BALANCE_GOOD;
}

static uint32_t weight_of(const struct backend_view *b, bool slow, uint64_t now_ms)
{
    uint32_t permille =
        slow ? admission_permille(b->health.risen_ms, b->pool->conf->slow_start_ms, now_ms)
             : 1000;

    return balance_weight(b->conf->weight, permille * b->health.weight_permille / 1000);
}

/* Is this good one as the first good one is? */
static bool is_like(const struct pool_view *pool, uint32_t first, uint32_t i)
{
    return pool->balance[i].weight == pool->balance[first].weight &&
           pool->balance[i].cap == pool->balance[first].cap;
}

static void renew(struct pool_view *pool, uint64_t now_ms)
{
    uint32_t first = pool->nbackends;

    pool->renew_ms = UINT64_MAX;
    pool->even = pool->weighted = pool->conf->balance == CONF_BALANCE_LEASTCONN;
    for (uint32_t i = 0; i < pool->nbackends; i++) {
        const struct backend_view *b = &pool->backends[i];
        struct balance *c = &pool->balance[i];
        bool slow = b->slow_until_ms > now_ms;

        c->standing = candidates_class_of(b, now_ms);
        c->weight = weight_of(b, slow, now_ms);
        c->cap = b->conf->max_in_flight ? b->conf->max_in_flight : UINT32_MAX;
        c->slow = slow || b->health.weight_permille <= HEALTH_UNLIKE_PERMILLE;
        if (slow && now_ms + SLOW_STEP_MS < pool->renew_ms)
            pool->renew_ms = now_ms + SLOW_STEP_MS;
        if (b->avoid_until_ms > now_ms && b->avoid_until_ms < pool->renew_ms)
            pool->renew_ms = b->avoid_until_ms;
        if (c->standing == BALANCE_GOOD && first == pool->nbackends)
            first = i;
        if (c->standing == BALANCE_AVOID || (c->standing == BALANCE_GOOD && c->slow))
            pool->weighted = false;
        else if (c->standing == BALANCE_GOOD)
            pool->even &= is_like(pool, first, i);
    }
    pool->weighted &= first < pool->nbackends;
    pool->even &= pool->weighted;
}

static void read_loads(struct worker *worker, struct pool_view *pool)
{
    pool->loads_ms = worker->loop.now_ms;
    pool->loads_turn = worker->loop.turn;
    if (!pool->slots_run || !cap_in_flight_run(worker->table, &worker->live, pool->slots[0],
                                               pool->nbackends, pool->in_flight))
        cap_in_flight_each(worker->table, &worker->live, pool->slots, pool->nbackends,
                           pool->in_flight);
}

bool candidates_reread(struct worker *worker, struct pool_view *pool)
{
    if (pool->loads_turn == worker->loop.turn)
        return false;
    read_loads(worker, pool);
    return true;
}

void candidates_look(struct worker *worker, struct pool_view *pool)
{
    if (worker->loop.now_ms >= pool->renew_ms)
        renew(pool, worker->loop.now_ms);
    if ((pool->loads_ms != worker->loop.now_ms || !pool->loads_turn) &&
        (pool->capped || pool->conf->balance == CONF_BALANCE_LEASTCONN))
        read_loads(worker, pool);
}

bool candidates_fill(struct pool_view *pool, const uint64_t *tried)
{
    bool full = false;

    for (uint32_t i = 0; i < pool->nbackends; i++) {
        struct balance *c = &pool->balance[i];

        c->class = tried[i / 64] >> (i % 64) & 1 ? BALANCE_NEVER : c->standing;
        c->in_flight = pool->in_flight[i];
        if (c->in_flight >= c->cap && c->class < BALANCE_DRAINING) {
            c->class = BALANCE_NEVER;
            full = true;
        }
    }
    return full;
}
