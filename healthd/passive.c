#include "healthd/passive.h"

#include <stdio.h>

#include "base/conf.h"
#include "base/log.h"

/* ---- may it go? */

struct others {
    unsigned well, sound; /* sound: well, and not about to be ejected themselves */
    unsigned alike;       /* they serve, and fail as this one does */
    unsigned stalled;     /* put aside for their silence */
    uint64_t answers;     /* in the window */
    uint64_t good_ms;     /* when one that is well answered last */
};

static struct others look_at_others(const struct pool_watch *pool, const struct target *w,
                                    uint64_t now_ms)
{
    struct others others = {0};

    for (uint32_t i = 0; i < pool->n; i++) {
        const struct target *o = &pool->target[i];

        if (o == w)
            continue;
        others.answers += eject_window(&o->eject, &pool->conf->eject, now_ms).good;
        others.stalled += target_ejected(o) && o->stalled;
        bool near = eject_near(&o->eject, &pool->conf->eject, now_ms);

        others.alike += target_serves(o) && (near || o->told);
        others.well += target_well(o);
        if (target_well(o) && o->good_ms > others.good_ms)
            others.good_ms = o->good_ms;
        others.sound += target_well(o) && !near;
    }
    return others;
}

static void eject(struct target *w, const char *why, bool stalled, uint64_t now_ms)
{
    const struct conf_eject *rules = &w->pool->eject;
    char text[TABLE_REASON];
    uint32_t ms;

    w->row.ejections = eject_next(rules, w->row.ejections);
    ms = eject_time_ms(rules, w->row.ejections);
    w->stalled = stalled;
    snprintf(text, sizeof text, "ejected for %g s: %.120s", ms / 1000.0, why);
    target_force(w, HEALTH_DOWN, text, now_ms);
    w->row.eject_until_ms = now_ms + ms;
    target_publish(w);
}

/* It stays, since nobody is there to take its place: it is suspected, and people are told. */
static void keep(struct target *w, const struct others *others, const char *why,
                 uint64_t now_ms)
{
    char text[TABLE_REASON];

    if (w->told)
        return;
    if (others->alike > 0)
        snprintf(text, sizeof text, "not ejected, others of the pool fail alike: %.100s", why);
    else if (others->well == 0)
        snprintf(text, sizeof text, "not ejected, no other of the pool is well: %.100s", why);
    else
        snprintf(text, sizeof text, "not ejected, of the others only %u well, of %u: %.90s",
                 others->well, w->pool->min_healthy, why);
    log_warn("backend %s %s", w->backend->name, text);
    w->row.trial = TRIAL_NONE;
    target_force(w, HEALTH_SUSPECT, text, now_ms);
    w->told = true;
}

/* ---- is it to go? */

static bool silent(const struct pool_watch *pool, const struct target *w,
                   const struct others *others, uint64_t now_ms, char text[TABLE_REASON])
{
    uint64_t most = (uint64_t)pool->conf->eject.window_ms * PASSIVE_MOST_TENTHS / 10;
    uint64_t ms = stall_few_ms(&w->stall, now_ms), patience;

    patience = stall_patience_ms(&w->stall, now_ms);
    /* Where checks fail too, it is theirs to decide. And what waits might be long reports after
     * all: one instance at a time is put to that. */
    if (ms < most || ms < patience || w->passed_ms <= now_ms - ms || others->stalled > 0 ||
        others->answers < STALL_FEW)
        return false;
    snprintf(text, TABLE_REASON, "%llu requests wait and none is answered since %.1f s",
             (unsigned long long)w->stall.view.unanswered, (double)ms / 1000);
    return true;
}

/* true: the state changed. */
static bool eject_or_keep(const struct pool_watch *pool, struct target *w,
                          const struct others *others, const char *why, bool stalled,
                          uint64_t now_ms)
{
    enum health_state from = w->verdict.state;

    if (others->sound >= (pool->conf->min_healthy ? pool->conf->min_healthy : 1))
        eject(w, why, stalled, now_ms);
    else
        keep(w, others, why, now_ms);
    return w->verdict.state != from;
}

static bool consider(const struct pool_watch *pool, struct target *w, uint64_t now_ms)
{
    struct others others;
    char why[TABLE_REASON];
    bool failing, stalled = false;

    if (pool->conf->eject.failures == 0 || pool->n < 2 || w->verdict.fall > 0)
        return false;
    failing = eject_due(&w->eject, &pool->conf->eject, now_ms, why);
    if (!failing && stall_few_ms(&w->stall, now_ms) < STALL_SIGN_MS)
        return false;
    others = look_at_others(pool, w, now_ms);
    if (!failing)
        stalled = silent(pool, w, &others, now_ms, why);
    if (!failing && !stalled)
        return false;
    return eject_or_keep(pool, w, &others, why, stalled, now_ms);
}

/* ---- trial */

/* Where it only waits, an answer is the proof; where requests failed, a whole one. */
static uint64_t went_well(const struct target *w, const struct signs *since)
{
    return w->row.trial == TRIAL_SILENT ? since->answers : since->completed;
}

/* The first one that another instance answered is no proof yet, but clients wait: what else may
 * be asked for elsewhere is, within the budget of retries. */
