/* The verdict on a backend: every way from one state to another. */
#include "healthd/health_fsm.h"
#include "t/unit/tap.h"

static const struct health_fsm_rules rules = {.rise = 2, .fall = 3};

static const struct probe_evidence pass_ = {.outcome = OUTCOME_PASS, .text = "HTTP 200"};
static const struct probe_evidence fail_ = {.outcome = OUTCOME_FAIL, .text = "connect refused"};
static const struct probe_evidence late = {.outcome = OUTCOME_TIMEOUT, .text = "no answer"};
static const struct probe_evidence late_but_busy = {
    .outcome = OUTCOME_TIMEOUT, .text = "no answer", .completed = 5, .completed_since = 9};
static const struct probe_evidence no_name = {.outcome = OUTCOME_NO_NAME,
                                              .text = "no such name"};
static const struct probe_evidence no_name_but_busy = {
    .outcome = OUTCOME_NO_NAME, .text = "no such name", .completed_since = 1};
static const struct probe_evidence pass_in_trouble = {
    .outcome = OUTCOME_PASS, .text = "HTTP 200", .signs = true};

static struct health_row row;
static struct health_fsm v;

static void begin(enum health_state state)
{
    row = (struct health_row){.state = (uint8_t)state, .reason = "as it was"};
    v = (struct health_fsm){.row = &row};
}

/* Feeds a probe; did it change to `want`, or stay there? */
static void probe(const struct probe_evidence *e, enum health_state want, const char *name)
{
    enum health_state from = row.state;
    bool changed = health_fsm_probe(&v, &rules, e);

    is_str(health_state_name(row.state), health_state_name(want), "%s", name);
    ok(changed == (from != row.state), "  and says whether it changed");
}

static void test_start(void)
{
    begin(HEALTH_UNKNOWN);
    probe(&pass_, HEALTH_UP, "unknown: one pass is enough");
    is_str(row.reason, "HTTP 200", "  with the probe's words");
    begin(HEALTH_UNKNOWN);
    probe(&fail_, HEALTH_DOWN, "unknown: one failure is enough");
    begin(HEALTH_UNKNOWN);
    probe(&late_but_busy, HEALTH_DOWN, "unknown: a timeout is no proof of life");
    begin(HEALTH_UNKNOWN);
    probe(&no_name_but_busy, HEALTH_DOWN, "unknown: no name, no verdict");
}

static void test_down_and_up(void)
{
    begin(HEALTH_UP);
    probe(&fail_, HEALTH_SUSPECT, "up: the first failure makes suspect");
    is_str(row.reason, "connect refused", "  and says why");
    probe(&late, HEALTH_SUSPECT, "suspect: the second failure changes nothing");
    is_int(row.fall, 2, "  but is counted");
    probe(&fail_, HEALTH_DOWN, "suspect: the third makes down");
    is_str(row.reason, "3 checks failed: connect refused", "  and says how many");
    for (int i = 0; i < 5; i++)
        health_fsm_probe(&v, &rules, &fail_);
    is_int(row.fall, 3, "failures are counted up to what the rules ask for");
    probe(&pass_, HEALTH_DOWN, "down: one pass is not enough");
    probe(&fail_, HEALTH_DOWN, "down: a failure starts over");
    is_int(row.rise, 0, "  from none");
    probe(&pass_, HEALTH_DOWN, "down: one pass again");
    probe(&pass_, HEALTH_UP, "down: two in a row make up");
    is_str(row.reason, "2 checks passed: HTTP 200", "  and says how many");

    begin(HEALTH_UP);
    health_fsm_probe(&v, &rules, &fail_);
    probe(&pass_, HEALTH_SUSPECT, "suspect: one pass is not enough");
    is_int(row.fall, 0, "  but forgives the failures");
    probe(&pass_, HEALTH_UP, "suspect: two are");
    probe(&pass_, HEALTH_UP, "up: a pass changes nothing");
}

static void test_quick_rules(void)
{
    const struct health_fsm_rules one = {.rise = 1, .fall = 1};

    begin(HEALTH_UP);
    ok(health_fsm_probe(&v, &one, &fail_), "fall = 1: a change");
    is_int(row.state, HEALTH_DOWN, "  straight to down");
    is_str(row.reason, "connect refused", "  in the probe's words");
    ok(health_fsm_probe(&v, &one, &pass_), "rise = 1: a change");
    is_int(row.state, HEALTH_UP, "  straight to up");
}

static void test_saturation(void)
{
    begin(HEALTH_UP);
    probe(&late_but_busy, HEALTH_DEGRADED, "up: slow ping, requests complete: degraded");
    is_str(row.reason, "no answer, but requests complete", "  and says so");
    for (int i = 0; i < 10; i++)
        health_fsm_probe(&v, &rules, &late_but_busy);
    is_int(row.state, HEALTH_DEGRADED, "degraded for ever, never down");
    probe(&pass_, HEALTH_DEGRADED, "degraded: one pass");
    probe(&pass_, HEALTH_UP, "degraded: two passes make up");

    begin(HEALTH_DEGRADED);
    probe(&late, HEALTH_SUSPECT, "degraded: slow and nothing completes: suspect");
    probe(&late_but_busy, HEALTH_DEGRADED, "suspect: back, when requests complete");
    is_int(row.fall, 0, "  with no failure on record");
    probe(&fail_, HEALTH_SUSPECT, "degraded: refused is refused");
    begin(HEALTH_DOWN);
    probe(&late_but_busy, HEALTH_DOWN, "down: only passes prove");
}

