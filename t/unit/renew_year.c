/* Years of a 6-day certificate, on a virtual clock: renewals by ARI and without, a CA that is
 * down or refuses for a while, an acmed that is killed, a clock that jumps. */
#include <stdlib.h>

#include "acmed/order/backoff.h"
#include "acmed/order/plan.h"
#include "acmed/order/rate_log.h"
#include "t/unit/tap.h"

static const uint64_t minute = 60000, hour = 3600000, day = 24 * 3600000,
                      life_ms = 160 * 3600000;
static const char *const name = "shop.test";
static const struct rate_log_names names = {&name, 1, 0};

enum { FAILURES_MAX = 4 }; /* per hour: below what Let's Encrypt allows */
enum weather { FINE, DOWN, REFUSING };

struct world {
    uint64_t now, end, random;
    struct cert_state state; /* on disk: outlives a kill */
    struct plan_live live;
    struct rate_log rate_log;
    bool ari;
    uint64_t outage, calm; /* longest outage, longest time between two; 0: none */
    enum weather weather, kind;
    uint64_t weather_until;
    uint64_t issued, tries, asks, expired_ms, least_left, worst_hour, most_week;
    uint64_t last_tries[FAILURES_MAX + 1]; /* that failed */
};

static uint64_t rnd(struct world *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    return w->random ^= w->random << 17;
}

static void change_weather(struct world *w)
{
    while (w->calm && w->now >= w->weather_until) {
        w->weather = w->weather == FINE ? w->kind : FINE;
        w->weather_until +=
            w->weather == FINE ? 8 * hour + rnd(w) % w->calm : rnd(w) % w->outage;
    }
}

static void issue(struct world *w)
{
    if (w->live.from_ca) {
        uint64_t left = w->live.life.not_after > w->now ? w->live.life.not_after - w->now : 0;

        w->least_left = left < w->least_left ? left : w->least_left;
        if (!left)
            w->expired_ms += w->now - w->live.life.not_after;
    }
    w->live = (struct plan_live){.generation = w->live.generation + 1,
                                 .from_ca = true,
                                 .covers = true,
                                 .can_ask = w->ari,
                                 .life = {w->now - hour, w->now - hour + life_ms}};
    w->issued++;
    plan_issued(&w->state, w->now);
}

/* A failure at the CA: more than 5 within an hour are what must not be. */
static void count_failure(struct world *w)
{
    for (int i = 0; i < FAILURES_MAX; i++)
        w->last_tries[i] = w->last_tries[i + 1];
    w->last_tries[FAILURES_MAX] = w->now;
    if (w->last_tries[0] && w->now - w->last_tries[0] < hour)
        w->worst_hour++;
}

static void order(struct world *w, bool killed)
{
    const char *why;
    uint64_t wait = rate_log_wait(&w->rate_log, names, w->live.from_ca, w->now / 1000, &why);
    uint64_t begun = w->now / 1000;

    if (wait) {
        plan_postpone(&w->state, wait * 1000, why, w->now);
        return;
    }
    w->tries++;
    rate_log_attempt(&w->rate_log, names, begun);
    if (killed) {
        count_failure(w); /* for all that the CA knows */
        return;
    }
    if (w->weather == FINE) {
        rate_log_success(&w->rate_log, names, begun, begun);
        issue(w);
        return;
    }
    if (w->weather == DOWN)
        rate_log_refund(&w->rate_log, names, begun);
    else
        count_failure(w);
    plan_failed(&w->state, &w->live, 0, "no", w->now, rnd(w));
}

static void ask(struct world *w)
{
    struct renew_window window = {w->live.life.not_before + life_ms * 4 / 10,
                                  w->live.life.not_before + life_ms * 5 / 10};

    w->asks++;
    if (w->weather == DOWN)
        plan_no_response(&w->state, 0, w->now, rnd(w));
    else
        plan_responded(&w->state, &w->live, &window, 6 * hour, w->now, rnd(w));
}

