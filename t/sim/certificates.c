/* A certificate's life through random histories, on a virtual clock: does anything lead to one
 * that is never renewed, or renewed without end?
 *
 *   simulate [-n HISTORIES] [-s SEED] [-v]
 *
 * History number i of seed s is history 0 of seed s + i, so that a failure can be replayed:
 * `make simulate SEED=...` runs that one alone, and prints each step. Everything that decides
 * is the program's own (plan, fallback, rate log, renew, backoff, options); what is made up is
 * the CA, the clock, and the moments at which acmed is killed. */
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acmed/order/backoff.h"
#include "acmed/order/fallback.h"
#include "acmed/order/plan.h"
#include "acmed/order/rate_log.h"
#include "base/conf/conf.h"
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

static uint64_t rnd(struct world *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    return w->random ^= w->random << 17;
}

static uint64_t up_to(struct world *w, uint64_t most)
{
    return most ? rnd(w) % most : 0;
}

static bool one_in(struct world *w, unsigned n)
{
    return rnd(w) % n == 0;
}

static uint64_t our_clock(const struct world *w)
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

static void wrong(struct world *w, const char *what)
{
    say(w, "WRONG: %s", what);
    if (!w->failed)
        printf("seed %" PRIu64 ": %s; replay with make simulate SEED=%" PRIu64 "\n", w->seed,
               what, w->seed);
    w->failed = true;
}

/* ---- the CA, the clock */

/* Lets time pass, in which our clock drifts. */
static void pass(struct world *w, uint64_t ms)
{
    w->now += ms;
    w->drifted_us += (int64_t)ms * w->drift_ppm / 1000;
}

/* The CA that was down from the start is back, or this is not so simple. */
static void note_first_outage(struct world *w, bool was_fine)
{
    if (was_fine)
        w->only_unreached = false;
    else if (w->reached_at == 0)
        w->reached_at = w->now;
}

static void change_weather(struct world *w)
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

static void clock_was_set(struct world *w, uint64_t before)
{
    uint64_t back = plan_set_back_by(before, 0, our_clock(w), 0);

    if (back)
        plan_set_back(&w->state, &w->live, back);
    w->jumped_at = w->now;
    w->excused = true;
}

static void change_clock(struct world *w)
{
    uint64_t before = our_clock(w);

    if (!w->harsh || w->now < w->jump_at)
        return;
    if (w->skew && !one_in(w, 3))
        w->skew = w->drifted_us = 0; /* set right */
    else
        w->skew =
            (int64_t)up_to(w, one_in(w, 2) ? 400 * day : w->life) * (one_in(w, 2) ? 1 : -1);
    clock_was_set(w, before);
    w->only_unreached = false;
    w->jumps++;
    w->jump_at = w->now + up_to(w, 6 * w->life);
    say(w, "our clock is off by %" PRId64 " s", w->skew / 1000);
}

static uint64_t retry_after(struct world *w, const struct ca *ca)
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

/* ---- what acmed does */

static void issue(struct world *w, enum fallback_ca who)
{
    uint64_t apart = w->now - w->last_issue;

    w->live =
        (struct plan_live){.generation = w->live.generation + 1,
                           .from_ca = true,
                           .covers = true,
                           .can_ask = w->ari != ARI_NONE,
                           .life = {w->now - w->backdate, w->now - w->backdate + w->life}};
    w->live_ca = who;
    w->issued++;
    if (w->last_issue && !w->excused &&
        apart + second + w->life / (1000000 / DRIFT_PPM) < w->life / PLAN_PACE_PARTS)
        wrong(w, "two orders within a tenth of a lifetime");
    if (w->issued == 1 && w->only_unreached && w->reached_at &&
        w->now - w->reached_at > 2 * (w->reached_at - w->begun_at) + minute / 4)
        wrong(w, "the first one came long after its CA was there again");
    w->last_issue = w->now;
    w->excused = false;
    plan_issued(&w->state, our_clock(w));
    say(w, "issued by CA %d, number %" PRIu64, who, w->issued);
}

