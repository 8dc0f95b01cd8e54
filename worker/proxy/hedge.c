#include "worker/proxy/hedge.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "shm/cap.h"
#include "shm/counters.h"
#include "worker/core/core.h"
#include "worker/proxy/attempt.h"
#include "worker/proxy/detached.h"
#include "worker/proxy/exchange.h"
#include "worker/proxy/exchange_stats.h"
#include "worker/proxy/retry_budget.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/fail_open.h"
#include "worker/upstream/upstream.h"

/* When the latest request that a backend responded to was sent, by any worker; microseconds. */
static uint64_t latest_served_us(const struct worker *worker, int slot)
{
    uint64_t latest = 0;

    for (int i = 0; i < worker->live.n; i++) {
        const struct worker_row *row = &worker->table->worker[worker->live.rows[i]];
        uint64_t us = count_read(&row->be[slot].served_us);

        latest = us > latest ? us : latest;
    }
    return latest;
}

/* Does silence decide, and not the time alone? */
static bool by_silence(const struct exchange *x)
{
    const struct backend_view *b = x->active->backend;

    return x->route->hedge_after_ms == CONF_HEDGE_AUTO && !x->active->probation &&
           !(b->health.cause == CAUSE_SILENT && b->health.hedge_all);
}

/* Adds to `tried` the backends that cannot be expected to serve it sooner: only one that has
 * served a later request, or has none, can. What all share says nothing. */
static void leave_out_silent(const struct exchange *x, uint64_t *tried)
{
    struct worker *worker = x->worker;

    for (uint32_t i = 0; i < x->pool->nbackends; i++) {
        int slot = x->pool->backends[i].slot;

        if (latest_served_us(worker, slot) <= x->active->chosen &&
            cap_in_flight(worker->table, &worker->live, slot))
            tried[i / 64] |= UINT64_C(1) << (i % 64);
    }
}

/* Acquires a slot for a second attempt; NULL: none is possible now, and x is unchanged. */
static struct backend_view *hedge_second(struct exchange *x)
{
    bool resent = x->resent, in_budget = x->in_budget;
    uint32_t i = (uint32_t)(x->active->backend - x->pool->backends);
    uint64_t tried[TABLE_BACKENDS / 64], lively[TABLE_BACKENDS / 64];
    enum backends_choice choice = BACKENDS_FULL;
    struct backend_view *b = NULL;
    bool any;

    memcpy(tried, x->tried, sizeof tried);
    tried[i / 64] |= UINT64_C(1) << (i % 64);
    memcpy(lively, tried, sizeof lively);
    leave_out_silent(x, lively);
    any = backends_has_healthy(x->pool, lively);
    /* Where the time alone decides, one that is silent will do. */
    if (wait_queue_has_others(x->pool, NULL) ||
        (!any && (by_silence(x) || !backends_has_healthy(x->pool, tried))))
        return NULL;
    x->resent = true;
    if (retry_budget_acquire(x))
        choice = backends_choose(x->worker, x->pool, NULL, any ? lively : tried, &b);
    /* A backend that is down is not chosen while a healthy one is left, and this exchange has
     * no use for the permit to try one. */
    CHECK(choice != BACKENDS_TRIES);
    if (choice == BACKENDS_CHOSEN) {
        memcpy(x->tried, tried, sizeof tried);
        return b;
    }
    if (!in_budget)
        retry_budget_release(x);
    x->resent = resent;
    return NULL;
}

/* The next request that may be hedged goes to its backend, to see what that does. */
static void hedge_ask(const struct exchange *x)
{
    x->pool->asked = x->active->backend;
    x->pool->asked_us = x->worker->loop.now_us;
}

/* May the backend respond, after all? Asks it, if need be. */
static bool is_silent(struct exchange *x, uint64_t from, uint32_t *ms)
{
    struct backend_view *b = x->active->backend;
    const struct silence_view view = {
        .served_us = latest_served_us(x->worker, b->slot),
        .asked_us = b->asked_us,
        .confirmed_us = b->confirmed_us,
    };
    uint64_t now = x->worker->loop.now_us;

    switch (silence_judge(from, &view, now)) {
    case SILENCE_ALIVE: /* unless a silence is found later (attempt_hedge_now()) */
        *ms = 0;
        return false;
    case SILENCE_ASK:
        b->asked_us = now;
        hedge_ask(x);
        *ms = SILENCE_ASK_MS;
        return false;
    case SILENCE_WAIT:
        *ms = SILENCE_ASK_MS - (uint32_t)((now - b->asked_us) / 1000);
        return false;
    case SILENCE_FOUND:
        break;
    }
    return true;
}

static uint64_t hedge_from_us(const struct exchange *x)
{
    return x->active->sent ? x->active->sent : x->active->chosen;
}

/* Its timer has fired. false: not now; *ms: when it is to fire again, 0: not for this. */
static bool is_due(struct exchange *x, uint32_t *ms)
{
    const struct backend_view *b = x->active->backend;
    uint64_t from = hedge_from_us(x);
    uint64_t waited = (x->worker->loop.now_us - from) / 1000;

    *ms = silence_again_ms(waited);
    if (!by_silence(x))
        return true;
    if (waited < b->hedge_ms) { /* the pool has become slower meanwhile */
        *ms = b->hedge_ms - (uint32_t)waited;
        return false;
    }
    /* What others get says nothing about a connection that does not open. */
    return x->active->state == EXCHANGE_CONNECTING || is_silent(x, from, ms);
}

