#include "healthd/outlier/outlier.h"

#include <stdio.h>

#include "base/conf/conf.h"
#include "base/log.h"

enum { SLOW_BUCKET = 21 }; /* of the latencies: from 2^21 us, which is 2.1 s, on */

/* ---- may it be ejected? */

struct others {
    unsigned healthy, sound; /* sound: healthy, and not close to an ejection */
    unsigned alike;          /* backends that serve, and fail as this one does */
    unsigned stalled;        /* backends ejected for silence; its time is not over */
    uint64_t responses;      /* in the window */
    uint64_t good_ms;        /* last response of a healthy one */
};

static struct others outlier_look_at_others(const struct pool_health *pool,
                                            const struct backend_health *w, uint64_t now_ms)
{
    struct others others = {0};

    for (uint32_t i = 0; i < pool->n; i++) {
        const struct backend_health *o = &pool->target[i];

        if (o == w)
            continue;
        others.responses += eject_window(&o->eject, &pool->conf->eject, now_ms).good;
        others.stalled += o->stalled && now_ms < o->row.eject_until_ms;
        bool near = eject_near(&o->eject, &pool->conf->eject, now_ms);

        others.alike += backend_health_serves(o) && (near || o->told);
        others.healthy += backend_health_is_healthy(o);
        if (backend_health_is_healthy(o) && o->good_ms > others.good_ms)
            others.good_ms = o->good_ms;
        others.sound += backend_health_is_healthy(o) && !near;
    }
    return others;
}

bool outlier_alone(const struct pool_health *pool, const struct backend_health *w)
{
    for (uint32_t i = 0; i < pool->n; i++) {
        const struct backend_health *o = &pool->target[i];

        if (o != w && backend_health_serves(o) && o->override == ADMIN_READY)
            return false;
    }
    return true;
}

static void eject(struct backend_health *w, const char *why, bool stalled, uint64_t now_ms)
{
    const struct conf_eject *rules = &w->pool->eject;
    char text[TABLE_REASON];
    uint32_t ms;

    w->row.ejections = eject_next(rules, w->row.ejections);
    ms = eject_time_ms(rules, w->row.ejections);
    w->stalled = stalled;
    snprintf(text, sizeof text, "ejected for %g s: %.120s", ms / 1000.0, why);
    backend_health_force(w, HEALTH_EJECTED, text, now_ms);
    w->row.eject_until_ms = now_ms + ms;
    backend_health_publish(w);
}

/* It stays in because no backend could take its place: it becomes SUSPECT, and the log says
 * why, once in each state. That also ends a probation, on which it would get no more than
 * single requests. It did not pass that, so checks alone do not make it UP either. */
static void outlier_keep(struct backend_health *w, const struct others *others, const char *why,
                         uint64_t now_ms)
{
    char text[TABLE_REASON];

    if (w->told && w->row.state != HEALTH_PROBATION)
        return;
    if (others->alike > 0)
        snprintf(text, sizeof text,
                 "not ejected, because other backends of the pool fail too: %.90s", why);
    else if (others->healthy == 0)
        snprintf(text, sizeof text,
                 "not ejected, because no other backend of the pool is healthy: %.80s", why);
    else
        snprintf(text, sizeof text,
                 "not ejected, because only %u other%s healthy (min_healthy %u): %.80s",
                 others->healthy, others->healthy == 1 ? " is" : "s are", w->pool->min_healthy,
                 why);
    if (!w->told)
        log_warn("backend %s %s", w->backend->name, text);
    w->failing |= w->row.state == HEALTH_PROBATION;
    backend_health_force(w, HEALTH_SUSPECT, text, now_ms);
    w->told = true;
}

/* ---- must it be ejected? */

static bool silent(const struct pool_health *pool, const struct backend_health *w,
                   const struct others *others, uint64_t now_ms, char text[TABLE_REASON])
{
    uint64_t most = (uint64_t)pool->conf->eject.window_ms * OUTLIER_MOST_TENTHS / 10;
    uint64_t ms = stall_many_ms(&w->stall, now_ms), timeout;

    timeout = stall_hang_timeout_ms(&w->stall, now_ms);
    /* Where checks fail too, the probes decide. And the waiting requests might be long reports
     * after all: therefore at most one backend at a time is ejected for silence. */
    if (ms < most || ms < timeout || w->passed_ms <= now_ms - ms || others->stalled > 0 ||
        others->responses < STALL_MIN_WAITING)
        return false;
    snprintf(text, TABLE_REASON, "%llu requests wait without a response for %.1f s",
             (unsigned long long)w->stall.view.unanswered, (double)ms / 1000);
    return true;
}

