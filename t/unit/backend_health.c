/* One backend: every way from one state to another that probes and workers lead. */
#include "t/unit/health_pool.h"

/* What one probe finds, and what else is seen meanwhile. */
struct found {
    enum outcome outcome;
    const char *text;
    bool busy;        /* responses arrive while it runs */
    bool busy_before; /* and between the last one and this one */
    bool trouble;     /* a request failed since the last one */
    bool low;         /* score */
};

static const struct found pass_ = {.outcome = OUTCOME_PASS, .text = "HTTP 200"};
static const struct found fail_ = {.outcome = OUTCOME_FAIL, .text = "connect refused"};
static const struct found late = {.outcome = OUTCOME_TIMEOUT, .text = "no answer"};
static const struct found late_but_busy = {
    .outcome = OUTCOME_TIMEOUT, .text = "no answer", .busy = true};
static const struct found no_name = {.outcome = OUTCOME_NO_NAME, .text = "no such name"};
static const struct found no_name_but_busy = {
    .outcome = OUTCOME_NO_NAME, .text = "no such name", .busy_before = true};
static const struct found pass_in_trouble = {
    .outcome = OUTCOME_PASS, .text = "HTTP 200", .trouble = true};

/* The first of three, of which the others serve. */
static struct backend_health *const v = &target[0];

static void begin_as(enum health_state state)
{
    begin();
    for (int i = 0; i < N; i++)
        target[i].row.state = (uint8_t)(i ? HEALTH_UP : state);
}

static void feed(const struct found *f)
{
    struct probe_result r = {.outcome = f->outcome,
                             .score_permille = f->low ? 550 : HTTP_CHECK_SCORE_FULL};

    snprintf(r.text, sizeof r.text, "%s", f->text);
    now += 1000;
    response(0, f->busy_before);
    count_add(&cell(0)->cut, f->trouble);
    judge_started(v, now);
    now += 10;
    response(0, f->busy);
    judge_ended(v, &r, &seed, now);
}

/* Feeds a probe; did it change to `want`, or stay there, and was that told? */
static void found(const struct found *f, enum health_state want, const char *name)
{
    enum health_state from = v->row.state;
    uint32_t told = table->health_history[0].count;

    feed(f);
    is_str(health_state_name(v->row.state), health_state_name(want), "%s", name);
    is_int(table->health_history[0].count - told, from != v->row.state, "  and tells a change");
}

/* One request is reset. */
static void sign(void)
{
    now += 10;
    count_add(&cell(0)->resets, 1);
    judge_look(v, now);
}

static void test_start(void)
{
    begin_as(HEALTH_UNKNOWN);
    found(&pass_, HEALTH_UP, "unknown: one pass is enough");
    is_str(v->row.reason, "HTTP 200", "  with the probe's words");
    begin_as(HEALTH_UNKNOWN);
    found(&fail_, HEALTH_DOWN, "unknown: one failure is enough");
    begin_as(HEALTH_UNKNOWN);
    found(&late_but_busy, HEALTH_DOWN, "unknown: a timeout is no proof of life");
    begin_as(HEALTH_UNKNOWN);
    found(&no_name_but_busy, HEALTH_DOWN, "unknown: no name, no verdict");
}

static void test_down_and_up(void)
{
    begin_as(HEALTH_UP);
    found(&fail_, HEALTH_SUSPECT, "up: the first failure makes suspect");
    is_str(v->row.reason, "connect refused", "  and says why");
    found(&late, HEALTH_SUSPECT, "suspect: the second failure changes nothing");
    is_int(v->row.fall, 2, "  but is counted");
    found(&fail_, HEALTH_DOWN, "suspect: the third makes down");
    is_str(v->row.reason, "3 checks failed: connect refused", "  and says how many");
    for (int i = 0; i < 5; i++)
        feed(&fail_);
    is_int(v->row.fall, 3, "failures are counted up to what the rules ask for");
    found(&pass_, HEALTH_DOWN, "down: one pass is not enough");
    found(&fail_, HEALTH_DOWN, "down: a failure starts over");
    is_int(v->row.rise, 0, "  from none");
    found(&pass_, HEALTH_DOWN, "down: one pass again");
    found(&pass_, HEALTH_UP, "down: two in a row make up");
    is_str(v->row.reason, "2 checks passed: HTTP 200", "  and says how many");

    begin_as(HEALTH_UP);
    feed(&fail_);
    found(&pass_, HEALTH_SUSPECT, "suspect: one pass is not enough");
    is_int(v->row.fall, 0, "  but forgives the failures");
    found(&pass_, HEALTH_UP, "suspect: two are");
    found(&pass_, HEALTH_UP, "up: a pass changes nothing");
}

