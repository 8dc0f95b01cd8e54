#include "healthd/outlier/outlier.h"

#include <stdio.h>

#include "base/conf/conf.h"
#include "base/doubling.h"
#include "base/log.h"
#include "healthd/judge.h"

enum { SLOW_BUCKET = 21 }; /* of the latencies: from 2^21 us, which is 2.1 s, on */

/* ---- may it be ejected? */

struct others {
    unsigned healthy, sound; /* sound: healthy, and not close to an ejection */
    unsigned alike;          /* backends that serve, and fail as this one does */
    unsigned silent;         /* backends ejected for silence */
    uint64_t responses;      /* in the window */
    uint64_t good_ms;        /* last response of a healthy one */
};

static struct others look_at_others(const struct backend_health *w, uint64_t now_ms)
{
    const struct conf_eject *rules = &w->pool->conf->eject;
    struct others others = {0};
    char text[TABLE_REASON];

    for (uint32_t i = 0; i < w->pool->n; i++) {
        const struct backend_health *o = &w->pool->target[i];
        bool near = evidence_fails(&o->seen, rules, rules->failures / 2, text),
             healthy = backend_health_is_healthy(o);

        if (o == w)
            continue;
        others.healthy += healthy;
        others.sound += healthy && !near;
        others.alike += backend_health_serves(o) && (near || backend_health_is_kept(o, now_ms));
        others.silent += o->row.state == HEALTH_EJECTED && o->row.cause == CAUSE_SILENT;
        others.responses += o->seen.failures.sum[EVIDENCE_GOOD];
        if (healthy && o->seen.good_ms > others.good_ms)
            others.good_ms = o->seen.good_ms;
    }
    return others;
}

uint64_t outlier_eject_ms(const struct conf_eject *rules, uint32_t n)
{
    return doubling_ms(rules->time_ms, rules->max_ms, n);
}

/* The count stops where the longest time is reached, and a restart was requested. */
static void eject(struct backend_health *w, const char *why, enum health_cause cause,
                  uint64_t now_ms)
{
    const struct conf_eject *rules = &w->pool->conf->eject;
    uint64_t ms;

    if (w->row.ejections < OUTLIER_RESTART ||
        outlier_eject_ms(rules, w->row.ejections) < rules->max_ms)
        w->row.ejections++;
    ms = outlier_eject_ms(rules, w->row.ejections);
    backend_health_turn(w, HEALTH_EJECTED, cause, now_ms, "ejected for %g s: %s",
                        (double)ms / 1000, why);
    w->row.eject_until_ms = now_ms + ms;
}

/* It stays in because no backend could take its place: it becomes SUSPECT, and that is told
 * once until its requests go well for a while. That also ends a probation, on which it would
 * get no more than single requests. It did not pass that, so checks alone do not make it UP
 * either. */
static void outlier_keep(struct backend_health *w, const struct others *others, const char *why,
                         uint64_t now_ms)
{
    bool again = backend_health_is_kept(w, now_ms),
         probation = w->row.state == HEALTH_PROBATION;
    char few[64];

    w->kept_ms = now_ms;
    evidence_clear_failures(&w->seen);
    if (again && !probation)
        return;
    snprintf(few, sizeof few, "only %u other%s healthy (min_healthy %u)", others->healthy,
             others->healthy == 1 ? " is" : "s are", w->pool->conf->min_healthy);
    backend_health_turn(w, HEALTH_SUSPECT, probation ? CAUSE_FAILED : CAUSE_NONE, now_ms,
                        "not ejected, because %s: %s",
                        others->alike > 0      ? "other backends of the pool fail too"
                        : others->healthy == 0 ? "no other backend of the pool is healthy"
                                               : few,
                        why);
    if (!again)
        log_warn("backend %s %s", w->backend->name, w->row.reason);
}

static void eject_or_keep(struct backend_health *w, const struct others *others,
                          const char *why, enum health_cause cause, uint64_t now_ms)
{
    uint32_t least = w->pool->conf->min_healthy;

    if (others->sound >= (least ? least : 1))
        eject(w, why, cause, now_ms);
    else
        outlier_keep(w, others, why, now_ms);
}

/* ---- probation */

uint64_t outlier_probation_ms(const struct conf_eject *rules)
{
    uint64_t waits = OUTLIER_PROBATION_GOOD * (uint64_t)EVIDENCE_LONGEST_MS;
    uint64_t times = OUTLIER_PROBATIONS * (uint64_t)rules->time_ms;

    return waits > times ? waits : times;
}

/* So many wait that it is no coincidence. They might be long reports after all: therefore at
 * most one backend at a time is ejected for that. Where checks fail too, the probes decide. */
static bool is_silent(const struct backend_health *w, const struct others *others,
                      uint64_t now_ms)
{
    uint64_t ms = evidence_silence_ms(&w->seen, &w->seen.many, now_ms);

    return ms >= evidence_hang_ms(&w->seen) && w->row.fall == 0 && w->passed_ms > now_ms - ms &&
           others->silent == 0 && others->responses >= OUTLIER_RESPONSES;
}

