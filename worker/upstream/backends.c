#include "worker/upstream/backends.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/admission.h"
#include "shm/cap.h"
#include "worker/core/core.h"
#include "worker/upstream/candidates.h"
#include "worker/upstream/fail_open.h"

enum {
    AVOID_MS = 1000, /* after a failed connect; by then healthd has probed */
};

bool backends_has_healthy(const struct pool_view *pool, const uint64_t *tried)
{
    for (uint32_t i = 0; i < pool->nbackends; i++) {
        const struct backend_view *b = &pool->backends[i];

        if (!(tried[i / 64] >> (i % 64) & 1) && b->address_len && b->admin == ADMIN_READY &&
            health_serves(b->health.state) && b->health.state != HEALTH_PROBATION)
            return true;
    }
    return false;
}

/* Is there another healthy backend? */
bool backends_has_better(const struct backend_view *b)
{
    uint32_t i = (uint32_t)(b - b->pool->backends);
    uint64_t itself[TABLE_BACKENDS / 64] = {0};

    itself[i / 64] = UINT64_C(1) << (i % 64);
    return backends_has_healthy(b->pool, itself);
}

static int name_authority(struct backend_view *b)
{
    char *text = NULL;
    int n = asprintf(&text, strchr(b->conf->host, ':') ? "[%s]:%u" : "%s:%u", b->conf->host,
                     b->conf->port);

    if (n < 0)
        return -1;
    b->authority = str_make(text, (size_t)n);
    return 0;
}

int backends_init(struct worker *worker)
{
    const struct conf *conf = worker->conf;

    worker->pools = calloc(conf->n_pools, sizeof *worker->pools);
    worker->backends = calloc(conf->n_backends, sizeof *worker->backends);
    if (!worker->pools || !worker->backends)
        return -1;
    for (size_t i = 0; i < conf->n_pools; i++) {
        struct pool_view *pool = &worker->pools[i];

        pool->worker = worker;
        pool->conf = &conf->pools[i];
        pool->backends = worker->backends + (pool->conf->backends - conf->backends);
        pool->nbackends = (uint32_t)pool->conf->n_backends;
        for (uint32_t k = 0; k < pool->nbackends; k++) {
            struct backend_view *b = &pool->backends[k];

            b->conf = &pool->conf->backends[k];
            b->pool = pool;
            b->slot = worker->heritage->backend_slot[b->conf->index];
            b->cell = &worker->row->be[b->slot];
            if (name_authority(b) < 0)
                return -1;
            if (b->conf->max_in_flight)
                pool->capped = true;
        }
        if (candidates_init(pool) < 0)
            return -1;
        /* Workers start at different positions, so that together they are even. */
        for (uint32_t k = 0; k < pool->nbackends; k++)
            pool->balance[k].weight = balance_weight(pool->backends[k].conf->weight, 1000);
        for (int turn = 0; turn < worker->heritage->slot; turn++)
            balance_round(pool->balance, pool->nbackends, BALANCE_GOOD);
        pool->turn = (uint32_t)worker->heritage->slot % pool->nbackends;
    }
    return 0;
}

bool backends_serves_sessions(const struct backend_view *b)
{
    if (b->admin == ADMIN_MAINT)
        return false;
    if (health_is_out(b->health.state) || b->health.cause == CAUSE_EJECTED)
        return b->address_len && !backends_has_better(b);
    /* Before the first verdict it is worth waiting for it. */
    return b->address_len || b->health.state == HEALTH_UNKNOWN;
}

struct backend_view *backends_by_id(const struct pool_view *pool, uint32_t id)
{
    for (uint32_t i = 0; i < pool->nbackends; i++)
        if (pool->backends[i].id == id)
            return &pool->backends[i];
    return NULL;
}

static bool backends_acquire_slot(struct worker *worker, struct backend_view *b)
{
    uint32_t *load = &b->pool->in_flight[b - b->pool->backends];
    uint32_t cap = b->conf->max_in_flight;

    if (cap_acquire(worker->table, &worker->live, worker->heritage->row, b->slot, cap)) {
        ++*load;
        return true;
    }
    *load = cap_in_flight(worker->table, &worker->live, b->slot);
    if (*load < cap)
        wait_queue_contended(worker, b->pool);
    return false;
}