static void test_quick_rules(void)
{
    begin_as(HEALTH_UP);
    conf.check.rise = conf.check.fall = 1;
    found(&fail_, HEALTH_DOWN, "fall = 1: straight to down");
    is_str(v->row.reason, "connect refused", "  in the probe's words");
    found(&pass_, HEALTH_UP, "rise = 1: straight to up");
    conf.check.rise = 2;
    conf.check.fall = 3;
}

static void test_saturation(void)
{
    begin_as(HEALTH_UP);
    found(&late_but_busy, HEALTH_DEGRADED, "up: slow ping, requests complete: degraded");
    is_str(v->row.reason, "no answer, but requests complete", "  and says so");
    for (int i = 0; i < 10; i++)
        feed(&late_but_busy);
    is_int(v->row.state, HEALTH_DEGRADED, "degraded for ever, never down");
    found(&pass_, HEALTH_DEGRADED, "degraded: one pass");
    found(&pass_, HEALTH_UP, "degraded: two passes make up");

    begin_as(HEALTH_DEGRADED);
    found(&late, HEALTH_SUSPECT, "degraded: slow and nothing completes: suspect");
    found(&late_but_busy, HEALTH_DEGRADED, "suspect: back, when requests complete");
    is_int(v->row.fall, 0, "  with no failure on record");
    found(&fail_, HEALTH_SUSPECT, "degraded: refused is refused");
    begin_as(HEALTH_DOWN);
    found(&late_but_busy, HEALTH_DOWN, "down: only passes prove");
}

static void test_names(void)
{
    begin_as(HEALTH_UP);
    for (int i = 0; i < 5; i++)
        feed(&no_name_but_busy);
    is_int(v->row.state, HEALTH_UP,
           "no name, but requests complete: DNS is ill, not the backend");
    found(&no_name, HEALTH_SUSPECT, "no name and no requests: suspect");
    feed(&no_name);
    found(&no_name, HEALTH_DOWN, "then down");
}

static void test_signs(void)
{
    conf.eject.failures = 0; /* with it, requests have to prove that it is healthy */
    begin_as(HEALTH_UP);
    sign();
    is_int(v->row.state, HEALTH_SUSPECT, "up: a sign makes suspect");
    is_str(v->row.reason, "workers saw 1 reset", "  and says why");
    is_int(table->health_history[0].count, 1, "  once");
    sign();
    is_int(table->health_history[0].count, 1, "suspect: another sign changes nothing");
    found(&pass_in_trouble, HEALTH_SUSPECT, "a pass while trouble goes on");
    found(&pass_in_trouble, HEALTH_SUSPECT, "and another");
    is_int(v->row.rise, 0, "  count for nothing");
    feed(&pass_);
    found(&pass_, HEALTH_UP, "two without trouble make up");
    begin_as(HEALTH_DOWN);
    sign();
    is_int(v->row.state, HEALTH_DOWN, "down: signs are no news");
    begin_as(HEALTH_UNKNOWN);
    sign();
    is_int(v->row.state, HEALTH_UNKNOWN, "unknown: the first probe decides");
    begin_as(HEALTH_DEGRADED);
    sign();
    is_int(v->row.state, HEALTH_SUSPECT, "degraded: a sign makes suspect");
}