/* true: workers must be rung. */
static bool eject_or_keep(const struct pool_health *pool, struct backend_health *w,
                          const struct others *others, const char *why, bool stalled,
                          uint64_t now_ms)
{
    enum health_state from = w->row.state;

    if (others->sound >= (pool->conf->min_healthy ? pool->conf->min_healthy : 1))
        eject(w, why, stalled, now_ms);
    else
        outlier_keep(w, others, why, now_ms);
    return w->row.state != from;
}

static bool outlier_consider(const struct pool_health *pool, struct backend_health *w,
                             uint64_t now_ms)
{
    struct others others;
    char why[TABLE_REASON];
    bool failing, stalled = false;

    if (pool->conf->eject.failures == 0 || pool->n < 2 || w->row.fall > 0)
        return false;
    failing = eject_due(&w->eject, &pool->conf->eject, now_ms, why);
    if (!failing && stall_many_ms(&w->stall, now_ms) < STALL_SIGN_MS)
        return false;
    others = outlier_look_at_others(pool, w, now_ms);
    if (!failing)
        stalled = silent(pool, w, &others, now_ms, why);
    if (!failing && !stalled)
        return false;
    return eject_or_keep(pool, w, &others, why, stalled, now_ms);
}

/* ---- probation */

uint64_t outlier_probation_ms(const struct conf_eject *rules)
{
    uint64_t waits = OUTLIER_PROBATION_GOOD * (uint64_t)STALL_LONGEST_MS;
    uint64_t times = OUTLIER_PROBATIONS * (uint64_t)rules->time_ms;

    return waits > times ? waits : times;
}

/* Where requests only wait, a first byte is the proof; where requests
 * failed, a complete response. */
static uint64_t went_well(const struct backend_health *w, const struct observed *since)
{
    return w->row.cause == CAUSE_SILENT ? since->responses : since->n.completed;
}

/* The first probation request that another backend wins is no proof yet, but clients wait:
 * whatever else can be hedged is hedged, within the retry budget. */
static bool hedge_all(struct backend_health *w)
{
    if (w->row.cause != CAUSE_SILENT || w->row.hedge_all || w->seen.n.detached <= w->detached)
        return false;
    w->row.hedge_all = 1;
    backend_health_publish(w);
    return true;
}

/* What a request met on probation: writes the reason to `why`. *stalled: it was silence. */
static bool went_badly(const struct backend_health *w, const struct observed *since,
                       const char **why, bool *stalled)
{
    *stalled = observed_hard(since) == 0;
    if (!*stalled)
        *why = "a request failed on probation";
    else if (w->seen.n.probation_unanswered >= w->probation_unanswered + OUTLIER_UNANSWERED)
        *why = "on probation it gave no response where others did";
    else
        return false;
    return true;
}

/* No fault, and no proof either: no eligible request, or none that ended here. What the last
 * check found is added: it may have timed out while responses arrived. */
static bool lasted_long_enough(const struct pool_health *pool, const struct backend_health *w,
                               uint64_t now_ms, char text[TABLE_REASON])
{
    const struct conf_eject *rules = &pool->conf->eject;
    const char *check = w->row.probe_text[0] ? w->row.probe_text : "none yet";

    /* The last check failed: the next ones decide, either way. */
    if (w->row.fall > 0)
        return false;
    if (rules->failures == 0)
        snprintf(text, TABLE_REASON, "probation ended: ejection is switched off");
    else if (now_ms >= w->tried_ms + rules->time_ms)
        snprintf(text, TABLE_REASON,
                 "probation ended: no eligible request arrived; last check: %.90s", check);
    else if (now_ms >= w->probation_ms + outlier_probation_ms(rules))
        snprintf(text, TABLE_REASON,
                 "probation ended: no request failed within %llu s; last check: %.90s",
                 (unsigned long long)outlier_probation_ms(rules) / 1000, check);
    else
        return false;
    return true;
}

