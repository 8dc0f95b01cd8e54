/* What to do next about one certificate: the pace of renewals, clocks, limits. */
#include <string.h>

#include "acmed/order/plan.h"
#include "t/unit/tap.h"

static const uint64_t minute = 60000, hour = 3600000, day = 24 * 3600000,
                      t0 = UINT64_C(1800000000000);

static struct plan_live live_from(uint64_t from, uint64_t life)
{
    return (struct plan_live){.generation = 1,
                              .from_ca = true,
                              .covers = true,
                              .can_ask = true,
                              .life = {from, from + life}};
}

/* How often it is ordered within a time, from a CA that gives it the same life each time. */
static unsigned orders(uint64_t life, uint64_t span, int64_t clock_ahead, bool past_window)
{
    struct cert_state s = {0};
    struct plan_live live = {0};
    unsigned n = 0;

    for (uint64_t now = t0; now < t0 + span; now += life / 1000 + 1) {
        const struct renew_window window = {now - 2 * day, now - day};
        uint64_t until;

        switch (plan_next(&s, &live, now, 7, &until)) {
        case PLAN_ORDER:
            n++;
            live = live_from(now - (uint64_t)clock_ahead, life);
            live.generation = n;
            plan_issued(&s, now);
            break;
        case PLAN_ASK:
            if (past_window)
                plan_responded(&s, &live, &window, 0, now, 7);
            else
                plan_no_response(&s, 0, now, 7);
            break;
        case PLAN_WAIT:
            break;
        }
    }
    return n;
}

static void test_pace(void)
{
    ok(orders(90 * day, 90 * day, 0, true) <= 11,
       "a window that has always passed: once per tenth of the lifetime at most");
    ok(orders(90 * day, 90 * day, 0, true) >= 9, "but then");
    ok(orders(90 * day, 90 * day, 62 * (int64_t)day, false) <= 11,
       "a clock that is 62 days ahead: the same");
    ok(orders(minute, hour, 0, false) >= 60 * 2, "60 seconds: renewed at half of it");
}

/* Chosen at a start under a clock that was ahead and is right now. */
static void test_chosen_ahead(void)
{
    const struct plan_live live = live_from(t0, hour);
    struct cert_state s = {.generation = 1, .issued_at = t0, .renew_at = t0 + 65 * minute};
    uint64_t until;

    is_int(plan_next(&s, &live, t0 + hour, 7, &until), PLAN_ORDER,
           "what has expired does not wait for a time that a wrong clock chose");
    s.renew_at = t0 + 58 * minute;
    is_int(plan_next(&s, &live, t0 + 55 * minute, 7, &until), PLAN_ORDER,
           "nor does what soon expires");
}

/* Issued while our clock was ahead by nearly its lifetime, and set right when most of that had
 * passed: it seems just issued, but it must be replaced before it expires. */
static void test_set_back(void)
{
    struct plan_live live = live_from(t0, hour);
    struct cert_state s = {0}, before;
    uint64_t ahead = 55 * minute, now = t0 + 56 * minute, until;

    live.can_ask = false;
    is_int(plan_set_back_by(0, 0, t0, 5), 0, "the first look");
    is_int(plan_set_back_by(t0, 5, t0 + hour, 5), 0, "set forward");
    is_int(plan_set_back_by(t0, 5, t0 + hour, 5 + hour), 0, "an hour later");
    is_int(plan_set_back_by(t0, 5, t0 + hour - 500, 5 + hour), 0,
           "a clock that is slowed down");
    is_int(plan_set_back_by(t0, 5, t0 - minute, 5 + hour), 61 * minute, "set back");

    plan_issued(&s, t0 + ahead);
    plan_next(&s, &live, t0 + ahead, 7, &until);
    is_int(plan_order_at(&s, &live, t0 + ahead), t0 + ahead + 6 * minute,
           "the interval holds while the clock is wrong");
    before = s;
    plan_set_back(&s, &live, ahead);
    is_int(s.issued_at, t0, "the time of issue is known again");
    is_int(plan_next(&s, &live, now, 7, &until), PLAN_ORDER, "it is due at once");
    s = before;
    plan_set_back(&s, &live, 2 * minute);
    is_int(plan_next(&s, &live, t0 + ahead + minute, 7, &until), PLAN_WAIT,
           "still ahead: the interval holds");
    is_int(plan_order_at(&s, &live, t0 + ahead), t0 + ahead + 4 * minute,
           "by the clock as it is");
    s = before;
    plan_set_back(&s, &live, 2 * day);
    is_int(s.issued_at, t0, "never before its own dates");
    live.from_ca = false;
    s = before;
    plan_set_back(&s, &live, ahead);
    is_int(s.issued_at, t0 + ahead, "these are those of another one");
}

