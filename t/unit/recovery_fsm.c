/* The heal machine: every state with every event, whole lives, and the guards. */
#include "supervisor/backend/recovery_fsm.h"

#include "t/unit/tap.h"

static const struct recovery_limits limits = {.max_restarts = 3, .hold_down_ms = 60000};
static struct recovery_fsm heal;
static uint64_t now;

static unsigned step(enum recovery_event event)
{
    return recovery_fsm_step(&heal, event, &limits, now);
}

static void begin(enum recovery_state state)
{
    heal = (struct recovery_fsm){.state = (uint8_t)state};
    now = 10 * RECOVERY_HOUR_MS;
}

/* ---- all pairs */

static void check(enum recovery_state from, enum recovery_event event, unsigned actions,
                  enum recovery_state to)
{
    begin(from);
    unsigned got = step(event);
    ok(got == actions && heal.state == to, "%s + %s: actions %u, %s", recovery_state_name(from),
       recovery_fsm_event_name(event), actions, recovery_state_name(to));
    if (got != actions || heal.state != to)
        diag("got actions %u, %s", got, recovery_state_name(heal.state));
}

static void test_steps(void)
{
    static const struct {
        enum recovery_state from;
        enum recovery_event event;
        unsigned actions;
        enum recovery_state to;
    } wanted[] = {
        {RECOVERY_NONE, RECOVERY_GO, RECOVERY_TELL | RECOVERY_DRAIN, RECOVERY_DRAINING},
        {RECOVERY_NONE, RECOVERY_EXHAUSTED, RECOVERY_TELL, RECOVERY_HOLD},
        {RECOVERY_DRAINING, RECOVERY_DRAINED, RECOVERY_TELL | RECOVERY_SETTLE,
         RECOVERY_RESTARTING},
        {RECOVERY_DRAINING, RECOVERY_HEALTHY, RECOVERY_TELL, RECOVERY_NONE},
        {RECOVERY_DRAINING, RECOVERY_READY, RECOVERY_TELL, RECOVERY_NONE},
        {RECOVERY_DRAINING, RECOVERY_UNSAFE, RECOVERY_TELL, RECOVERY_NONE},
        {RECOVERY_DRAINING, RECOVERY_GONE, RECOVERY_TELL, RECOVERY_NONE},
        {RECOVERY_RESTARTING, RECOVERY_SETTLED, RECOVERY_LAUNCH, RECOVERY_RESTARTING},
        {RECOVERY_RESTARTING, RECOVERY_RESTARTED, RECOVERY_TELL | RECOVERY_VERIFY,
         RECOVERY_VERIFYING},
        {RECOVERY_RESTARTING, RECOVERY_FAILED, RECOVERY_TELL, RECOVERY_NONE},
        {RECOVERY_VERIFYING, RECOVERY_UP, RECOVERY_TELL | RECOVERY_SLOW, RECOVERY_SLOWSTART},
        {RECOVERY_VERIFYING, RECOVERY_TIMER, RECOVERY_TELL, RECOVERY_NONE},
        {RECOVERY_VERIFYING, RECOVERY_GONE, RECOVERY_TELL, RECOVERY_NONE},
        {RECOVERY_SLOWSTART, RECOVERY_GO, RECOVERY_TELL | RECOVERY_DRAIN, RECOVERY_DRAINING},
        {RECOVERY_SLOWSTART, RECOVERY_TIMER, RECOVERY_TELL, RECOVERY_NONE},
        {RECOVERY_SLOWSTART, RECOVERY_EXHAUSTED, RECOVERY_TELL, RECOVERY_HOLD},
        {RECOVERY_SLOWSTART, RECOVERY_GONE, RECOVERY_TELL, RECOVERY_NONE},
        {RECOVERY_HOLD, RECOVERY_GO, RECOVERY_TELL | RECOVERY_DRAIN, RECOVERY_DRAINING},
        {RECOVERY_HOLD, RECOVERY_READY, RECOVERY_TELL, RECOVERY_NONE},
    };
    bool named[RECOVERY_STATES][RECOVERY_EVENTS] = {{false}};

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        named[wanted[i].from][wanted[i].event] = true;
        check(wanted[i].from, wanted[i].event, wanted[i].actions, wanted[i].to);
    }
    for (int s = 0; s < RECOVERY_STATES; s++)
        for (int e = 0; e < RECOVERY_EVENTS; e++)
            if (!named[s][e])
                check((enum recovery_state)s, (enum recovery_event)e, 0,
                      (enum recovery_state)s);
}

/* ---- tries */

/* One restart after which it does not become well: the state that it ends in. */
static enum recovery_state fail_once(void)
{
    step(RECOVERY_GO);
    step(RECOVERY_DRAINED);
    step(RECOVERY_SETTLED);
    step(RECOVERY_RESTARTED);
    now += 180000;
    step(RECOVERY_TIMER);
    return heal.state;
}