/* No fault, and no proof either: no eligible request, or none that ended here. Why it ends now;
 * NULL: it does not. */
static const char *lasted_long_enough(const struct backend_health *w, uint64_t now_ms)
{
    const struct conf_eject *rules = &w->pool->conf->eject;

    /* The last check failed: the next ones decide, either way. */
    if (w->row.fall > 0)
        return NULL;
    if (rules->failures == 0)
        return "ejection is switched off";
    if (now_ms >= w->probation.tried_ms + rules->time_ms)
        return "no eligible request arrived";
    return now_ms >= w->probation.began_ms + outlier_probation_ms(rules)
               ? "no request failed within its longest time"
               : NULL;
}

/* What a request met on probation, or what waits there: why, and CAUSE_NONE if nothing bad. */
static enum health_cause went_badly(const struct backend_health *w, const struct others *others,
                                    uint64_t now_ms, char text[TABLE_REASON])
{
    const struct probation *p = &w->probation;

    if (p->hard) {
        snprintf(text, TABLE_REASON, "a request failed on probation");
        return CAUSE_FAILED;
    }
    if (p->unanswered >= OUTLIER_UNANSWERED)
        snprintf(text, TABLE_REASON, "on probation it gave no response where others did");
    else if (w->row.cause == CAUSE_SILENT && is_silent(w, others, now_ms))
        snprintf(text, TABLE_REASON, "%llu requests wait without a response for %.1f s",
                 (unsigned long long)w->seen.now.unanswered,
                 (double)evidence_silence_ms(&w->seen, &w->seen.any, now_ms) / 1000);
    else
        return CAUSE_NONE;
    return CAUSE_SILENT;
}

static void look_at_probation(struct backend_health *w, uint64_t now_ms)
{
    const struct probation *p = &w->probation;
    const char *over = lasted_long_enough(w, now_ms);
    struct others others = look_at_others(w, now_ms);
    char text[TABLE_REASON];
    enum health_cause bad = went_badly(w, &others, now_ms, text);

    if (bad && w->pool->conf->eject.failures) {
        eject_or_keep(w, &others, text, bad, now_ms);
    } else if (p->good >= OUTLIER_PROBATION_GOOD) {
        backend_health_turn(w, HEALTH_UP, CAUSE_NONE, now_ms,
                            "%llu requests succeeded on probation",
                            (unsigned long long)p->good);
    } else if (over) {
        /* The last check may have timed out while responses arrived. */
        backend_health_turn(w, HEALTH_UP, CAUSE_NONE, now_ms,
                            "probation ended: %s; last check: %s", over,
                            w->row.probe_text[0] ? w->row.probe_text : "none yet");
        w->row.risen_ms = now_ms; /* without proof, slow start bounds the harm */
    } else if (w->row.cause == CAUSE_SILENT && p->detached && !w->row.hedge_all) {
        /* One that another backend wins is no proof yet, but clients wait: whatever else can be
         * hedged is hedged, within the retry budget. */
        w->row.hedge_all = 1;
        w->news = true;
    }
}

/* Requests failed, and now checks pass: single requests try it. If no other backend is healthy
 * then, there is nothing to compare with, and the checks are trusted. */
static void try_suspect(struct backend_health *w, uint64_t now_ms)
{
    if (!judge_has_risen(w))
        return;
    if (look_at_others(w, now_ms).healthy == 0)
        w->row.cause = CAUSE_NONE;
    else
        backend_health_turn(w, HEALTH_PROBATION, CAUSE_FAILED, now_ms,
                            "requests failed: single ones try it; last check: %s",
                            w->row.probe_text);
}

/* Requests wait without any response: reports, or a hang? Under light load the least loaded
 * backend is chosen, and a hung one gets no further requests that would show it. So it goes on
 * probation; again if others join those that wait. Where checks fail too, the probes decide. */
static void try_silent(struct backend_health *w, uint64_t now_ms)
{
    struct evidence *e = &w->seen;
    uint64_t silent = evidence_silence_ms(e, &e->tried, now_ms), waiting = e->now.unanswered;
    struct others others;

    if (silent < EVIDENCE_HANG_MS || w->row.state == HEALTH_DEGRADED || w->row.fall > 0 ||
        w->passed_ms <= now_ms - silent)
        return;
    others = look_at_others(w, now_ms);
    if (others.healthy == 0 || others.good_ms <= now_ms - silent)
        return;
    e->tried = (struct evidence_crowd){waiting, now_ms};
    backend_health_turn(w, HEALTH_PROBATION, CAUSE_SILENT, now_ms,
                        "%llu request%s without a response for %.1f s: single ones try it",
                        (unsigned long long)waiting, waiting == 1 ? " waits" : "s wait",
                        (double)silent / 1000);
}

/* ---- what is slow, and which backend is unlike the others */