/* Signs, and then passes until it is up again; how many? */
static int passes_after_signs(void)
{
    int n = 0;

    sign();
    v->trouble = false; /* it is over before the next probe */
    while (v->row.state == HEALTH_SUSPECT && n++ < 1000)
        feed(&pass_);
    return n;
}

static void test_penalty(void)
{
    begin_as(HEALTH_UP);
    is_int(passes_after_signs(), 2, "signs: two passes");
    is_int(passes_after_signs(), 4, "signs again at once: four");
    is_int(passes_after_signs(), 8, "and again: eight");
    for (int i = 0; i < 10; i++)
        passes_after_signs();
    is_int(passes_after_signs(), 8, "no more than that, however often");
    for (int i = 0; i < BACKEND_HEALTH_PENALTY_TTL - 1; i++)
        feed(&pass_);
    is_int(passes_after_signs(), 8, "still, a little later");
    for (int i = 0; i < BACKEND_HEALTH_PENALTY_TTL; i++)
        feed(&pass_);
    is_int(passes_after_signs(), 2, "two, when it was well for long");
    conf.eject.failures = 5;
}

/* Down and up again, n passes needed. */
static int passes_after_failures(void)
{
    int n = 0;

    for (int i = 0; i < 3; i++)
        feed(&fail_);
    while (v->row.state == HEALTH_DOWN && n++ < 1000)
        feed(&pass_);
    return n;
}

static void test_flaps(void)
{
    begin_as(HEALTH_UP);
    is_int(passes_after_failures(), 2, "down: two passes");
    is_int(passes_after_failures(), 4, "down again at once: four");
    is_int(passes_after_failures(), 8, "and again: eight");
    is_int(passes_after_failures(), 8, "but no more: it has to be able to come back");
    for (int i = 0; i < BACKEND_HEALTH_PENALTY_TTL; i++)
        feed(&pass_);
    is_int(passes_after_failures(), 2, "two, when it was well for long");
    begin_as(HEALTH_UP);
    passes_after_failures();
    sign();
    is_int(passes_after_failures(), 4, "a sign and the failures after it are one trouble");
}

/* Requests wait for so long; nothing answers. */
static void silence(uint64_t ms)
{
    wait_at(0, 1, now);
    now += ms;
    judge_look(v, now);
}

/* Workers see what the probe finds. */
static void test_agree(void)
{
    begin_as(HEALTH_UP);
    silence(6000);
    is_int(v->row.state, HEALTH_UP, "up: workers alone make nothing down");
    feed(&late);
    is_int(v->row.state, HEALTH_DOWN,
           "a silence, and a check without a response: down at once");
    ok(strstr(v->row.reason, "no answer, and 1 waiting request got no response for 7.0 s"),
       "  and says why: %s", v->row.reason);
    found(&late, HEALTH_DOWN, "down: another timeout");
    found(&late_but_busy, HEALTH_DEGRADED, "hastily down: what completes then was only slow");

    begin_as(HEALTH_UP);
    feed(&late);
    silence(1000);
    is_int(v->row.state, HEALTH_SUSPECT, "too short a silence: suspect");
    begin_as(HEALTH_UP);
    conf.check.timeout_ms = 500;
    silence(6000);
    for (int i = 0; i < 2; i++)
        found(&late, HEALTH_SUSPECT, "a short timeout proves less");
    found(&late, HEALTH_DOWN, "  three of them");
    conf.check.timeout_ms = 2000;

    begin_as(HEALTH_UP);
    sign();
    feed(&fail_);
    is_int(v->row.state, HEALTH_SUSPECT, "refused once, and a request failed: suspect");
    now -= 900;
    feed(&fail_);
    is_int(v->row.state, HEALTH_DOWN, "  twice: down");
    ok(strstr(v->row.reason, "connect refused, and requests fail too"), "  and says why");
    begin_as(HEALTH_UP);
    sign();
    now += 10000;
    for (int i = 0; i < 2; i++)
        found(&fail_, HEALTH_SUSPECT, "a request that failed long ago does not count");

    begin_as(HEALTH_UP);
    for (int i = 0; i < 3; i++)
        feed(&late);
    found(&late_but_busy, HEALTH_DOWN, "down by all its failures: only passes prove");
    begin_as(HEALTH_UP);
    sign();
    feed(&fail_);
    found(&pass_, HEALTH_SUSPECT, "a pass in between");
    sign();
    is_int(v->row.state, HEALTH_SUSPECT, "  proves that it lives");
}