static void test_names(void)
{
    begin(HEALTH_UP);
    for (int i = 0; i < 5; i++)
        health_fsm_probe(&v, &rules, &no_name_but_busy);
    is_int(row.state, HEALTH_UP, "no name, but requests complete: DNS is ill, not the backend");
    probe(&no_name, HEALTH_SUSPECT, "no name and no requests: suspect");
    health_fsm_probe(&v, &rules, &no_name);
    probe(&no_name, HEALTH_DOWN, "then down");
}

static void test_signs(void)
{
    begin(HEALTH_UP);
    ok(health_fsm_sign(&v, "workers saw 1 reset"), "up: a sign makes suspect");
    is_int(row.state, HEALTH_SUSPECT, "  suspect");
    is_str(row.reason, "workers saw 1 reset", "  and says why");
    ok(!health_fsm_sign(&v, "again"), "suspect: another sign changes nothing");
    probe(&pass_in_trouble, HEALTH_SUSPECT, "a pass while trouble goes on");
    probe(&pass_in_trouble, HEALTH_SUSPECT, "and another");
    is_int(row.rise, 0, "  count for nothing");
    health_fsm_probe(&v, &rules, &pass_);
    probe(&pass_, HEALTH_UP, "two without trouble make up");
    begin(HEALTH_DOWN);
    ok(!health_fsm_sign(&v, "x"), "down: signs are no news");
    begin(HEALTH_UNKNOWN);
    ok(!health_fsm_sign(&v, "x"), "unknown: the first probe decides");
    begin(HEALTH_DEGRADED);
    ok(health_fsm_sign(&v, "x"), "degraded: a sign makes suspect");
}

/* Signs, and then passes until it is up again; how many? */
static int passes_after_signs(void)
{
    int n = 0;

    health_fsm_sign(&v, "workers saw 1 reset");
    while (row.state == HEALTH_SUSPECT && n++ < 1000)
        health_fsm_probe(&v, &rules, &pass_);
    return n;
}

static void test_penalty(void)
{
    begin(HEALTH_UP);
    is_int(passes_after_signs(), 2, "signs: two passes");
    is_int(passes_after_signs(), 4, "signs again at once: four");
    is_int(passes_after_signs(), 8, "and again: eight");
    for (int i = 0; i < 10; i++)
        passes_after_signs();
    is_int(passes_after_signs(), 8, "no more than that, however often");
    for (int i = 0; i < VERDICT_PENALTY_TTL - 1; i++)
        health_fsm_probe(&v, &rules, &pass_);
    is_int(passes_after_signs(), 8, "still, a little later");
    for (int i = 0; i < VERDICT_PENALTY_TTL; i++)
        health_fsm_probe(&v, &rules, &pass_);
    is_int(passes_after_signs(), 2, "two, when it was well for long");
}

/* Down and up again, n passes needed. */
static int passes_after_failures(void)
{
    int n = 0;

    for (int i = 0; i < 3; i++)
        health_fsm_probe(&v, &rules, &fail_);
    while (row.state == HEALTH_DOWN && n++ < 1000)
        health_fsm_probe(&v, &rules, &pass_);
    return n;
}

static void test_flaps(void)
{
    begin(HEALTH_UP);
    is_int(passes_after_failures(), 2, "down: two passes");
    is_int(passes_after_failures(), 4, "down again at once: four");
    is_int(passes_after_failures(), 8, "and again: eight");
    is_int(passes_after_failures(), 8, "but no more: it has to be able to come back");
    for (int i = 0; i < VERDICT_PENALTY_TTL; i++)
        health_fsm_probe(&v, &rules, &pass_);
    is_int(passes_after_failures(), 2, "two, when it was well for long");
    begin(HEALTH_UP);
    passes_after_failures();
    health_fsm_sign(&v, "workers saw 1 failed connect");
    is_int(passes_after_failures(), 4, "a sign and the failures after it are one trouble");
}

static void agree(uint32_t enough, enum health_state want, const char *name)
{
    health_fsm_agree(&v, &rules, enough, "both see it");
    is_str(health_state_name(row.state), health_state_name(want), "%s", name);
}