void backends_release_slot(struct worker *worker, struct backend_view *b)
{
    uint32_t *load = &b->pool->in_flight[b - b->pool->backends];

    cap_release(worker->table, worker->heritage->row, b->slot, b->conf->max_in_flight);
    *load -= *load > 0;
    wait_queue_freed(worker, b);
}

static enum backends_choice nothing_left(const struct pool_view *pool, const uint64_t *tried)
{
    for (uint32_t i = 0; i < pool->nbackends; i++) {
        const struct backend_view *b = &pool->backends[i];

        if (!(tried[i / 64] >> (i % 64) & 1) && b->admin != ADMIN_MAINT &&
            b->health.state == HEALTH_UNKNOWN)
            return BACKENDS_WAIT;
    }
    return BACKENDS_NONE;
}

/* A session's backend that is down follows the same rules as a pool in which all are down. */
static enum backends_choice choose_down_affinity(struct worker *worker,
                                                 struct backend_view *affinity,
                                                 struct backend_view **chosen)
{
    enum conf_fail_open mode = affinity->pool->conf->fail_open;
    bool tries = mode == CONF_FAIL_OPEN_ONE && !fail_open_is_open(worker, affinity);

    if (mode == CONF_FAIL_OPEN_OFF || (tries && !fail_open_acquire(worker, affinity->pool)))
        return BACKENDS_NONE;
    *chosen = affinity;
    if (backends_acquire_slot(worker, affinity))
        return tries ? BACKENDS_TRIES : BACKENDS_CHOSEN;
    if (tries)
        fail_open_release(worker, affinity->pool);
    return BACKENDS_FULL;
}

static enum backends_choice choose_affinity(struct worker *worker,
                                            struct backend_view *affinity,
                                            struct backend_view **chosen)
{
    if (affinity->health.state == HEALTH_UNKNOWN)
        return BACKENDS_WAIT;
    if (health_is_out(affinity->health.state))
        return choose_down_affinity(worker, affinity, chosen);
    if (!backends_acquire_slot(worker, affinity))
        return BACKENDS_FULL;
    *chosen = affinity;
    return BACKENDS_CHOSEN;
}

/* A slot that an exchange waits for must not go to a later one that could use another backend.
 */
static bool leave_to_waiting(struct pool_view *pool)
{
    bool any = false;

    for (uint32_t i = 0; i < pool->nbackends && pool->nsession_waiting; i++) {
        if (pool->backends[i].waiters.first && pool->balance[i].class != BALANCE_NEVER) {
            pool->balance[i].class = BALANCE_NEVER;
            any = true;
        }
    }
    return any;
}

/* Excludes backends that are down and not open from the choice. true: others are left. */
static bool keep_open(struct worker *worker, struct pool_view *pool)
{
    bool any = false;

    for (uint32_t i = 0; i < pool->nbackends; i++) {
        const struct backend_view *b = &pool->backends[i];

        if (pool->balance[i].class == BALANCE_DOWN && health_is_out(b->health.state) &&
            !fail_open_is_open(worker, b))
            pool->balance[i].class = BALANCE_NEVER;
        any |= pool->balance[i].class != BALANCE_NEVER;
    }
    return any;
}

/* The most promising backend of those that are down. */
static struct backend_view *best_down(struct worker *worker, struct pool_view *pool,
                                      const uint64_t *tried)
{
    struct backend_view *best = NULL;
    uint32_t highest = 0;

    for (uint32_t i = 0; i < pool->nbackends; i++) {
        struct backend_view *b = &pool->backends[i];
        uint32_t rank = fail_open_rank(&b->health, b->avoid_until_ms > worker->loop.now_ms);

        if (tried[i / 64] >> (i % 64) & 1 ||
            candidates_class_of(b, worker->loop.now_ms) != BALANCE_DOWN)
            continue;
        /* Of two with equal rank, the one that was healthy last. */
        if (!best || rank > highest ||
            (rank == highest && b->health.since_ms > best->health.since_ms)) {
            best = b;
            highest = rank;
        }
    }
    return best;
}