/* One that flaps is kept out for longer; not where clients have nobody else. */
static void test_alone(void)
{
    for (int lone = 0; lone < 2; lone++) {
        int passes = 0;

        begin_as(HEALTH_DOWN);
        v->penalty = 2;
        if (lone)
            target[1].row.state = target[2].row.state = HEALTH_DOWN;
        while (v->row.state == HEALTH_DOWN && passes < 100) {
            feed(&pass_);
            passes++;
        }
        is_int(passes, lone ? 2 : 8,
               lone ? "alone: as many as if it had never flapped"
                    : "flapped twice: four times as many passes");
    }
}

static void turn(enum health_state to, enum health_cause cause, const char *text)
{
    backend_health_turn(v, to, cause, now, "%s", text);
}

static void test_turn(void)
{
    begin_as(HEALTH_UP);
    turn(HEALTH_EJECTED, CAUSE_FAILED, "ejected");
    is_str(v->row.reason, "ejected", "turned, with its reason");
    for (int i = 0; i < 5; i++)
        found(&pass_, HEALTH_EJECTED, "ejected: passes change nothing");
    is_int(v->row.rise, 2, "  but are counted");
    ok(judge_has_risen(v), "  it has risen");
    turn(HEALTH_PROBATION, CAUSE_EJECTED, "tried");
    for (int i = 0; i < 5; i++)
        found(&pass_, HEALTH_PROBATION, "on probation: passes prove nothing");
    found(&late_but_busy, HEALTH_PROBATION, "on probation: slow proves nothing");
    sign();
    is_int(v->row.state, HEALTH_PROBATION, "  nor do signs");
    for (int i = 0; i < 3; i++)
        feed(&fail_);
    is_int(v->row.state, HEALTH_DOWN, "on probation: failures make down as ever");
    begin_as(HEALTH_EJECTED);
    ok(!judge_has_risen(v), "ejected: it has not risen without passes");
    found(&fail_, HEALTH_DOWN, "ejected: a check that fails makes it down");
    feed(&pass_);
    found(&pass_, HEALTH_UP, "  which passes end");

    begin_as(HEALTH_UP);
    sign();
    for (int i = 0; i < 5; i++)
        found(&pass_, HEALTH_SUSPECT, "requests failed: passes do not end suspect");
    found(&late_but_busy, HEALTH_SUSPECT, "  nor does one that is late");
    ok(judge_has_risen(v), "  it has risen, which begins a probation");
    begin_as(HEALTH_DOWN);
    turn(HEALTH_DOWN, CAUSE_NONE, "being restarted");
    is_int(table->health_history[0].count, 0, "turned to what it is: no change");
    is_str(v->row.reason, "being restarted", "  but another reason");
}

static void test_score(void)
{
    const struct found low = {.outcome = OUTCOME_PASS, .text = "health 0.55", .low = true};

    begin_as(HEALTH_UP);
    found(&low, HEALTH_DEGRADED, "up: a low score makes degraded");
    is_str(v->row.reason, "health 0.55", "  and says so");
    for (int i = 0; i < 9; i++)
        feed(&low);
    is_int(v->row.state, HEALTH_DEGRADED, "for as long as it is low");
    feed(&pass_);
    found(&pass_, HEALTH_UP, "two good ones make up");
}

int main(void)
{
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "healthd");
    test_start();
    test_down_and_up();
    test_quick_rules();
    test_saturation();
    test_names();
    test_signs();
    test_penalty();
    test_flaps();
    test_agree();
    test_alone();
    test_turn();
    test_score();
    return done();
}