/* Workers see what the probe finds. */
static void test_agree(void)
{
    begin(HEALTH_UP);
    agree(1, HEALTH_UP, "up: workers alone make nothing down");
    health_fsm_probe(&v, &rules, &late);
    agree(2, HEALTH_SUSPECT, "suspect: one failure where two are enough");
    agree(1, HEALTH_DOWN, "  where one is");
    is_str(row.reason, "both see it", "  and says why");
    probe(&late, HEALTH_DOWN, "down: another timeout");
    probe(&late_but_busy, HEALTH_DEGRADED, "hastily down: what completes then was only slow");

    begin(HEALTH_UP);
    for (int i = 0; i < 3; i++)
        health_fsm_probe(&v, &rules, &late);
    probe(&late_but_busy, HEALTH_DOWN, "down by all its failures: only passes prove");
    begin(HEALTH_UP);
    health_fsm_probe(&v, &rules, &fail_);
    health_fsm_probe(&v, &rules, &fail_);
    agree(9, HEALTH_SUSPECT, "never more than `fall` are asked for");
    health_fsm_probe(&v, &rules, &pass_);
    agree(1, HEALTH_SUSPECT, "a pass in between");
    begin(HEALTH_DOWN);
    ok(!health_fsm_agree(&v, &rules, 1, "x"), "down: no news");
    begin(HEALTH_UNKNOWN);
    ok(!health_fsm_agree(&v, &rules, 1, "x"), "unknown: the first probe decides");
}

/* One that flaps is kept out for longer; not where clients have nobody else. */
static void test_alone(void)
{
    const struct health_fsm_rules alone = {.rise = 2, .fall = 3, .alone = true};

    for (int lone = 0; lone < 2; lone++) {
        int passes = 0;

        begin(HEALTH_DOWN);
        v.penalty = 2;
        while (row.state == HEALTH_DOWN && passes < 100) {
            health_fsm_probe(&v, lone ? &alone : &rules, &pass_);
            passes++;
        }
        is_int(passes, lone ? 2 : 8,
               lone ? "alone: as many as if it had never flapped"
                    : "flapped twice: four times as many passes");
    }
}

static void test_held(void)
{
    const struct health_fsm_rules held = {.rise = 2, .fall = 3, .held = true};
    const struct health_fsm_rules failing = {.rise = 2, .fall = 3, .failing = true};

    begin(HEALTH_UP);
    ok(health_fsm_force(&v, HEALTH_EJECTED, "ejected"), "forced");
    is_str(row.reason, "ejected", "  with its reason");
    for (int i = 0; i < 5; i++)
        health_fsm_probe(&v, &held, &pass_);
    is_int(row.state, HEALTH_EJECTED, "held: passes change nothing");
    is_int(row.rise, 2, "  but are counted");
    ok(!health_fsm_release(&v, &held), "  nor is it released");
    ok(health_fsm_release(&v, &rules), "released: at once");
    is_int(row.state, HEALTH_PROBATION, "  on probation");
    is_int(row.cause, CAUSE_EJECTED, "  after an ejection");
    for (int i = 0; i < 5; i++)
        health_fsm_probe(&v, &rules, &pass_);
    is_int(row.state, HEALTH_PROBATION, "on probation: passes prove nothing");
    ok(health_fsm_force(&v, HEALTH_UP, "requests went well"), "requests do");

    begin(HEALTH_EJECTED);
    ok(!health_fsm_release(&v, &rules), "not risen: stays ejected");
    health_fsm_probe(&v, &rules, &pass_);
    ok(health_fsm_probe(&v, &rules, &pass_), "until it has");
    is_int(row.state, HEALTH_PROBATION, "  on probation then");
    probe(&late_but_busy, HEALTH_PROBATION, "on probation: slow proves nothing");
    ok(!health_fsm_sign(&v, "x"), "  nor do signs");
    for (int i = 0; i < 3; i++)
        health_fsm_probe(&v, &rules, &fail_);
    is_int(row.state, HEALTH_DOWN, "on probation: failures make down as ever");
    begin(HEALTH_EJECTED);
    probe(&fail_, HEALTH_DOWN, "ejected: a check that fails makes it down");
    health_fsm_probe(&v, &rules, &pass_);
    probe(&pass_, HEALTH_UP, "  which passes end");

    begin(HEALTH_SUSPECT);
    for (int i = 0; i < 5; i++)
        health_fsm_probe(&v, &failing, &pass_);
    is_int(row.state, HEALTH_SUSPECT, "requests failed: passes do not end suspect");
    health_fsm_probe(&v, &failing, &late_but_busy);
    is_int(row.state, HEALTH_SUSPECT, "  nor does one that is late");
    ok(health_fsm_risen(&v, &failing), "  it has risen, which begins a probation");
    begin(HEALTH_DOWN);
    ok(!health_fsm_force(&v, HEALTH_DOWN, "being restarted"),
       "forced to what it is: no change");
    is_str(row.reason, "being restarted", "  but another reason");
    is_int(row.fall, 0, "  and another count");
}

static void test_score(void)
{
    const struct probe_evidence low = {
        .outcome = OUTCOME_PASS, .text = "health 0.55", .low = true};

    begin(HEALTH_UP);
    probe(&low, HEALTH_DEGRADED, "up: a low score makes degraded");
    is_str(row.reason, "health 0.55", "  and says so");
    for (int i = 0; i < 9; i++)
        health_fsm_probe(&v, &rules, &low);
    is_int(row.state, HEALTH_DEGRADED, "for as long as it is low");
    health_fsm_probe(&v, &rules, &pass_);
    probe(&pass_, HEALTH_UP, "two good ones make up");
}

int main(void)
{
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
    test_held();
    test_score();
    return done();
}