static enum backends_choice try_down(struct worker *worker, struct pool_view *pool,
                                     const uint64_t *tried, struct backend_view **chosen)
{
    struct backend_view *b = best_down(worker, pool, tried);

    if (!b || pool->conf->fail_open == CONF_FAIL_OPEN_OFF || !fail_open_acquire(worker, pool))
        return nothing_left(pool, tried);
    if (backends_acquire_slot(worker, b)) {
        *chosen = b;
        return BACKENDS_TRIES;
    }
    fail_open_release(worker, pool);
    return BACKENDS_FULL;
}

static bool has_tried(const uint64_t *tried)
{
    uint64_t any = 0;

    for (int i = 0; i < TABLE_BACKENDS / 64; i++)
        any |= tried[i];
    return any;
}

/* The usual case, without a look at more than weights and loads. BACKENDS_WAIT: it is not the
 * usual case after all. */
static enum backends_choice choose_good(struct worker *worker, struct pool_view *pool,
                                        struct backend_view **chosen)
{
    int i = pool->even ? balance_even(pool->balance, pool->in_flight, pool->nbackends,
                                      BALANCE_GOOD, &pool->turn)
                       : balance_weighted(pool->balance, pool->in_flight, pool->nbackends,
                                          BALANCE_GOOD);
    struct backend_view *b;

    if (i < 0 || pool->in_flight[i] >= pool->balance[i].cap)
        return BACKENDS_FULL;
    b = &pool->backends[i];
    if (!backends_acquire_slot(worker, b))
        return BACKENDS_WAIT;
    *chosen = b;
    return BACKENDS_CHOSEN;
}

static enum backends_choice choose_any(struct worker *worker, struct pool_view *pool,
                                       const uint64_t *tried, bool in_turn,
                                       struct backend_view **chosen)
{
    bool full = candidates_fill(pool, tried);
    enum balance_class class;

    if (!in_turn)
        full |= leave_to_waiting(pool);
    for (;;) {
        int i;

        class = balance_best(pool->balance, pool->nbackends);
        /* While a healthy backend is only full, waiting for it is better than using a drained
         * one or one that is down. */
        if (class == BALANCE_NEVER || (full && class >= BALANCE_DRAINING))
            return full ? BACKENDS_FULL : nothing_left(pool, tried);
        if (class == BALANCE_DOWN && pool->conf->fail_open != CONF_FAIL_OPEN_ALL &&
            !keep_open(worker, pool))
            return try_down(worker, pool, tried, chosen);
        i = pool->conf->balance == CONF_BALANCE_LEASTCONN
                ? balance_least(pool->balance, pool->nbackends, class)
                : balance_round(pool->balance, pool->nbackends, class);
        CHECK(i >= 0);
        if (backends_acquire_slot(worker, &pool->backends[i])) {
            *chosen = &pool->backends[i];
            return BACKENDS_CHOSEN;
        }
        pool->balance[i].class = BALANCE_NEVER;
        full = true;
    }
}

/* Its slot just became free, and is offered to those that wait: all others are taken, otherwise
 * nobody would wait. */
static bool take_offered(struct worker *worker, struct pool_view *pool, const uint64_t *tried,
                         struct backend_view **chosen)
{
    struct backend_view *b = pool->offered;
    uint32_t i = (uint32_t)(b - pool->backends);

    if (tried[i / 64] >> (i % 64) & 1 ||
        candidates_class_of(b, worker->loop.now_ms) != BALANCE_GOOD ||
        !backends_acquire_slot(worker, b))
        return false;
    *chosen = b;
    return true;
}

/* in_turn: it waits in a queue, whose order decides. */
static inline enum backends_choice choose(struct worker *worker, struct pool_view *pool,
                                          const uint64_t *tried, bool in_turn,
                                          struct backend_view **chosen)
{
    enum backends_choice choice;

