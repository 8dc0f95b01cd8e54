#include "worker/proxy/refresh.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "base/conf/conf.h"
#include "base/log.h"
#include "shm/admission.h"
#include "worker/core/core.h"
#include "worker/proxy/attempt.h"
#include "worker/proxy/detached.h"
#include "worker/proxy/exchange.h"
#include "worker/proxy/hedge.h"
#include "worker/proxy/retry.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/candidates.h"
#include "worker/upstream/upstream.h"

static void find_live_rows(struct worker *worker)
{
    worker->live.n = 0;
    for (int r = 0; r < TABLE_WORKERS; r++)
        if (r == worker->heritage->row ||
            (table_row_used(worker->table, r) && worker_row_live(worker->table, r)))
            worker->live.rows[worker->live.n++] = r;
}

static void refresh_health(struct backend_view *b)
{
    const struct health *at = &b->pool->worker->table->health[b->slot];
    uint32_t n = seq_number(&at->seq);
    struct health_row health;

    if ((n && n == b->health_n) || !health_read(at, &health))
        return;
    /* Kept connections lead to the old host. Those in use end with their exchange. */
    if (b->address_len &&
        memcmp(&b->health.address, &health.address, sizeof health.address) != 0) {
        b->addresses++;
        upstream_close_idle(b);
    }
    b->health = health;
    b->health_n = n;
    b->slow_until_ms = health.risen_ms ? health.risen_ms + b->pool->conf->slow_start_ms : 0;
    candidates_changed(b->pool);
}

static void refresh_admin(struct backend_view *b)
{
    const struct admin *at = &b->pool->worker->table->admin[b->slot];
    uint32_t n = seq_number(&at->seq);
    struct admin_row admin;
    bool cut;

    if ((n && n == b->admin_n) || !admin_read(at, &admin))
        return;
    cut = admission_drains(&admin) && admin.drained == DRAIN_CUT;
    b->admin = (uint8_t)admission_state(&admin);
    b->admin_n = n;
    b->evicts = cut && !b->cut;
    b->cut = cut;
    b->by_operator = admin.override != ADMIN_READY;
    candidates_changed(b->pool);
}

static void refresh_view(struct backend_view *b)
{
    refresh_health(b);
    refresh_admin(b);
    b->address_len = 0;
    if (b->health.has_address && b->health.address.ss_family == AF_INET)
        b->address_len = sizeof(struct sockaddr_in);
    if (b->health.has_address && b->health.address.ss_family == AF_INET6)
        b->address_len = sizeof(struct sockaddr_in6);
    if (b->health.has_address && b->health.address.ss_family == AF_UNIX)
        b->address_len = sizeof(struct sockaddr_un);
    if (b->health.state != HEALTH_PROBATION)
        b->probation_hedge_ms = 0;
    if (health_is_out(b->health.state) || b->admin == ADMIN_MAINT) {
        upstream_close_idle(b);
        detached_close(b);
    }
}

/* Moves exchanges that wait at a backend which is down, where that is safe: otherwise they
 * would only wait for their deadline. Repeated at each refresh, because there may have been no
 * other backend before. */
static void move_waiting(struct backend_view *b)
{
    if (!b->running || !backends_has_better(b))
        return;
    for (struct exchange *x = exchange_first_running(b); x; x = exchange_next_running(b))
        retry_move(x);
}

/* An exchange whose active attempt is elsewhere, and the other one here. */
static struct exchange *hedged_at(const struct backend_view *b)
{
    for (const struct attempt *a = b->running; a; a = a->running_next)
        if (a != a->exchange->active)
            return a->exchange;
    return NULL;
}

/* A drain has timed out. No new exchanges come: none may begin here any more. */
static void evict_running(struct backend_view *b)
{
    struct exchange *x;

    b->evicts = false;
    detached_close(b);
    while ((x = hedged_at(b)) != NULL)
        exchange_drop_hedge(x);
    for (x = exchange_first_running(b); x; x = exchange_next_running(b))
        retry_evict(x, "drain_timeout");
}