static void test_tries_of_healthd(void)
{
    begin(RECOVERY_NONE);
    is_int(fail_once(), RECOVERY_NONE, "the first try fails");
    is_int(recovery_fsm_tries(&heal, now), 1, "one counts");
    is_int(heal.next_ms - now, 60000, "hold-down from its end");
    now = heal.next_ms;
    is_int(fail_once(), RECOVERY_NONE, "the second");
    is_int(heal.next_ms - now, 120000, "twice as long");
    now = heal.next_ms;
    is_int(fail_once(), RECOVERY_HOLD, "the third is the last: a human is needed");
    is_int(recovery_fsm_tries(&heal, now), 3, "three count");
    now += 2 * (uint64_t)RECOVERY_HOUR_MS;
    is_int(recovery_fsm_tries(&heal, now), 0, "after an hour none does");
    is_int(step(RECOVERY_EXHAUSTED), 0, "and it is held still");
    step(RECOVERY_READY);
    is_int(heal.state, RECOVERY_NONE, "until somebody says ready");
}

static void test_tries_that_help(void)
{
    begin(RECOVERY_NONE);
    for (int i = 1; i <= 3; i++) {
        step(RECOVERY_GO);
        step(RECOVERY_DRAINED);
        step(RECOVERY_SETTLED);
        is_int(recovery_fsm_tries(&heal, now), i, "try %d counts from its launch", i);
        step(RECOVERY_RESTARTED);
        now += 30000;
        step(RECOVERY_UP);
        is_int(heal.next_ms - now, 60000 << (i - 1), "and holds the next one down");
        now += 1000;
        step(RECOVERY_TIMER);
    }
    is_int(heal.state, RECOVERY_NONE, "each helped");
    step(RECOVERY_EXHAUSTED);
    is_int(heal.state, RECOVERY_HOLD, "a fourth is not tried");
    step(RECOVERY_GO);
    ok(heal.state == RECOVERY_DRAINING && recovery_fsm_tries(&heal, now) == 0 &&
           heal.next_ms == 0,
       "but an operator's restart is, and all is forgiven");
}

static void test_tries_of_operators(void)
{
    begin(RECOVERY_NONE);
    heal.by_operator = true;
    for (int i = 0; i < 5; i++) {
        step(RECOVERY_GO);
        step(RECOVERY_DRAINED);
        step(RECOVERY_SETTLED);
        step(RECOVERY_RESTARTED);
        step(RECOVERY_UP);
        step(RECOVERY_TIMER);
    }
    ok(heal.state == RECOVERY_NONE && recovery_fsm_tries(&heal, now) == 0 && heal.next_ms == 0,
       "those that help do not count");
    fail_once();
    is_int(recovery_fsm_tries(&heal, now), 1, "one that fails does");
    ok(heal.next_ms > now, "and holds healthd's down");
    step(RECOVERY_GO);
    step(RECOVERY_DRAINED);
    step(RECOVERY_SETTLED);
    step(RECOVERY_FAILED);
    is_int(recovery_fsm_tries(&heal, now), 2, "also when the restarter itself fails");
    is_int(fail_once(), RECOVERY_HOLD, "three of these: held");
}

static void test_bounds(void)
{
    static const struct recovery_limits many = {.max_restarts = 1000, .hold_down_ms = 60000};

    begin(RECOVERY_NONE);
    for (int i = 0; i < RECOVERY_TRIES_MAX + 20; i++) {
        now += 1000;
        recovery_fsm_step(&heal, RECOVERY_GO, &many, now);
        recovery_fsm_step(&heal, RECOVERY_DRAINED, &many, now);
        recovery_fsm_step(&heal, RECOVERY_SETTLED, &many, now);
        recovery_fsm_step(&heal, RECOVERY_FAILED, &many, now);
    }
    is_int(recovery_fsm_tries(&heal, now), RECOVERY_TRIES_MAX, "no more than fit are kept");
    is_int(heal.next_ms - now, RECOVERY_HOLD_DOWN_MAX_MS, "the hold-down ends growing");
    now += RECOVERY_HOUR_MS - 1000;
    is_int(recovery_fsm_tries(&heal, now), 1, "the youngest are those that were kept");
}

/* ---- the guards */

static struct recovery_facts facts;
static char why[TABLE_REASON];

/* All is well for a restart of one that is down. */
static void healthy(bool by_operator)
{
    facts = (struct recovery_facts){.by_operator = by_operator,
                                    .has_action = true,
                                    .health = HEALTH_DOWN,
                                    .healthy = 2,
                                    .min_healthy = 1,
                                    .max_restarts = 3,
                                    .now_ms = 5000};
}