    if (in_turn && pool->offered && take_offered(worker, pool, tried, chosen))
        return BACKENDS_CHOSEN;
    do {
        choice = BACKENDS_WAIT;
        candidates_look(worker, pool);
        if (pool->weighted && !has_tried(tried) && (in_turn || !pool->nsession_waiting))
            choice = choose_good(worker, pool, chosen);
        if (choice == BACKENDS_WAIT)
            choice = choose_any(worker, pool, tried, in_turn, chosen);
    } while (choice == BACKENDS_FULL && candidates_reread(worker, pool));
    return choice;
}

enum backends_choice backends_choose(struct worker *worker, struct pool_view *pool,
                                     struct backend_view *affinity,
                                     const uint64_t tried[TABLE_BACKENDS / 64],
                                     struct backend_view **chosen)
{
    return affinity ? choose_affinity(worker, affinity, chosen)
                    : choose(worker, pool, tried, false, chosen);
}

enum backends_choice backends_choose_queued(struct worker *worker, struct pool_view *pool,
                                            struct backend_view *affinity,
                                            const uint64_t tried[TABLE_BACKENDS / 64],
                                            struct backend_view **chosen)
{
    return affinity ? choose_affinity(worker, affinity, chosen)
                    : choose(worker, pool, tried, true, chosen);
}

struct backend_view *backends_choose_asked(struct worker *worker, struct pool_view *pool,
                                           const uint64_t *tried)
{
    struct backend_view *b = pool->asked;
    uint32_t i = b ? (uint32_t)(b - pool->backends) : 0;

    pool->asked = NULL;
    if (!b || tried[i / 64] >> (i % 64) & 1 || pool->nwaiting ||
        worker->loop.now_us - pool->asked_us >= SILENCE_ASK_MS * UINT64_C(1000) ||
        candidates_class_of(b, worker->loop.now_ms) != BALANCE_GOOD ||
        !backends_acquire_slot(worker, b))
        return NULL;
    return b;
}

/* ---- observed faults and successes */

void backends_complain(struct worker *worker, struct backend_view *b)
{
    b->avoid_until_ms = worker->loop.now_ms + AVOID_MS;
    candidates_changed(b->pool);
    fail_open_failed(b);
    fd_ring(worker->heritage->doorbell_healthd);
}

void backends_failed(struct worker *worker, struct backend_view *b)
{
    if (b->failed_in_row < UINT32_MAX)
        atomic_store_explicit(&b->cell->failed_in_row, ++b->failed_in_row,
                              memory_order_relaxed);
    backends_complain(worker, b);
}

void backends_completed(struct backend_view *b)
{
    count_add(&b->cell->completed, 1);
    if (!b->failed_in_row)
        return;
    b->failed_in_row = 0;
    atomic_store_explicit(&b->cell->failed_in_row, 0, memory_order_relaxed);
}

static uint32_t mend(_Atomic uint32_t *cell, uint32_t want)
{
    if (atomic_load_explicit(cell, memory_order_relaxed) == want)
        return 0;
    atomic_store(cell, want);
    return 1;
}

uint32_t backends_repair(struct worker *worker)
{
    uint32_t n = cap_repair(worker->table, worker->heritage->row);

    n += mend(&worker->row->incarnation, worker->heritage->incarnation);
    n += mend(&worker->row->config_generation, worker->heritage->generation);
    for (size_t i = 0; i < worker->conf->n_pools; i++)
        n += wait_queue_repair(worker, &worker->pools[i]);
    for (size_t i = 0; i < worker->conf->n_backends; i++) {
        struct backend_view *b = &worker->backends[i];

        n += mend(&b->cell->failed_in_row, b->failed_in_row);
        n += count_read(&b->cell->idle) != b->nidle + b->npinned;
        atomic_store(&b->cell->idle, b->nidle + b->npinned);
    }
    atomic_store(&worker->row->connections, worker->nconns - worker->nwatchers);
    atomic_store(&worker->row->exchanges, worker->nexchanges);
    return n;
}