/* Renews what a pool's times say: what is slow, and how many that wait are no coincidence. */
static void learn_latency(struct pool_health *pool, uint64_t now_ms)
{
    uint64_t now[TABLE_LATENCY] = {0}, all = 0, slow = 0, below = 0, slow_ms = 0;

    if (pool->renewed_ms && now_ms < pool->renewed_ms + OUTLIER_MEDIAN_MS)
        return;
    pool->renewed_ms = now_ms;
    for (uint32_t i = 0; i < pool->n; i++)
        for (int k = 0; k < TABLE_LATENCY; k++)
            now[k] += pool->target[i].seen.total.latency[k];
    for (int k = 0; k < TABLE_LATENCY; k++) {
        pool->latency[k] += now[k] > pool->counted[k] ? now[k] - pool->counted[k] : 0;
        pool->counted[k] = now[k];
        all += pool->latency[k];
        slow += k >= SLOW_BUCKET ? pool->latency[k] : 0;
    }
    for (int k = 0; k < TABLE_LATENCY; k++) {
        if (below * 2 < all)
            slow_ms = (UINT64_C(2) << k) * OUTLIER_SLOW / 1000;
        below += pool->latency[k];
        if (all > OUTLIER_RECORD)
            pool->latency[k] /= 2;
    }
    pool->min_waiting = evidence_min_waiting(slow, all);
    if (slow_ms < BACKEND_HEALTH_SLOW_MS)
        slow_ms = BACKEND_HEALTH_SLOW_MS;
    for (uint32_t i = 0; i < pool->n; i++) {
        struct backend_health *w = &pool->target[i];

        w->news |= w->row.slow_ms != slow_ms;
        w->row.slow_ms = (uint32_t)slow_ms;
    }
}

/* Of the requests that are compared: 0 while it gets none. */
static uint64_t weight_of(const struct backend_health *w)
{
    return backend_health_is_up(w->row.state) && w->override == ADMIN_READY ? w->backend->weight
                                                                            : 0;
}

static void outlier_compare(const struct pool_health *pool, uint64_t now_ms)
{
    struct score_totals totals = {0};
    char text[TABLE_REASON];
    uint32_t like = 0; /* backends that are not unlike the others: one has to be left */

    for (uint32_t i = 0; i < pool->n; i++) {
        struct backend_health *w = &pool->target[i];

        like += backend_health_is_up(w->row.state) && !w->score.kind;
        score_add(&totals, &w->seen, weight_of(w));
    }
    for (uint32_t i = 0; i < pool->n; i++) {
        struct backend_health *w = &pool->target[i];

        if (!backend_health_is_up(w->row.state) || (!w->score.kind && like < 2) ||
            !score_judge(&w->score, &w->seen, &totals, weight_of(w), now_ms, text))
            continue;
        like = w->score.kind ? like - 1 : like + 1;
        if (!w->score.kind) {
            backend_health_turn(w, HEALTH_UP, CAUSE_NONE, now_ms, "%s", text);
            continue;
        }
        backend_health_turn(w, HEALTH_DEGRADED, CAUSE_5XX + w->score.kind - EVIDENCE_5XX,
                            now_ms, "%s; weight reduced to %d %%", text,
                            HEALTH_UNLIKE_PERMILLE / 10);
        judge_hurry(w, true, now_ms);
    }
}

/* After a long healthy time the next ejection is shorter. */
static void decay(struct backend_health *w, uint64_t now_ms)
{
    if (!backend_health_is_healthy(w) || w->row.ejections == 0) {
        w->decay_ms = now_ms;
    } else if (now_ms >= w->decay_ms + w->pool->conf->eject.max_ms) {
        w->decay_ms = now_ms;
        w->row.ejections--;
        w->news = true;
    }
}

static void outlier_look_at(struct backend_health *w, uint64_t now_ms)
{
    const struct conf_eject *rules = &w->pool->conf->eject;
    bool ejects = rules->failures > 0 && w->pool->n > 1;
    char text[TABLE_REASON];

    decay(w, now_ms);
    if (w->row.state == HEALTH_EJECTED) {
        if (now_ms >= w->row.eject_until_ms && judge_has_risen(w))
            backend_health_turn(w, HEALTH_PROBATION, CAUSE_EJECTED, now_ms,
                                "the ejection is over: single requests try it");
    } else if (w->row.state == HEALTH_PROBATION) {
        look_at_probation(w, now_ms);
    } else if (!backend_health_serves(w)) {
        return;
    } else if (ejects && w->row.fall == 0 &&
               evidence_fails(&w->seen, rules, rules->failures, text)) {
        struct others others = look_at_others(w, now_ms);

        eject_or_keep(w, &others, text, CAUSE_FAILED, now_ms);
    } else if (w->row.state == HEALTH_SUSPECT && w->row.cause == CAUSE_FAILED) {
        try_suspect(w, now_ms);
    } else if (ejects) {
        try_silent(w, now_ms);
    }
}

bool outlier_look(struct pool_health *pool, uint64_t now_ms)
{
    bool news = false;

    for (uint32_t i = 0; i < pool->n; i++)
        judge_look(&pool->target[i], now_ms);
    learn_latency(pool, now_ms);
    outlier_compare(pool, now_ms);
    for (uint32_t i = 0; i < pool->n; i++) {
        struct backend_health *w = &pool->target[i];

        outlier_look_at(w, now_ms);
        news |= w->news && backend_health_publish(w);
    }
    return news;
}