/* Asked for by hand just after it was issued, before the first look at it. */
static void test_rests(void)
{
    struct plan_live live = live_from(t0 - hour, 90 * day);
    struct cert_state s = {0}, before;
    uint64_t until;

    plan_issued(&s, t0);
    before = s;
    ok(plan_rests(&s, &live, t0), "the first one is not due just after it was issued");
    ok(memcmp(&before, &s, sizeof s) == 0, "the question changes nothing");
    is_int(plan_next(&s, &live, t0, 7, &until), PLAN_ASK, "the first look");
    ok(plan_rests(&s, &live, t0 + 57 * day), "not due for two thirds of its life");
    ok(!plan_rests(&s, &live, t0 + 60 * day), "then it is");

    s.generation = 0;
    ok(!plan_rests(&s, &live, t0 + 60 * day), "also when nothing is known of it");

    live = live_from(t0 + 60 * day, 90 * day);
    live.generation = 2;
    plan_issued(&s, t0 + 60 * day);
    ok(plan_rests(&s, &live, t0 + 60 * day), "its successor is not");
    s.failures = 1;
    ok(!plan_rests(&s, &live, t0 + 60 * day), "unless an order has failed since");
    s.failures = 0;
    s.begun = 1;
    ok(!plan_rests(&s, &live, t0 + 60 * day), "or one is open");
    s.begun = 0;
    live.covers = false;
    ok(!plan_rests(&s, &live, t0 + 60 * day), "or it lacks a name");
}

static void test_limits(void)
{
    struct plan_live live = live_from(t0, 90 * day);

    is_int(plan_limit_wait(&live, 3 * day, t0 + 60 * day), 3 * day, "a limit is kept");
    ok(!plan_urgent(&live, t0 + 77 * day) && plan_urgent(&live, t0 + 78 * day),
       "urgent: with a seventh of the lifetime left");
    is_int(plan_limit_wait(&live, 20 * day, t0 + 70 * day), 90 * day - 90 * day / 7 - 70 * day,
           "a limit holds until then");
    is_int(plan_limit_wait(&live, 7 * day, t0 + 80 * day), day,
           "then what the CA asks for is obeyed for a day");
    is_int(plan_limit_wait(&live, 7 * day, t0 + 91 * day), day, "expired: the same");
    is_int(plan_limit_wait(&live, 60000, t0 + 91 * day), 60000, "what is shorter is kept");
    live.from_ca = false;
    is_int(plan_limit_wait(&live, 7 * day, t0), 7 * day, "without a certificate it is kept");
    live = live_from(t0, minute);
    is_int(plan_limit_wait(&live, 7 * day, t0 + 59000), 2500, "a life of a minute: 2.5 s");
}

static void test_clock(void)
{
    struct plan_live live = live_from(t0, 90 * day);
    struct cert_state s = {.generation = 1, .renew_at = t0 + 60 * day, .issued_at = t0};
    uint64_t now = t0 + 62 * day;

    is_int(plan_clock_wait(&s, &live, 0, now), 0, "clocks agree: go");
    is_int(plan_clock_wait(&s, &live, -(int64_t)(4 * minute), t0 + 60 * day), 0,
           "a few minutes: go");
    is_int(plan_clock_wait(&s, &live, -(int64_t)(62 * day), now), day,
           "due by our clock only: held, and looked at again");
    is_int(plan_clock_wait(&s, &live, -(int64_t)(3 * hour), t0 + 60 * day + hour), 2 * hour,
           "until it is due by the CA's");
    is_int(plan_clock_wait(&s, &live, 62 * (int64_t)day, now), 0,
           "ours is behind, and it is due");
    is_int(plan_clock_wait(&s, &live, -(int64_t)(82 * day), t0 + 82 * day), 0,
           "nearly expired: the CA's clock may be the wrong one: go");
    s.renew_at = t0 + 71 * day;
    is_int(plan_due_by_dates(&s, &live), t0 + 60 * day, "a pace by a clock ahead is not told");
    s.issued_at = t0 + 82 * day;
    ok(plan_clock_wait(&s, &live, -(int64_t)(82 * day), t0 + 82 * day) > 0,
       "but not where its dates show that ours is");
    live.covers = false;
    is_int(plan_clock_wait(&s, &live, -(int64_t)(82 * day), t0 + 82 * day), 0,
           "another name is wanted, whatever the clock: go");
}

/* Due by a clock that is 62 days ahead; then it is set right. */
static void test_clock_set_right(void)
{
    struct plan_live live = live_from(t0, 90 * day);
    struct cert_state s = {.generation = 1, .renew_at = t0 + 60 * day, .issued_at = t0};
    uint64_t until;

    live.can_ask = false;
    plan_hold_by_clock(&s, day, "the clock", t0 + 62 * day);
    is_int(plan_next(&s, &live, t0 + 62 * day, 0, &until), PLAN_WAIT, "held");
    is_str(s.problem, "the clock", "and said why");
    is_int(plan_next(&s, &live, t0 + hour, 0, &until), PLAN_WAIT, "set right: not due");
    is_str(s.problem, "", "nothing is wrong any more");
    is_int(plan_order_at(&s, &live, t0 + hour), t0 + 60 * day, "the renewal is not put off");
    plan_postpone(&s, hour, "a limit", t0 + hour);
    plan_next(&s, &live, t0 + hour, 0, &until);
    is_str(s.problem, "a limit", "what something else is the reason of stays");
}