static void fail(struct world *w, enum fallback_ca who, const char *type, uint32_t status,
                 uint64_t retry_ms)
{
    struct job_problem problem = {.status = status,
                                  .retry_after_s = (uint32_t)(retry_ms / 1000)};

    snprintf(problem.type, sizeof problem.type, "%s", type);
    uint32_t unreached = w->state.fallback.ca_failures;

    w->failures++;
    w->excused = true;
    fallback_failed(&w->state.fallback, &w->ways, who, &problem);
    if (w->state.fallback.ca_failures == 0)
        plan_reached(&w->state, &w->live, unreached);
    w->only_unreached &= who == FALLBACK_FIRST && fallback_unreached(&problem);
    plan_failed(&w->state, &w->live, retry_ms, type, our_clock(w), rnd(w));
    if (fallback_unreached(&problem))
        plan_unreached(&w->state, &w->live, our_clock(w), rnd(w));
    say(w, "CA %d fails: %s, Retry-After %" PRIu64 " s; next try in %" PRId64 " s", who, type,
        retry_ms / 1000, (int64_t)(w->state.next_try - our_clock(w)) / 1000);
}

static void succeed(struct world *w, enum fallback_ca who, uint64_t begun_s)
{
    rate_log_success(&w->ca[who].rate_log, names, begun_s, our_clock(w) / 1000);
    if (fallback_succeeded(&w->state.fallback, who, JOB_HTTP_01)) {
        say(w, "staging dry run passed");
        plan_hurry(&w->state, 0, our_clock(w));
    } else {
        issue(w, who);
    }
}

static bool converse(struct world *w, struct ca *ca, enum fallback_ca who, struct options with)
{
    const struct options carried = with;
    const struct options_refusal *refusal;
    unsigned requests;

    refusal = refusals_converse(&ca->refusals, &with, w->now, rnd(w), &requests);
    for (int part = 1; part < OPTIONS_PARTS; part++)
        if (carried.carries[part] && !with.carries[part])
            say(w, "left out: %s", part_name[part]);
    if (requests > OPTIONS_PARTS)
        wrong(w, "no end of requests in one try");
    if (carried.carries[OPTIONS_PROFILE] && carried.profile_required &&
        !with.carries[OPTIONS_PROFILE])
        wrong(w, "ordered without the required profile");
    if (refusal) {
        w->only_unreached = false;
        fail(w, who, refusal->type[0] ? refusal->type : "net.response", refusal->status, 0);
    }
    return !refusal;
}

/* A conversation with a CA that can be reached: an account, unless there is one, and the
 * order. */
static void talk(struct world *w, enum fallback_ca who, uint64_t begun_s)
{
    struct ca *ca = &w->ca[who];
    bool replaces = w->live.from_ca && w->live.can_ask && w->live_ca == who;

    if (w->harsh && one_in(w, 20))
        ca->account = false; /* the CA lost it, or our key is a new one */
    if (!ca->account &&
        !converse(w, ca, who, (struct options){.carries = {[OPTIONS_CONTACT] = true}}))
        return;
    ca->account = true;
    if (converse(
            w, ca, who,
            (struct options){
                .carries = {[OPTIONS_REPLACES] = replaces, [OPTIONS_PROFILE] = ca->profile},
                .profile_required = ca->profile_required}))
        succeed(w, who, begun_s);
}

/* acmed is killed in its order. Without one that is open at the CA it begins like any other
 * that was not there; else it goes on with that. */
static void die(struct world *w, uint64_t begun_s)
{
    say(w, "killed in its order");
    w->kills++;
    w->only_unreached = false;
    w->killed_at = w->now;
    w->excused = true;
    w->state.begun = one_in(w, 2);
    w->order_begun_s = begun_s;
    if (!w->state.begun)
        plan_start(&w->state, &w->live, our_clock(w), rnd(w));
}

/* Goes on with the order that is open. false: the CA has lost it, and another one is due. */
static bool resume(struct world *w, enum fallback_ca who)
{
    struct ca *ca = &w->ca[who];

    if (ca->weather == FINE && one_in(w, 4)) {
        if (plan_resumes(&w->state, &w->live, our_clock(w))) {
            say(w, "its order is gone, and given up");
            plan_dropped(&w->state, our_clock(w));
            return true;
        }
        w->state.begun = 0;
        return false;
    }
    say(w, "goes on with its order");
    if (ca->weather == FINE)
        succeed(w, who, w->order_begun_s);
    else
        fail(w, who, ca->weather == DOWN ? "net.connect" : "serverInternal",
             ca->weather == DOWN ? 0 : 500, 0);
    return true;
}