static void live_through(struct world *w, unsigned kill_one_in)
{
    w->least_left = UINT64_MAX;
    while (w->now < w->end) {
        uint64_t until = w->now + hour, size = 0;
        bool killed;

        change_weather(w);
        switch (plan_next(&w->state, &w->live, w->now, rnd(w), &until)) {
        case PLAN_ORDER:
            killed = kill_one_in && rnd(w) % kill_one_in == 0;
            order(w, killed);
            if (killed)
                plan_start(&w->state, &w->live, w->now, rnd(w));
            break;
        case PLAN_ASK:
            ask(w);
            break;
        case PLAN_WAIT:
            w->now = until > w->now ? until : w->now + 1000;
            continue;
        }
        w->now += 1000; /* a restart, or the next look */
        size = w->rate_log.n;
        if (size > 100) {
            size_t n;

            free(rate_log_print(&w->rate_log, w->now / 1000, &n));
        }
    }
    rate_log_release(&w->rate_log);
}

static struct world start(uint64_t years, uint64_t seed)
{
    uint64_t now = UINT64_C(1800000000000);

    return (struct world){.now = now,
                          .end = now + years * 365 * day,
                          .random = seed,
                          .weather_until = now + day,
                          .rate_log.limits = {FAILURES_MAX, 250, 4, 3}};
}

static void test_fine(void)
{
    struct world w = start(1, 1);

    live_through(&w, 0);
    ok(w.issued >= 109 && w.issued <= 116, "a fine year: %" PRIu64 " certificates", w.issued);
    is_int(w.tries, w.issued, "no try in vain");
    ok(w.least_left >= 80 * hour, "half of its life is left at each renewal");
    is_int(w.asks, 0, "nothing is asked without ARI");
    w = start(1, 2);
    w.ari = true;
    live_through(&w, 0);
    ok(w.issued >= 110 && w.issued <= 145, "with ARI: %" PRIu64, w.issued);
    ok(w.asks >= 1200 && w.asks <= 1800, "asked every 6 h: %" PRIu64, w.asks);
}

static void test_outages(void)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct world w = start(1, seed * 7919);

        w.ari = seed % 2;
        w.kind = seed % 3 ? DOWN : REFUSING;
        w.outage = 66 * hour;
        w.calm = 5 * day;
        live_through(&w, 0);
        if (w.expired_ms || w.issued < 90 || w.worst_hour)
            fail("seed %" PRIu64 ": %" PRIu64 " issued, %" PRIu64 " ms expired, %" PRIu64
                 " too often",
                 seed, w.issued, w.expired_ms, w.worst_hour);
    }
    pass("50 years with outages of up to 66 hours: it never expires");
}

static void test_long_outage(void)
{
    struct world w = start(1, 42);

    w.weather = REFUSING;
    w.weather_until = w.now + 365 * day;
    live_through(&w, 0);
    is_int(w.issued, 0, "a year of refusals");
    ok(w.tries < 400, "is a try a day: %" PRIu64, w.tries);
    is_int(w.worst_hour, 0, "and never 5 in an hour");
    is_int(w.state.failures, w.tries, "all of them counted");
}

static void test_kills(void)
{
    struct world w = start(1, 4711);

    live_through(&w, 3);
    ok(w.issued >= 105, "killed at each third order: %" PRIu64 " certificates", w.issued);
    is_int(w.expired_ms, 0, "never expired");
    w = start(1, 4712);
    w.end = w.now + 10 * day;
    live_through(&w, 1);
    is_int(w.issued, 0, "killed at each order");
    is_int(w.worst_hour, 0, "spends nothing of the CA's limit");
    ok(w.tries <= 10 * 24 * FAILURES_MAX + 4, "that is 4 an hour: %" PRIu64, w.tries);
}