/* When an order is tried, from t0 on, of a CA that is out of reach for so long. */
static uint64_t idle_after(struct plan_live live, struct cert_state s, uint64_t outage)
{
    const struct job_problem down = {.type = "net.connect"};
    const struct order_options ways = {.after = 3};

    for (uint64_t now = t0;;) {
        uint64_t until = now;

        if (plan_next(&s, &live, now, 7, &until) != PLAN_ORDER) {
            now = until > now ? until : now + 1000;
            continue;
        }
        if (now >= t0 + outage)
            return now - t0 - outage;
        fallback_failed(&s.fallback, &ways, FALLBACK_FIRST, &down);
        plan_failed(&s, &live, 0, "down", now, 7);
        if (fallback_unreached(&down))
            plan_unreached(&s, &live, now, 7);
    }
}

static void test_first(void)
{
    const struct plan_live none = {0}, ours = {.generation = 1, .covers = true};
    struct cert_state had = {.issued_at = t0 - day}, s = {0};
    struct job_problem p = {.type = "net.connect", .retry_after_s = 60};

    ok(idle_after(none, s, 2 * minute) <= minute,
       "a first start with the CA down for two minutes: idle for one at the most");
    ok(idle_after(ours, s, 2 * minute) <= minute, "whatever serves meanwhile");
    ok(idle_after(none, s, 20 * minute) <= 20 * minute, "20 minutes");
    ok(idle_after(none, s, 7 * day) <= 33 * minute, "a week: half an hour at the most");
    ok(idle_after(none, had, 2 * minute) > 3 * minute, "one that was had before waits as ever");
    ok(!fallback_unreached(&p), "nor is a CA hurried that asks for peace");
    p = (struct job_problem){.type = "connection", .challenge = JOB_HTTP_01};
    ok(!fallback_unreached(&p), "or that could not reach us");
    p = (struct job_problem){.type = "rateLimited", .status = 429};
    ok(!fallback_unreached(&p), "or whose limits are met");
    p = (struct job_problem){.type = "net.response", .status = 503};
    ok(fallback_unreached(&p), "503 of what is before it is out of reach");
    s.failures = 9;
    plan_reached(&s, &none, 8);
    is_int(s.failures, 1, "what came of the outage does not count any more when it is over");
    plan_reached(&s, &none, 8);
    is_int(s.failures, 0, "and never more than there was");
}

/* An order that is open, of a certificate that is not due: as after `renew --force`. */
static void test_resume(void)
{
    struct plan_live live = live_from(t0, 90 * day);
    struct cert_state s = {.generation = 1, .renew_at = t0 + 60 * day, .issued_at = t0};
    uint64_t until = 0, now = t0 + day;

    live.can_ask = false;
    ok(!plan_resumes(&s, &live, now), "nothing is open");
    s.begun = 1;
    is_int(plan_next(&s, &live, now, 7, &until), PLAN_ORDER, "an open order is gone on with");
    ok(plan_resumes(&s, &live, now), "and no other one is made in its place");
    ok(!plan_resumes(&s, &live, t0 + 60 * day), "unless it is due");
    plan_failed(&s, &live, 0, "no", now, 7);
    is_int(plan_next(&s, &live, now, 7, &until), PLAN_WAIT, "after a failure it waits");
    ok(until < now + day + hour && until == plan_order_at(&s, &live, now),
       "but not until the renewal");
    plan_dropped(&s, now);
    is_int(plan_next(&s, &live, until, 7, &until), PLAN_WAIT, "given up: that is its end");
    is_int(until, t0 + 60 * day, "until the renewal");
    s.wanted = 1;
    is_int(plan_next(&s, &live, now, 7, &until), PLAN_ORDER, "the operator wants a new one");
    ok(!plan_resumes(&s, &live, now), "whatever becomes of an order");
    plan_failed(&s, &live, 0, "no", now, 7);
    is_int(plan_next(&s, &live, now + 2 * day, 7, &until), PLAN_WAIT, "until a try has ended");
    ok(!plan_is_past(&s, &live, now + hour - 1), "which is news for an hour");
    ok(plan_is_past(&s, &live, now + hour), "and then of the past, as nothing is due");
    ok(!plan_is_past(&s, &live, t0 + 60 * day), "unless it is due");
    ok(plan_is_past(&s, &live, now - day), "a clock that was ahead does not keep it for ever");
    s.begun = 1;
    ok(!plan_is_past(&s, &live, now + hour), "or its order is open");
    s.wanted = s.begun = 1;
    plan_issued(&s, now);
    is_int(plan_next(&s, &live, now + day, 7, &until), PLAN_WAIT, "or it has come");
}

int main(void)
{
    test_pace();
    test_chosen_ahead();
    test_first();
    test_resume();
    test_set_back();
    test_rests();
    test_limits();
    test_clock();
    test_clock_set_right();
    return done();
}