static void judge(enum recovery_verdict wanted, const char *text, const char *name)
{
    is_int(recovery_fsm_judge(&facts, why), wanted, "%s", name);
    if (!ok(text ? strstr(why, text) != NULL : !*why, "  says \"%s\"", text ? text : ""))
        diag("it says: %s", why);
}

static void test_both(void)
{
    for (int by_operator = 0; by_operator < 2; by_operator++) {
        const char *who = by_operator ? "operator" : "healthd";

        diag("%s asks", who);
        healthy(by_operator);
        judge(RECOVERY_MAY, NULL, "nothing is against it");
        facts.stopping = true;
        judge(RECOVERY_NEVER, "stopping", "the service ends");
        healthy(by_operator);
        facts.has_action = false;
        judge(RECOVERY_NEVER, "neither restart.docker nor restart.command", "no action");
        for (int s = RECOVERY_DRAINING; s <= RECOVERY_VERIFYING; s++) {
            healthy(by_operator);
            facts.state = (uint8_t)s;
            judge(RECOVERY_NEVER, recovery_state_name(facts.state), "one is under way");
        }
        healthy(by_operator);
        facts.state = RECOVERY_SLOWSTART;
        judge(RECOVERY_MAY, NULL, "its slow start does not matter");
        facts.other = "pas9";
        judge(RECOVERY_LATER, "pas9 of the same pool", "one at a time");
    }
}

static void test_healthd(void)
{
    for (int h = HEALTH_UNKNOWN; h < HEALTH_EJECTED; h++) {
        healthy(false);
        facts.health = (uint8_t)h;
        judge(RECOVERY_NEVER, health_state_name(facts.health), "it is not down");
    }
    healthy(false);
    facts.override = ADMIN_DRAIN;
    judge(RECOVERY_LATER, "drain", "an operator has it");
    facts.override = ADMIN_MAINT;
    judge(RECOVERY_LATER, "maint", "an operator has it");
    healthy(false);
    facts.state = RECOVERY_HOLD;
    judge(RECOVERY_NEVER, "needs a human", "it is held");
    healthy(false);
    facts.tries = 3;
    judge(RECOVERY_TOO_MANY, "3 restarts in the last hour", "too many");
    facts.tries = 2;
    facts.next_ms = 5001;
    judge(RECOVERY_LATER, "waiting after 2 restarts", "hold-down");
    facts.next_ms = 5000;
    judge(RECOVERY_MAY, NULL, "its end");
    facts.dry_run = true;
    judge(RECOVERY_DRY, NULL, "dry run");
    facts.healthy = 0;
    judge(RECOVERY_LATER, "0 others of its pool are up", "min_healthy counts in a dry run too");
    healthy(false);
    facts.healthy = 1;
    facts.min_healthy = 2;
    judge(RECOVERY_LATER, "1 other of its pool is up and ready, min_healthy is 2",
          "min_healthy");
    facts.min_healthy = 1;
    judge(RECOVERY_MAY, NULL, "just enough");
    facts.healthy = facts.min_healthy = 0;
    judge(RECOVERY_MAY, NULL, "min_healthy 0 lets the only one be restarted");
}

static void test_operators(void)
{
    healthy(true);
    facts.healthy = 0;
    judge(RECOVERY_MAY, NULL, "one that is down, whatever the others are");
    facts.health = HEALTH_UP;
    judge(RECOVERY_LATER, "--force", "one that is up, if the others are too few");
    facts.force = true;
    judge(RECOVERY_MAY, NULL, "with force");
    facts.other = "pas9";
    judge(RECOVERY_LATER, "pas9", "no force lets two of a pool be restarted");
    healthy(true);
    facts.tries = 9;
    facts.next_ms = 99999;
    facts.state = RECOVERY_HOLD;
    facts.override = ADMIN_MAINT;
    facts.dry_run = true;
    judge(RECOVERY_MAY, NULL, "hold, hold-down, maint and dry_run do not bind an operator");
}

static void test_unsafe(void)
{
    healthy(false);
    ok(!recovery_fsm_unsafe(&facts), "enough others");
    facts.healthy = 0;
    ok(recovery_fsm_unsafe(&facts), "none");
    facts.by_operator = true;
    ok(!recovery_fsm_unsafe(&facts), "it is down anyway, says an operator");
    facts.health = HEALTH_SUSPECT;
    ok(recovery_fsm_unsafe(&facts), "it is not down");
    facts.override = ADMIN_MAINT;
    ok(!recovery_fsm_unsafe(&facts), "but taken out");
    facts.override = ADMIN_READY;
    facts.force = true;
    ok(!recovery_fsm_unsafe(&facts), "force");
}

int main(void)
{
    test_steps();
    test_tries_of_healthd();
    test_tries_that_help();
    test_tries_of_operators();
    test_bounds();
    test_both();
    test_healthd();
    test_operators();
    test_unsafe();
    return done();
}