static void test_clock(void)
{
    struct cert_state s = {0};
    struct plan_live live = {.generation = 1,
                             .from_ca = true,
                             .covers = true,
                             .can_ask = true,
                             .life = {1000 * day, 1090 * day}};
    uint64_t now = 1001 * day, until = 0;

    is_int(plan_next(&s, &live, now, 5, &until), PLAN_ASK, "asks first");
    plan_no_response(&s, 0, now, 5);
    is_int(plan_next(&s, &live, now, 5, &until), PLAN_WAIT, "waits");
    ok(until <= now + 2 * minute, "and asks again soon");
    plan_responded(&s, &live, &(struct renew_window){1002 * day, 1003 * day}, 0, now, 5);
    uint64_t chosen = s.renew_at;
    plan_responded(&s, &live, &(struct renew_window){1002 * day, 1003 * day}, 0, now, 99);
    is_int(s.renew_at, chosen, "the time in a window is chosen once");
    plan_responded(&s, &live, &(struct renew_window){1000 * day, 1000 * day + 1}, 0, now, 99);
    is_int(plan_next(&s, &live, now, 5, &until), PLAN_ORDER, "a window in the past: at once");
    plan_failed(&s, &live, 0, "no", now, 5);
    is_int(plan_next(&s, &live, now, 5, &until), PLAN_WAIT, "but under the usual delays");
    s.wanted = 1;
    is_int(plan_next(&s, &live, now, 5, &until), PLAN_ORDER, "unless the operator wants it");
    s.wanted = 0;
    is_int(plan_next(&s, &live, now - 400 * day, 5, &until) != PLAN_WAIT || until < now, true,
           "a clock that was set back by a year does not stop it");
    s = (struct cert_state){0};
    live.covers = false;
    is_int(plan_next(&s, &live, now, 5, &until), PLAN_ORDER, "a name was added: at once");
    live.covers = true;
    now = 1085 * day;
    s = (struct cert_state){.generation = 1, .ask_at = now + hour};
    is_int(plan_next(&s, &live, now, 1234567, &until), PLAN_ORDER,
           "overdue and nearly over: at once");
    now = 1070 * day;
    s = (struct cert_state){.generation = 1, .ask_at = now + 2 * hour};
    is_int(plan_next(&s, &live, now, 1234567, &until), PLAN_WAIT,
           "overdue at a start: not with all others");
    ok(until <= now + hour && until > now, "but within the hour");
}

/* What is due was to be renewed at `at`, by a service that is started now. Put off to when? */
static uint64_t started(struct cert_state *s, const struct plan_live *live, uint64_t at,
                        uint64_t now, uint64_t random)
{
    s->generation = live->generation;
    s->renew_at = at;
    plan_start(s, live, now, random);
    return s->renew_at;
}

static void test_start(void)
{
    const uint64_t now = 1070 * day, late = 1085 * day, soon = now + minute;
    struct plan_live live = {
        .generation = 3, .from_ca = true, .covers = true, .life = {1000 * day, 1090 * day}};
    struct cert_state s = {0};
    uint64_t least = UINT64_MAX, most = 0, until = 0;

    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t at = started(&s, &live, now - 9 * day, now, i * 7919777);

        least = at < least ? at : least;
        most = at > most ? at : most;
    }
    ok(least >= now && least < now + minute && most > now + 59 * minute && most <= now + hour,
       "due while nobody was there: all over the hour from the start on");
    s.ask_at = now + 2 * hour;
    is_int(plan_next(&s, &live, now, 5, &until), PLAN_WAIT, "so it waits");
    is_int(until, s.renew_at, "until then");
    is_int(started(&s, &live, s.renew_at, now + 1, 5), until, "another start changes nothing");
    is_int(started(&s, &live, soon, now, 1234567), soon, "nor is what comes soon put off");
    s.ari = (struct renew_window){now - 2 * day, now - day};
    ok(started(&s, &live, now - day, now, 1234567) > now, "a window of the CA passed, too");
    s.next_try = now + day;
    is_int(started(&s, &live, now - day, now, 1234567), now - day, "a delay goes on");
    s.next_try = now - hour;
    ok(started(&s, &live, now - day, now, 1234567) > now, "but not one that is over");
    s.wanted = 1;
    is_int(plan_next(&s, &live, now, 5, &until), PLAN_ORDER, "unless it is wanted now");
    s.wanted = 0;
    is_int(started(&s, &live, now - day, late, 1234567), late, "nearly over: at once");
    live.covers = false;
    is_int(started(&s, &live, now - day, now, 1234567), now - day, "a name was added");
    is_int(plan_next(&s, &live, now, 5, &until), PLAN_ORDER, "at once");
    s = (struct cert_state){0};
    live = (struct plan_live){.generation = 1, .life = live.life};
    plan_start(&s, &live, now, 1234567);
    is_int(plan_next(&s, &live, now, 5, &until), PLAN_ORDER, "a first one: at once");
}

static void test_away(void)
{
    const uint64_t now = 1070 * day;

    ok(plan_was_away(0, now), "a start");
    ok(!plan_was_away(now, now) && !plan_was_away(now, now + minute), "the next look");
    ok(plan_was_away(now, now + day), "a machine that slept");
    ok(plan_was_away(minute, now), "a clock that began in 1970 and was set right");
    ok(!plan_was_away(now, now - day), "set back: nothing came due by that");
}

int main(void)
{
    test_fine();
    test_outages();
    test_long_outage();
    test_kills();
    test_clock();
    test_start();
    test_away();
    return done();
}