/* It is not hedged now: its timer fires again after ms (0: not for that), or when it fails. */
static void hedge_put_off(struct exchange *x, uint32_t ms)
{
    uint32_t left = exchange_time_left(x);

    x->hedge_due = ms && (!left || left > ms);
    exchange_arm(x, x->hedge_due ? ms : left);
}

void hedge_start(struct exchange *x)
{
    bool may = x->attempts <= x->pool->conf->retries;
    uint32_t ms = 0;
    struct backend_view *b = may && is_due(x, &ms) ? hedge_second(x) : NULL;

    if (!b) {
        hedge_put_off(x, ms);
        return;
    }
    x->active->silent = by_silence(x);
    count_add(&x->active->backend->cell->hedges, 1);
    /* Both attempts share the deadline of the first one, if that was sent. */
    exchange_arm(x, x->active->state == EXCHANGE_CONNECTING ? x->route->timeouts.first_byte_ms
                                                            : exchange_time_left(x));
    x->hedged = true;
    x->active = exchange_other(x);
    *x->active = (struct attempt){.exchange = x};
    attempt_connect(x, b);
}

/* Another backend served a request that this one left unanswered. What went there before had a
 * response to somebody after it, and so was taken for long; it is hedged, too. */
static void note_silence(struct worker *worker, const struct attempt *a)
{
    struct backend_view *b = a->backend;

    if (latest_served_us(worker, b->slot) > a->sent)
        return;
    b->confirmed_us = a->sent;
    for (struct attempt *at = b->running; at; at = at->running_next)
        if (at == at->exchange->active)
            attempt_hedge_now(at->exchange);
}

void hedge_win(struct exchange *x)
{
    struct attempt *lost = exchange_other(x);
    uint64_t took_us = x->worker->loop.now_us - x->active->chosen;

    if (!lost->upstream)
        return;
    if (lost->silent && lost->state == EXCHANGE_WAITING)
        note_silence(x->worker, lost);
    else if (lost->silent && lost->state == EXCHANGE_CONNECTING)
        backends_complain(x->worker, lost->backend);
    if (!detached_begin(lost, took_us))
        backends_release_slot(x->worker, exchange_end_hedge(x));
    else if (lost->opens)
        fail_open_release(x->worker, x->pool);
}

bool hedge_promote(struct exchange *x)
{
    struct attempt *other = exchange_other(x);

    if (!other->upstream)
        return false;
    count_add(&x->active->backend->cell->retries, 1);
    exchange_stats_moved(x);
    exchange_leave(x);
    x->active = other;
    attempt_arm(x);
    return true;
}

void hedge_expire(struct exchange *x)
{
    struct attempt *other = exchange_other(x);

    if (!other->upstream)
        return;
    /* A connection that never opened says less than a response that never came. */
    if (other->chosen < x->active->chosen && other->state != EXCHANGE_CONNECTING)
        x->active = other;
    exchange_drop_hedge(x);
}

/* ---- once a second: what "auto" is */

/* Over all workers: what is seen in common is known soon. */
static void record_latency(const struct worker *worker, struct backend_view *b)
{
    uint64_t now[TABLE_LATENCY] = {0};

    for (int r = 0; r < worker->live.n; r++) {
        const struct worker_row *row = &worker->table->worker[worker->live.rows[r]];

        for (int i = 0; i < TABLE_LATENCY; i++)
            now[i] += count_read(&row->be[b->slot].latency[i]);
    }
    silence_add(&b->record, now, b->latency_seen);
    memcpy(b->latency_seen, now, sizeof now);
}

/* The responses of the running period begin anew, and take the place of those before. */
static void begin_period(struct pool_view *pool, uint64_t now_ms)
{
    for (uint32_t i = 0; i < pool->nbackends; i++) {
        pool->backends[i].before = pool->backends[i].record;
        pool->backends[i].record = (struct silence_record){0};
    }
    pool->period_ms = now_ms;
}

static void hedge_look_at(struct pool_view *pool, uint64_t now_ms)
{
    struct silence_record period = {0}, all = {0};

    for (uint32_t i = 0; i < pool->nbackends; i++) {
        record_latency(pool->worker, &pool->backends[i]);
        silence_join(&period, &pool->backends[i].record);
        silence_join(&all, &pool->backends[i].before);
    }
    silence_join(&all, &period);
    for (uint32_t i = 0; i < pool->nbackends; i++) {
        struct backend_view *b = &pool->backends[i];
        struct silence_record others = all;

        silence_part(&others, &b->record);
        silence_part(&others, &b->before);
        b->hedge_ms = pool->nbackends > 1 ? silence_delay_ms(&others) : 0;
    }
    if (silence_is_over(silence_total(&period), now_ms - pool->period_ms))
        begin_period(pool, now_ms);
}

void hedge_look(struct worker *worker)
{
    for (size_t i = 0; i < worker->conf->n_pools; i++)
        hedge_look_at(&worker->pools[i], worker->loop.now_ms);
}

void hedge_init(struct worker *worker)
{
    static const uint64_t none[TABLE_LATENCY];

    for (size_t i = 0; i < worker->conf->n_backends; i++) {
        struct backend_view *b = &worker->backends[i];
        struct cell_counters ever;

        record_latency(worker, b);
        counters_read_backend(worker->table, b->slot, &ever);
        b->record = (struct silence_record){0};
        silence_add(&b->record, ever.latency, none);
    }
    hedge_look(worker);
}
