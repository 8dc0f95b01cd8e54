/* The world around a certificate in t/sim/certificates.c: CAs with their outages, limits and
 * refusals, and a clock that drifts and jumps. */
#ifndef T_SIM_CA_WORLD_H
#define T_SIM_CA_WORLD_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "acmed/order/backoff.h"
#include "acmed/order/fallback.h"
#include "acmed/order/plan.h"
#include "acmed/order/rate_log.h"
#include "t/sim/refusals.h"

static const uint64_t second = 1000, minute = 60000, hour = 3600000,
                      day = UINT64_C(24) * 3600000;
static const char *const name = "shop.test";
static const struct rate_log_names names = {&name, 1, 0};

enum { DRIFT_PPM = 1000 }; /* of our clock, at most: 3 % of a lifetime in a history */

enum weather { FINE, DOWN, LIMITED, ERRING, WEATHERS }; /* of a CA: not reached, 429, 500 */
static const char *const weather_name[] = {"fine", "down", "limited", "erring"};
static const char *const part_name[OPTIONS_PARTS] = {"", "replaces", "profile", "contact"};

/* What the CA says in renewal information. */
enum ari { ARI_NONE, ARI_USUAL, ARI_PAST, ARI_GARBAGE, ARI_LATE, ARIS };

struct ca {
    enum weather weather;
    uint64_t until; /* true time at which it changes */
    uint64_t fine_since;
    struct rate_log rate_log;
    bool account;                   /* we have one there */
    bool profile, profile_required; /* configured */
    struct refusals refusals;
};

struct world {
    uint64_t seed, random;
    bool verbose, failed;
    uint64_t now;                  /* true time */
    int64_t skew;                  /* our clock less the true one, of a jump */
    int64_t drift_ppm, drifted_us; /* our clock goes wrong; what came of it */
    uint64_t jump_at, jumped_at, killed_at;
    uint64_t order_begun_s;
    uint64_t end;

    uint64_t life, backdate; /* of what the CA signs */
    enum ari ari;
    bool harsh; /* there are outages, kills, jumps */
    struct order_options ways;
    struct ca ca[FALLBACK_CAS];

    struct cert_state state;
    struct plan_live live;
    uint64_t issued, failures, jumps, kills, asks, steps;
    enum fallback_ca live_ca;
    uint64_t last_issue; /* true time; 0: none yet */
    bool excused;        /* since then: a failure, kill or jump may be why it comes early */
    uint64_t begun_at, reached_at; /* of a CA that was down at first */
    bool only_unreached;           /* nothing else has gone wrong yet */
    uint64_t expired_at;           /* true time from which it was expired; 0: it is not */
};

static inline uint64_t rnd(struct world *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    return w->random ^= w->random << 17;
}

static inline uint64_t up_to(struct world *w, uint64_t most)
{
    return most ? rnd(w) % most : 0;
}

static inline bool one_in(struct world *w, unsigned n)
{
    return rnd(w) % n == 0;
}

static inline uint64_t our_clock(const struct world *w)
{
    return (uint64_t)((int64_t)w->now + w->skew + w->drifted_us / 1000);
}

__attribute__((format(printf, 2, 3))) static void say(const struct world *w, const char *fmt,
                                                      ...)
{
    va_list ap;

    if (!w->verbose)
        return;
    printf("%14.3f h  ", (double)(w->now - UINT64_C(1800000000000)) / (double)hour);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

static inline void wrong(struct world *w, const char *what)
{
    say(w, "WRONG: %s", what);
    if (!w->failed)
        printf("seed %" PRIu64 ": %s; replay with make simulate SEED=%" PRIu64 "\n", w->seed,
               what, w->seed);
    w->failed = true;
}

/* ---- the weather, the clock */

/* Lets time pass, in which our clock drifts. */
static inline void pass(struct world *w, uint64_t ms)
{
    w->now += ms;
    w->drifted_us += (int64_t)ms * w->drift_ppm / 1000;
}

/* The CA that was down from the start is back, or this is not so simple. */
static inline void note_first_outage(struct world *w, bool was_fine)
{
    if (was_fine)
        w->only_unreached = false;
    else if (w->reached_at == 0)
        w->reached_at = w->now;
}

static inline void change_weather(struct world *w)
{
    for (int i = 0; i < FALLBACK_CAS; i++) {
        struct ca *ca = &w->ca[i];

        while (w->harsh && w->now >= ca->until) {
            bool was_fine = ca->weather == FINE;

            ca->weather = was_fine ? (enum weather)(1 + rnd(w) % (WEATHERS - 1)) : FINE;
            if (ca->weather == FINE)
                ca->fine_since = w->now;
            if (i == FALLBACK_FIRST)
                note_first_outage(w, was_fine);
            /* Hours to weeks, and for short lives what corresponds to it. */
            ca->until += second + (was_fine ? up_to(w, one_in(w, 4) ? 2 * w->life : w->life / 4)
                                            : up_to(w, 4 * w->life));
            say(w, "CA %d: %s", i, weather_name[ca->weather]);
        }
    }
}

static inline void clock_was_set(struct world *w, uint64_t before)
{
    uint64_t back = plan_set_back_by(before, 0, our_clock(w), 0);

    if (back)
        plan_set_back(&w->state, &w->live, back);
    w->jumped_at = w->now;
    w->excused = true;
}

/* It was set while acmed did not run, which has not seen the clock before. */
static inline void start_by_other_clock(struct world *w)
{
    say(w, "acmed was down meanwhile");
    pass(w, up_to(w, w->life / 4));
    w->jumped_at = w->now;
    w->excused = true;
    if (!w->state.begun)
        plan_start(&w->state, &w->live, our_clock(w), rnd(w));
}

static inline void change_clock(struct world *w)
{
    uint64_t before = our_clock(w);

    if (!w->harsh || w->now < w->jump_at)
        return;
    if (w->skew && !one_in(w, 3))
        w->skew = w->drifted_us = 0; /* set right */
    else
        w->skew =
            (int64_t)up_to(w, one_in(w, 2) ? 400 * day : w->life) * (one_in(w, 2) ? 1 : -1);
    if (one_in(w, 2))
        clock_was_set(w, before);
    else
        start_by_other_clock(w);
    w->only_unreached = false;
    w->jumps++;
    w->jump_at = w->now + up_to(w, 6 * w->life);
    say(w, "our clock is off by %" PRId64 " s", w->skew / 1000);
}

static inline uint64_t retry_after(struct world *w, const struct ca *ca)
{
    uint64_t honest = ca->until > w->now ? ca->until - w->now : 0;

    switch (rnd(w) % 4) {
    case 0:
        return honest;
    case 1:
        return up_to(w, 10 * 365 * day); /* nonsense */
    default:
        return 0;
    }
}

#endif