static bool outlier_try_it(const struct pool_health *pool, struct backend_health *w,
                           uint64_t now_ms)
{
    struct observed since = observed_since(&w->seen, &w->before);
    uint64_t good = went_well(w, &since);
    char text[TABLE_REASON];
    const char *why;
    bool stalled;

    if (w->seen.trying > 0)
        w->tried_ms = now_ms;
    if (pool->conf->eject.failures > 0 && went_badly(w, &since, &why, &stalled)) {
        struct others others = outlier_look_at_others(pool, w, now_ms);

        return eject_or_keep(pool, w, &others, why, stalled, now_ms);
    }
    if (good >= OUTLIER_PROBATION_GOOD)
        snprintf(text, sizeof text, "%llu requests succeeded on probation",
                 (unsigned long long)good);
    else if (!lasted_long_enough(pool, w, now_ms, text))
        return hedge_all(w);
    else
        w->row.risen_ms = now_ms; /* without proof, slow start bounds the harm */
    backend_health_force(w, HEALTH_UP, text, now_ms);
    return true;
}

/* Starts probation once checks pass. If no other backend is healthy then, there is nothing to
 * compare with, and the checks are trusted. */
static bool try_suspect(const struct pool_health *pool, struct backend_health *w,
                        uint64_t now_ms)
{
    char text[TABLE_REASON];

    if (!backend_health_may_try(w, now_ms))
        return false;
    if (outlier_look_at_others(pool, w, now_ms).healthy == 0) {
        w->failing = false;
        return false;
    }
    snprintf(text, sizeof text, "requests failed: single ones try it; last check: %.90s",
             w->row.probe_text);
    backend_health_try(w, CAUSE_FAILED, text, now_ms);
    return true;
}

/* Requests wait without any response: reports, or a hang? Under light load the least loaded
 * backend is chosen, and a hung one gets no further requests that would show it. So it goes on
 * probation; again for each request that joins the waiting ones. */
static bool try_silent(const struct pool_health *pool, struct backend_health *w,
                       uint64_t now_ms)
{
    uint64_t silent = stall_all_ms(&w->stall, now_ms);
    struct others others;
    char text[TABLE_REASON];

    if (w->seen.unanswered < w->tried_waiting)
        w->tried_waiting = w->seen.unanswered;
    if (w->seen.unanswered <= w->tried_waiting || pool->conf->eject.failures == 0 ||
        silent < STALL_HANG_MS)
        return false;
    /* Where checks fail too, the probes decide. */
    if (w->row.state == HEALTH_DEGRADED || w->failing || w->row.fall > 0 ||
        w->passed_ms <= now_ms - silent)
        return false;
    others = outlier_look_at_others(pool, w, now_ms);
    if (others.healthy == 0 || others.good_ms <= now_ms - silent)
        return false;
    w->tried_waiting = w->seen.unanswered;
    snprintf(text, sizeof text,
             "%llu request%s without a response for %.1f s: single ones try it",
             (unsigned long long)w->seen.unanswered,
             w->seen.unanswered == 1 ? " waits" : "s wait", (double)silent / 1000);
    backend_health_try(w, CAUSE_SILENT, text, now_ms);
    return true;
}

/* After a long healthy time the next ejection is shorter. */
static void decay(struct backend_health *w, uint64_t now_ms)
{
    if (!backend_health_is_healthy(w) || w->row.ejections == 0) {
        w->decay_ms = now_ms;
    } else if (now_ms >= w->decay_ms + w->pool->eject.max_ms) {
        w->decay_ms = now_ms;
        w->row.ejections--;
        backend_health_publish(w);
    }
}

static void record(struct pool_health *pool, const struct observed *added)
{
    pool->all += added->n.completed;
    for (int i = 0; i < TABLE_LATENCY; i++) {
        pool->latency[i] += added->n.latency[i];
        if (i >= SLOW_BUCKET)
            pool->slow += added->n.latency[i];
    }
    if (pool->all < OUTLIER_RECORD)
        return;
    pool->all /= 2;
    pool->slow /= 2;
    for (int i = 0; i < TABLE_LATENCY; i++)
        pool->latency[i] /= 2;
}