/* Their backend responds to nothing: arms their hedges. */
static void hedge_all_waiting(struct backend_view *b)
{
    for (struct attempt *a = b->running; a; a = a->running_next)
        if (a->state == EXCHANGE_WAITING && !a->probation && !a->exchange->hedged)
            attempt_arm(a->exchange);
}

/* Who took all backends out, so that nothing is tried; NULL: not all are out. */
static const char *out_text(const struct pool_view *pool)
{
    bool by_operator = true;

    for (uint32_t i = 0; i < pool->nbackends; i++) {
        if (pool->backends[i].admin != ADMIN_MAINT)
            return NULL;
        by_operator &= pool->backends[i].by_operator;
    }
    return by_operator ? "all backends of the pool are in maintenance or drained, by operators"
                       : "all backends of the pool are in maintenance, drained or restarted";
}

static const char *outage_text(const struct pool_view *pool)
{
    if (pool->out)
        return "requests get 503 until one is ready (pasgate ready)";
    for (uint32_t i = 0; i < pool->nbackends; i++)
        if (candidates_class_of(&pool->backends[i], 0) == BALANCE_DRAINING)
            return "draining backends serve instead";
    switch (pool->conf->fail_open) {
    case CONF_FAIL_OPEN_ALL:
        return "requests go to the least bad one";
    case CONF_FAIL_OPEN_OFF:
        return "requests get 503";
    default:
        return "one request at a time tries the most promising one, all others get 503";
    }
}

static void tell_outage(const struct pool_view *pool)
{
    log_warn("pool %s: %s: %s", pool->conf->name,
             pool->out ? pool->out : "no backend is up and ready", pool->outage);
}

/* One worker logs the beginning and the end of an outage, when the verdict comes, and when it
 * becomes one of another kind: what clients get and what operators can do depend on it. */
static void look_for_outage(struct worker *worker, struct pool_view *pool)
{
    bool serves = false, judged = true, tells = worker->heritage->slot == 0;
    const char *outage;

    for (uint32_t i = 0; i < pool->nbackends; i++) {
        const struct backend_view *b = &pool->backends[i];

        if (b->admin != ADMIN_READY)
            continue;
        judged &= b->health.state != HEALTH_UNKNOWN;
        serves |= health_serves(b->health.state);
    }
    pool->out = serves ? NULL : out_text(pool);
    if ((serves && !pool->outage_ms) || (!serves && !judged))
        return;
    outage = serves ? NULL : outage_text(pool);
    if (outage == pool->outage && pool->out == pool->outage_out)
        return;
    pool->outage = outage;
    pool->outage_out = pool->out;
    if (tells && !serves)
        tell_outage(pool);
    else if (tells)
        log_info("pool %s: a backend is up and ready again, after %.1f s", pool->conf->name,
                 (double)(worker->loop.now_ms - pool->outage_ms) / 1000);
    if (serves || !pool->outage_ms)
        pool->outage_ms = serves ? 0 : worker->loop.now_ms;
}

void refresh_backends(struct worker *worker)
{
    find_live_rows(worker);
    for (size_t i = 0; i < worker->conf->n_pools; i++)
        worker->pools[i].nprobation = 0;
    for (size_t i = 0; i < worker->conf->n_backends; i++) {
        struct backend_view *b = &worker->backends[i];

        refresh_view(b);
        b->pool->nprobation += b->health.state == HEALTH_PROBATION;
        if (b->health.cause == CAUSE_SILENT && b->health.hedge_all)
            hedge_all_waiting(b);
    }
    for (size_t i = 0; i < worker->conf->n_backends; i++)
        if (health_is_out(worker->backends[i].health.state))
            move_waiting(&worker->backends[i]);
    for (size_t i = 0; i < worker->conf->n_backends; i++)
        if (worker->backends[i].evicts)
            evict_running(&worker->backends[i]);
    for (size_t i = 0; i < worker->conf->n_pools; i++) {
        look_for_outage(worker, &worker->pools[i]);
        wait_queue_retry(&worker->pools[i]);
    }
}