static void order(struct world *w)
{
    enum fallback_ca who;
    struct ca *ca;
    uint64_t begun_s = our_clock(w) / 1000, wait;
    const char *why;

    struct rate_log_names these = names;

    these.life_s = w->live.from_ca ? w->life / 1000 : 0;
    w->ways.urgent = plan_urgent(&w->live, our_clock(w));
    who = fallback_ca(&w->state.fallback, &w->ways);
    ca = &w->ca[who];
    if (w->state.begun && resume(w, who))
        return;
    wait = w->ways.urgent
               ? 1000 * rate_log_wait_urgent(&ca->rate_log, these, begun_s, &why)
               : plan_limit_wait(
                     &w->live, 1000 * rate_log_wait(&ca->rate_log, these, false, begun_s, &why),
                     our_clock(w));
    if (wait) {
        say(w, "waits for %" PRIu64 " s: %s", wait / 1000, why);
        plan_postpone(&w->state, wait, why, our_clock(w));
        w->excused = true;
        w->only_unreached = false;
        return;
    }
    if (ca->weather == DOWN) {
        fail(w, who, "net.connect", 0, 0);
        return;
    }
    wait = w->state.wanted ? 0
                           : plan_clock_wait(&w->state, &w->live,
                                             -w->skew - w->drifted_us / 1000, our_clock(w));
    if (wait) {
        say(w, "held for %" PRIu64 " s: the clock", wait / 1000);
        plan_hold_by_clock(&w->state, wait, "clock", our_clock(w));
        return;
    }
    rate_log_attempt(&ca->rate_log, names, begun_s);
    if (w->harsh && one_in(w, 30)) {
        die(w, begun_s);
        return;
    }
    rate_log_order(&ca->rate_log, begun_s);
    if (ca->weather == LIMITED)
        fail(w, who, "rateLimited", 429, retry_after(w, ca));
    else if (ca->weather == ERRING)
        fail(w, who, "serverInternal", 500, retry_after(w, ca));
    else
        talk(w, who, begun_s);
}

static void ask(struct world *w)
{
    const struct renew_life *life = &w->live.life;
    struct renew_window window = {0};

    w->asks++;
    if (w->ca[FALLBACK_FIRST].weather != FINE) {
        plan_no_response(&w->state, 0, our_clock(w), rnd(w));
        return;
    }
    switch (w->ari) {
    case ARI_USUAL:
        window = (struct renew_window){life->not_before + w->life * 6 / 10,
                                       life->not_before + w->life * 7 / 10};
        break;
    case ARI_PAST:
        window = (struct renew_window){w->now - 2 * hour, w->now - hour};
        break;
    case ARI_LATE:
        window = (struct renew_window){life->not_after + day, life->not_after + 2 * day};
        break;
    default:
        break;
    }
    plan_responded(&w->state, &w->live, &window, one_in(w, 2) ? up_to(w, 100 * day) : 0,
                   our_clock(w), rnd(w));
}

/* ---- what must hold */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Since when the first CA issues what is required; in the future: it does not. */
static uint64_t fine_since(const struct world *w)
{
    const struct ca *ca = &w->ca[FALLBACK_FIRST];
    const struct refusals_part *profile = &ca->refusals.of[OPTIONS_PROFILE];

    return ca->profile_required && profile->as && w->now >= profile->from
               ? later(ca->fine_since, profile->until)
               : ca->fine_since;
}

/* Our clock has been right, the CA fine, and acmed alive, for the last tenth of its life. */
static void look_at_end(struct world *w)
{
    uint64_t tenth = w->life / 10, calm;
    bool expired = w->live.from_ca && w->now >= w->live.life.not_after;

    if (!expired)
        return;
    calm = later(later(w->jumped_at, w->killed_at), fine_since(w));
    if (w->ca[FALLBACK_FIRST].weather == FINE && w->skew == 0 && calm <= w->now &&
        w->now >= calm + tenth + second && w->now >= w->live.life.not_after + second)
        wrong(w, "it expired although its CA could be reached");
}

