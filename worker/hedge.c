#include "worker/hedge.h"

#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "worker/attempt.h"
#include "worker/backends.h"
#include "worker/core.h"
#include "worker/exchange.h"
#include "worker/exchange_stats.h"
#include "worker/overtaken.h"
#include "worker/retry_budget.h"
#include "worker/upstream.h"

/* Takes the exchange's own attempt out of it. */
static struct attempt hedge_take_out(struct exchange *x)
{
    struct attempt a = {
        .upstream = x->upstream,
        .backend = x->backend,
        .chosen = x->at.chosen,
        .connected = x->at.connected,
        .sent = x->at.sent,
        .state = x->state,
        .reused = x->reused,
        .sticky = x->sticky,
        .probation = x->probation,
    };

    exchange_unlink_running(x);
    x->upstream = NULL;
    x->at.connected = x->at.sent = 0;
    x->probation = false;
    return a;
}

static void put_in(struct exchange *x, const struct attempt *a)
{
    CHECK(!x->upstream && !x->backend);
    exchange_join_running(x, a->backend);
    x->upstream = a->upstream;
    x->at.chosen = a->chosen;
    x->at.connected = a->connected;
    x->at.sent = a->sent;
    x->state = a->state;
    x->reused = a->reused;
    x->sticky = a->sticky;
    x->probation = a->probation;
}

static void trade(struct exchange *x)
{
    struct attempt own = hedge_take_out(x);

    put_in(x, &x->rival);
    x->rival = own;
}

void hedge_turn(struct exchange *x, const struct upstream *u)
{
    if (x->upstream == u)
        return;
    CHECK(x->rival.upstream == u);
    trade(x);
}

/* Acquires a slot for a second attempt; NULL: none is possible now, and x is unchanged. */
static struct backend_view *hedge_second(struct exchange *x)
{
    bool resent = x->resent, in_budget = x->in_budget;
    uint32_t i = (uint32_t)(x->backend - x->pool->backends);
    uint64_t tried[TABLE_BACKENDS / 64];
    enum backends_choice choice = BACKENDS_FULL;
    struct backend_view *b = NULL;

    memcpy(tried, x->tried, sizeof tried);
    tried[i / 64] |= UINT64_C(1) << (i % 64);
    if (!backends_has_healthy(x->pool, tried))
        return NULL;
    x->resent = true;
    if (retry_budget_acquire(x))
        choice = backends_choose(x->worker, x->pool, NULL, tried, &b);
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

void hedge_start(struct exchange *x)
{
    bool may = x->attempts <= x->pool->conf->retries;
    uint32_t left = exchange_time_left(x);
    struct backend_view *b = may ? hedge_second(x) : NULL;

    if (!b) {
        x->race_due = may && (!left || left > HEDGE_AGAIN_MS);
        exchange_arm(x, x->race_due ? HEDGE_AGAIN_MS : left);
        return;
    }
    /* Both attempts share the deadline of the first one. */
    exchange_arm(x, left);
    x->raced = true;
    x->rival = hedge_take_out(x);
    attempt_connect(x, b);
}

void hedge_won(struct exchange *x)
{
    struct attempt a = x->rival;
    uint64_t took_us = x->worker->loop.now_us - x->at.chosen;

    if (!a.upstream)
        return;
    if (!overtaken_takes(&a, took_us)) {
        backends_leave_quietly(x->worker, exchange_end_rival(x));
        return;
    }
    x->rival = (struct attempt){0};
    overtaken_begin(&a, took_us);
}

bool hedge_go_on(struct exchange *x)
{
    struct attempt a = x->rival;

    if (!a.upstream)
        return false;
    count_add(&x->backend->cell->retries, 1);
    exchange_stats_moved(x);
    exchange_leave(x);
    x->rival = (struct attempt){0};
    put_in(x, &a);
    attempt_arm(x);
    return true;
}

void hedge_late(struct exchange *x)
{
    if (x->rival.upstream && x->rival.chosen < x->at.chosen)
        trade(x);
    exchange_drop_rival(x);
}