/* ---- what is slow, and which backend is unlike the others */

static uint32_t slow_ms(const struct pool_health *pool)
{
    uint64_t all = 0, below = 0, ms = 0;

    for (int i = 0; i < TABLE_LATENCY; i++)
        all += pool->latency[i];
    for (int i = 0; i < TABLE_LATENCY && below * 2 < all; i++) {
        below += pool->latency[i];
        ms = (UINT64_C(2) << i) * OUTLIER_SLOW / 1000;
    }
    return ms > BACKEND_HEALTH_SLOW_MS ? (uint32_t)ms : BACKEND_HEALTH_SLOW_MS;
}

/* true: workers must be rung. */
static bool renew_slow(struct pool_health *pool, uint64_t now_ms)
{
    uint32_t ms;
    bool news = false;

    if (pool->median_ms && now_ms - pool->median_ms < OUTLIER_MEDIAN_MS)
        return false;
    pool->median_ms = now_ms;
    ms = slow_ms(pool);
    for (uint32_t i = 0; i < pool->n; i++) {
        struct backend_health *w = &pool->target[i];

        if (w->row.slow_ms == ms)
            continue;
        w->row.slow_ms = ms;
        backend_health_publish(w);
        news = true;
    }
    return news;
}

static bool is_comparable(const struct backend_health *w)
{
    return w->row.state == HEALTH_UP || w->row.state == HEALTH_DEGRADED;
}

/* Of the requests that are compared: 0 while it gets none. */
static uint64_t weight_of(const struct backend_health *w)
{
    return is_comparable(w) && w->override == ADMIN_READY ? w->backend->weight : 0;
}

/* true: workers must be rung. */
static bool compare(const struct pool_health *pool, uint64_t now_ms)
{
    struct score_totals totals = {0};
    char text[TABLE_REASON];
    uint32_t like = 0; /* backends that are not unlike the others: one has to be left */
    bool news = false;

    for (uint32_t i = 0; i < pool->n; i++) {
        struct backend_health *w = &pool->target[i];

        like += is_comparable(w) && !w->score.unlike;
        score_add(&totals, &w->score, weight_of(w), now_ms);
    }
    for (uint32_t i = 0; i < pool->n; i++) {
        struct backend_health *w = &pool->target[i];

        if (!is_comparable(w) || (!w->score.unlike && like < 2) ||
            !score_judge(&w->score, &totals, weight_of(w), now_ms, text))
            continue;
        like = w->score.unlike ? like - 1 : like + 1;
        backend_health_compare(w, text, now_ms);
        news = true;
    }
    return news;
}

static bool outlier_look_at(const struct pool_health *pool, struct backend_health *w,
                            uint64_t now_ms)
{
    if (w->row.state != HEALTH_PROBATION)
        return outlier_consider(pool, w, now_ms) || try_suspect(pool, w, now_ms) ||
               try_silent(pool, w, now_ms);
    return (w->row.cause == CAUSE_SILENT && outlier_consider(pool, w, now_ms)) ||
           outlier_try_it(pool, w, now_ms);
}

bool outlier_look(struct pool_health *pool, const struct observed_live *live, uint64_t now_ms)
{
    uint64_t min_waiting = stall_min_waiting(pool->slow, pool->all);
    bool news = false;

    for (uint32_t i = 0; i < pool->n; i++) {
        struct backend_health *w = &pool->target[i];
        bool served = backend_health_serves(w);
        struct observed added;

        news |= backend_health_look(w, live, min_waiting, &added, now_ms);
        struct score_counts measured = observed_measured(&added);

        score_feed(&w->score, &measured, now_ms);
        if (served)
            record(pool, &added);
    }
    news |= renew_slow(pool, now_ms);
    news |= compare(pool, now_ms);
    for (uint32_t i = 0; i < pool->n; i++) {
        struct backend_health *w = &pool->target[i];

        decay(w, now_ms);
        if (w->row.state == HEALTH_EJECTED)
            news |= backend_health_release(w, now_ms);
        else if (backend_health_serves(w))
            news |= outlier_look_at(pool, w, now_ms);
    }
    return news;
}