/* To the next moment at which anything can change. */
static void go_on(struct world *w, uint64_t until)
{
    uint64_t next = w->now + later(w->life / 4, second), ours = our_clock(w);
    uint64_t least = w->life < hour ? second / 4 : second;

    if (until > ours && until - ours < next - w->now)
        next = w->now + (until - ours);
    else if (until <= ours)
        next = w->now + least;
    for (int i = 0; i < FALLBACK_CAS && w->harsh; i++)
        if (w->ca[i].until < next)
            next = w->ca[i].until;
    if (w->harsh && w->jump_at < next)
        next = w->jump_at;
    pass(w, later(next, w->now + least) - w->now);
}

static void prune(struct world *w)
{
    for (int i = 0; i < FALLBACK_CAS; i++)
        if (w->ca[i].rate_log.n > 60) {
            size_t n;

            free(rate_log_print(&w->ca[i].rate_log, our_clock(w) / 1000, &n));
        }
}

static void live_until(struct world *w, uint64_t end)
{
    while (w->now < end && !w->failed) {
        uint64_t until = 0;

        if (++w->steps > 400000) {
            wrong(w, "no end of steps");
            return;
        }
        change_weather(w);
        change_clock(w);
        look_at_end(w);
        if (w->harsh && one_in(w, 300)) {
            say(w, "the operator wants a new one");
            w->state.wanted = 1;
            w->excused = true;
            w->only_unreached = false; /* his tries are closer to each other, and count */
        }
        switch (plan_next(&w->state, &w->live, our_clock(w), rnd(w), &until)) {
        case PLAN_ORDER:
            order(w);
            prune(w);
            pass(w, w->life < hour ? second / 4 : second);
            break;
        case PLAN_ASK:
            ask(w);
            break;
        case PLAN_WAIT:
            go_on(w, until);
            break;
        }
    }
}

/* ---- a history */

static uint64_t some_life(struct world *w)
{
    const uint64_t usual[] = {minute,     10 * minute, hour,     24 * hour,
                              160 * hour, 45 * day,    90 * day, 398 * day};

    return one_in(w, 2) ? usual[rnd(w) % 8]
                        : minute + up_to(w, UINT64_C(1) << (17 + rnd(w) % 18));
}

/* Each part that this CA refuses, or all of them: from the start or later, for some time or for
 * ever. */
static void refuse_parts(struct world *w, struct ca *ca)
{
    bool all = one_in(w, 3);

    for (enum options_part part = OPTIONS_REPLACES; part < OPTIONS_PARTS; part++)
        if (all || one_in(w, 2)) {
            struct refusals_part *of = &ca->refusals.of[part];

            of->as = refusals_choose(part, rnd(w));
            of->from = w->now + (one_in(w, 2) ? 0 : up_to(w, 10 * w->life));
            of->until = one_in(w, 2) ? UINT64_MAX : of->from + up_to(w, 10 * w->life);
        }
}

static void make_requests(struct world *w)
{
    for (int i = 0; i < FALLBACK_CAS; i++) {
        struct ca *ca = &w->ca[i];

        ca->profile = one_in(w, 2);
        ca->profile_required = ca->profile && one_in(w, 4);
        if (i == FALLBACK_STAGING) {
            ca->profile = w->ca[FALLBACK_FIRST].profile;
            ca->profile_required = w->ca[FALLBACK_FIRST].profile_required;
        }
        if (one_in(w, 2))
            refuse_parts(w, ca);
    }
}

static struct world make_world(uint64_t seed, bool verbose)
{
    struct world w = {.seed = seed,
                      .random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1,
                      .verbose = verbose,
                      .now = UINT64_C(1800000000000),
                      .harsh = true};
    const struct conf_ca_limits none = {0};
    bool public_ca;