static bool rescue(struct target *w)
{
    if (w->row.trial != TRIAL_SILENT || w->row.rescue || w->seen.overtaken <= w->overtaken)
        return false;
    w->row.rescue = 1;
    target_publish(w);
    return true;
}

static bool try_it(const struct pool_watch *pool, struct target *w, uint64_t now_ms)
{
    struct signs since = signs_since(&w->seen, &w->before);
    struct others others = look_at_others(pool, w, now_ms);
    uint64_t good = went_well(w, &since);
    char text[TABLE_REASON];

    if (w->seen.trying > 0)
        w->tried_ms = now_ms;
    if (signs_hard(&since) > 0) {
        /* Where it has to stay, those that come from here on may prove it well. */
        w->before = w->seen;
        return eject_or_keep(pool, w, &others, "a request failed when it was tried again",
                             false, now_ms);
    }
    if (w->seen.mute >= w->mute + PASSIVE_MUTE)
        return eject_or_keep(pool, w, &others,
                             "on trial it left unanswered what others answered", true, now_ms);
    if (good >= PASSIVE_TRIAL_GOOD) {
        snprintf(text, sizeof text, "%llu requests went well on trial",
                 (unsigned long long)good);
        target_force(w, HEALTH_UP, text, now_ms);
    } else if (now_ms - w->tried_ms >= pool->conf->eject.time_ms) {
        /* Nothing (more) came that may be sent twice. Slow start bounds the harm. */
        target_force(w, HEALTH_UP, "its checks pass; no request came to try it with", now_ms);
    } else {
        return rescue(w);
    }
    return true;
}

/* Once checks pass. Where no other is well then, there is nothing to compare with: they are
 * believed. */
static bool try_suspect(const struct pool_watch *pool, struct target *w, uint64_t now_ms)
{
    if (!target_may_try(w, now_ms))
        return false;
    if (look_at_others(pool, w, now_ms).well > 0)
        return target_try(w, now_ms);
    w->failing = false;
    return false;
}

/* Requests wait, and none is answered: reports, or a hang? Where load is light the least
 * loaded is chosen, and who hangs gets no more that would tell. So it is tried, without a
 * word while that goes well; and again for each that comes to those that wait. */
static bool try_silent(const struct pool_watch *pool, struct target *w, uint64_t now_ms)
{
    uint64_t silent = stall_all_ms(&w->stall, now_ms);
    struct others others;
    char text[TABLE_REASON];

    if (w->seen.unanswered < w->doubted)
        w->doubted = w->seen.unanswered;
    if (w->seen.unanswered <= w->doubted || pool->conf->eject.failures == 0 ||
        silent < STALL_HANG_MS)
        return false;
    /* Where checks fail too, it is theirs to decide. */
    if (w->verdict.state == HEALTH_SATURATED || w->failing || w->verdict.fall > 0 ||
        w->passed_ms <= now_ms - silent)
        return false;
    others = look_at_others(pool, w, now_ms);
    if (others.well == 0 || others.good_ms <= now_ms - silent)
        return false;
    w->doubted = w->seen.unanswered;
    snprintf(text, sizeof text,
             "%llu request%s and none is answered since %.1f s: on trial with single requests",
             (unsigned long long)w->seen.unanswered,
             w->seen.unanswered == 1 ? " waits" : "s wait", (double)silent / 1000);
    target_doubt(w, text, now_ms);
    return true;
}

/* After a long good life the next ejection is a shorter one. */
static void mellow(struct target *w, uint64_t now_ms)
{
    if (!target_well(w) || w->row.ejections == 0) {
        w->mellow_ms = now_ms;
    } else if (now_ms - w->mellow_ms >= w->pool->eject.max_ms) {
        w->mellow_ms = now_ms;
        w->row.ejections--;
        target_publish(w);
    }
}

static void record(struct pool_watch *pool, const struct signs *added)
{
    pool->all += added->completed;
    pool->slow += added->slow;
    if (pool->all >= PASSIVE_RECORD) {
        pool->all /= 2;
        pool->slow /= 2;
    }
}

static bool look_at(const struct pool_watch *pool, struct target *w, uint64_t now_ms)
{
    switch (w->row.trial) {
    case TRIAL_NONE:
        return consider(pool, w, now_ms) || try_suspect(pool, w, now_ms) ||
               try_silent(pool, w, now_ms);
    case TRIAL_SILENT:
        return consider(pool, w, now_ms) || try_it(pool, w, now_ms);
    default:
        return try_it(pool, w, now_ms);
    }
}

bool passive_look(struct pool_watch *pool, const struct signs_live *live, uint64_t now_ms)
{
    uint64_t few = stall_needed(pool->slow, pool->all);
    bool news = false;

    for (uint32_t i = 0; i < pool->n; i++) {
        struct target *w = &pool->target[i];
        bool served = target_serves(w);
        struct signs added;

        news |= target_look(w, live, few, &added, now_ms);
        if (served)
            record(pool, &added);
    }
    for (uint32_t i = 0; i < pool->n; i++) {
        struct target *w = &pool->target[i];

        mellow(w, now_ms);
        if (target_ejected(w))
            news |= target_release(w, now_ms);
        else if (target_serves(w))
            news |= look_at(pool, w, now_ms);
    }
    return news;
}