    for (int i = 0; i < 8; i++)
        rnd(&w);
    w.life = some_life(&w);
    w.backdate = one_in(&w, 2) ? 0 : up_to(&w, w.life / 6 < hour ? w.life / 6 : hour);
    w.ari = (enum ari)(rnd(&w) % ARIS);
    public_ca = w.life >= 6 * day && one_in(&w, 2);
    w.ways = (struct order_options){.staging = one_in(&w, 2),
                                    .second = one_in(&w, 3),
                                    .after = 1 + (uint32_t)(rnd(&w) % 4),
                                    .kinds = {JOB_HTTP_01, JOB_TLS_ALPN_01},
                                    .n_kinds = 2};
    for (int i = 0; i < FALLBACK_CAS; i++) {
        w.ca[i].fine_since = w.now;
        w.ca[i].until = w.now + up_to(&w, 2 * w.life);
        w.ca[i].rate_log.limits =
            rate_log_limits_of(public_ca ? "https://acme-v02.api.letsencrypt.org/directory"
                                         : "https://ca.test/dir",
                               &none);
    }
    make_requests(&w);
    w.begun_at = w.now;
    if (one_in(&w, 3)) {
        w.ca[FALLBACK_FIRST].weather = DOWN;
        w.ca[FALLBACK_FIRST].until = w.now + up_to(&w, one_in(&w, 2) ? 5 * minute : day);
        w.only_unreached = !w.ways.second;
    }
    w.jump_at = one_in(&w, 2) ? UINT64_MAX : w.now + up_to(&w, 10 * w.life);
    if (one_in(&w, 3))
        w.drift_ppm = (int64_t)up_to(&w, 2 * DRIFT_PPM + 1) - DRIFT_PPM;
    w.end = w.now + 30 * w.life;
    return w;
}

/* A required profile is issued from now on, except by a staging CA that does not have it: that
 * must not be in the way. What is optional may be refused for ever. */
static void end_refusals(struct world *w, enum fallback_ca who)
{
    struct ca *ca = &w->ca[who];
    struct refusals_part *profile = &ca->refusals.of[OPTIONS_PROFILE];

    if (ca->profile_required && profile->as &&
        !(who == FALLBACK_STAGING && strcmp(profile->as->type, "invalidProfile") == 0))
        profile->until = w->now;
}

/* Without a first one no lifetime is known: a CA that wants a day of peace gets it, and so does
 * the staging CA that fails in between. */
static uint64_t time_for_first(const struct world *w)
{
    const struct ca *staging = &w->ca[FALLBACK_STAGING];
    bool in_between = w->ways.staging && staging->profile_required &&
                      refusals_now(&staging->refusals, OPTIONS_PROFILE, w->now);

    return w->live.from_ca ? 0 : (in_between ? 2 : 1) * 27 * hour;
}

static bool run(uint64_t seed, bool verbose)
{
    struct world w = make_world(seed, verbose);
    uint64_t before;

    say(&w,
        "life %" PRIu64 " s, backdated %" PRIu64 " s, ARI %d, staging %d, second CA %d, drift "
        "%" PRId64 " ppm",
        w.life / 1000, w.backdate / 1000, (int)w.ari, w.ways.staging, w.ways.second,
        w.drift_ppm);
    live_until(&w, w.end);
    /* Then all is fine: every state has an end. */
    w.harsh = false;
    before = our_clock(&w);
    w.skew = w.drifted_us = w.drift_ppm = 0;
    clock_was_set(&w, before);
    for (int i = 0; i < FALLBACK_CAS; i++) {
        w.ca[i].weather = FINE;
        w.ca[i].fine_since = w.now;
        end_refusals(&w, (enum fallback_ca)i);
    }
    say(&w, "from here on all is fine");
    live_until(&w, w.now + 3 * w.life + (w.life >= 6 * day ? 9 * day : 2 * hour) +
                       time_for_first(&w));
    if (!w.failed && (!w.live.from_ca || w.now >= w.live.life.not_after))
        wrong(&w, "there is no good certificate although all has been fine");
    if (!w.failed && w.state.failures)
        wrong(&w, "there is still a failure although all has been fine");
    for (int i = 0; i < FALLBACK_CAS; i++)
        rate_log_release(&w.ca[i].rate_log);
    return !w.failed;
}

int main(int argc, char **argv)
{
    uint64_t n = 100000, seed = 1, bad = 0;
    bool verbose = false;

    for (int c; (c = getopt(argc, argv, "n:s:v")) != -1;)
        switch (c) {
        case 'n':
            n = strtoull(optarg, NULL, 10);
            break;
        case 's':
            seed = strtoull(optarg, NULL, 10);
            break;
        case 'v':
            verbose = true;
            break;
        default:
            fprintf(stderr, "usage: simulate [-n HISTORIES] [-s SEED] [-v]\n");
            return 2;
        }
    for (uint64_t i = 0; i < n && bad < 10; i++)
        bad += !run(seed + i, verbose);
    printf("certificates: %" PRIu64 " histories from seed %" PRIu64 ": %s\n", n, seed,
           bad ? "FAILED" : "good");
    return bad ? 1 : 0;
}
