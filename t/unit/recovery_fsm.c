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

static void begin(enum heal_state state)
{
    heal = (struct recovery_fsm){.state = (uint8_t)state};
    now = 10 * HEAL_HOUR_MS;
}

/* ---- all pairs */

static void check(enum heal_state from, enum recovery_event event, unsigned actions,
                  enum heal_state to)
{
    begin(from);
    unsigned got = step(event);
    ok(got == actions && heal.state == to, "%s + %s: actions %u, %s", heal_state_name(from),
       recovery_fsm_event_name(event), actions, heal_state_name(to));
    if (got != actions || heal.state != to)
        diag("got actions %u, %s", got, heal_state_name(heal.state));
}

static void test_steps(void)
{
    static const struct {
        enum heal_state from;
        enum recovery_event event;
        unsigned actions;
        enum heal_state to;
    } wanted[] = {
        {HEAL_NONE, HEAL_GO, HEAL_TELL | HEAL_DRAIN, HEAL_DRAINING},
        {HEAL_NONE, HEAL_EXHAUSTED, HEAL_TELL, HEAL_HOLD},
        {HEAL_DRAINING, HEAL_DRAINED, HEAL_TELL | HEAL_SETTLE, HEAL_RESTARTING},
        {HEAL_DRAINING, HEAL_HEALTHY, HEAL_TELL, HEAL_NONE},
        {HEAL_DRAINING, HEAL_READY, HEAL_TELL, HEAL_NONE},
        {HEAL_DRAINING, HEAL_UNSAFE, HEAL_TELL, HEAL_NONE},
        {HEAL_DRAINING, HEAL_GONE, HEAL_TELL, HEAL_NONE},
        {HEAL_RESTARTING, HEAL_SETTLED, HEAL_LAUNCH, HEAL_RESTARTING},
        {HEAL_RESTARTING, HEAL_RESTARTED, HEAL_TELL | HEAL_VERIFY, HEAL_VERIFYING},
        {HEAL_RESTARTING, HEAL_FAILED, HEAL_TELL, HEAL_NONE},
        {HEAL_VERIFYING, HEAL_UP, HEAL_TELL | HEAL_SLOW, HEAL_SLOWSTART},
        {HEAL_VERIFYING, HEAL_TIMER, HEAL_TELL, HEAL_NONE},
        {HEAL_VERIFYING, HEAL_GONE, HEAL_TELL, HEAL_NONE},
        {HEAL_SLOWSTART, HEAL_GO, HEAL_TELL | HEAL_DRAIN, HEAL_DRAINING},
        {HEAL_SLOWSTART, HEAL_TIMER, HEAL_TELL, HEAL_NONE},
        {HEAL_SLOWSTART, HEAL_EXHAUSTED, HEAL_TELL, HEAL_HOLD},
        {HEAL_SLOWSTART, HEAL_GONE, HEAL_TELL, HEAL_NONE},
        {HEAL_HOLD, HEAL_GO, HEAL_TELL | HEAL_DRAIN, HEAL_DRAINING},
        {HEAL_HOLD, HEAL_READY, HEAL_TELL, HEAL_NONE},
    };
    bool named[HEAL_STATES][HEAL_EVENTS] = {{false}};

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        named[wanted[i].from][wanted[i].event] = true;
        check(wanted[i].from, wanted[i].event, wanted[i].actions, wanted[i].to);
    }
    for (int s = 0; s < HEAL_STATES; s++)
        for (int e = 0; e < HEAL_EVENTS; e++)
            if (!named[s][e])
                check((enum heal_state)s, (enum recovery_event)e, 0, (enum heal_state)s);
}

/* ---- tries */

/* One restart after which it does not become well: the state that it ends in. */
static enum heal_state fail_once(void)
{
    step(HEAL_GO);
    step(HEAL_DRAINED);
    step(HEAL_SETTLED);
    step(HEAL_RESTARTED);
    now += 180000;
    step(HEAL_TIMER);
    return heal.state;
}

static void test_tries_of_healthd(void)
{
    begin(HEAL_NONE);
    is_int(fail_once(), HEAL_NONE, "the first try fails");
    is_int(recovery_fsm_tries(&heal, now), 1, "one counts");
    is_int(heal.next_ms - now, 60000, "hold-down from its end");
    now = heal.next_ms;
    is_int(fail_once(), HEAL_NONE, "the second");
    is_int(heal.next_ms - now, 120000, "twice as long");
    now = heal.next_ms;
    is_int(fail_once(), HEAL_HOLD, "the third is the last: a human is needed");
    is_int(recovery_fsm_tries(&heal, now), 3, "three count");
    now += 2 * (uint64_t)HEAL_HOUR_MS;
    is_int(recovery_fsm_tries(&heal, now), 0, "after an hour none does");
    is_int(step(HEAL_EXHAUSTED), 0, "and it is held still");
    step(HEAL_READY);
    is_int(heal.state, HEAL_NONE, "until somebody says ready");
}

static void test_tries_that_help(void)
{
    begin(HEAL_NONE);
    for (int i = 1; i <= 3; i++) {
        step(HEAL_GO);
        step(HEAL_DRAINED);
        step(HEAL_SETTLED);
        is_int(recovery_fsm_tries(&heal, now), i, "try %d counts from its launch", i);
        step(HEAL_RESTARTED);
        now += 30000;
        step(HEAL_UP);
        is_int(heal.next_ms - now, 60000 << (i - 1), "and holds the next one down");
        now += 1000;
        step(HEAL_TIMER);
    }
    is_int(heal.state, HEAL_NONE, "each helped");
    step(HEAL_EXHAUSTED);
    is_int(heal.state, HEAL_HOLD, "a fourth is not tried");
    step(HEAL_GO);
    ok(heal.state == HEAL_DRAINING && recovery_fsm_tries(&heal, now) == 0 && heal.next_ms == 0,
       "but an operator's restart is, and all is forgiven");
}

static void test_tries_of_operators(void)
{
    begin(HEAL_NONE);
    heal.by_operator = true;
    for (int i = 0; i < 5; i++) {
        step(HEAL_GO);
        step(HEAL_DRAINED);
        step(HEAL_SETTLED);
        step(HEAL_RESTARTED);
        step(HEAL_UP);
        step(HEAL_TIMER);
    }
    ok(heal.state == HEAL_NONE && recovery_fsm_tries(&heal, now) == 0 && heal.next_ms == 0,
       "those that help do not count");
    fail_once();
    is_int(recovery_fsm_tries(&heal, now), 1, "one that fails does");
    ok(heal.next_ms > now, "and holds healthd's down");
    step(HEAL_GO);
    step(HEAL_DRAINED);
    step(HEAL_SETTLED);
    step(HEAL_FAILED);
    is_int(recovery_fsm_tries(&heal, now), 2, "also when the restarter itself fails");
    is_int(fail_once(), HEAL_HOLD, "three of these: held");
}

static void test_bounds(void)
{
    static const struct recovery_limits many = {.max_restarts = 1000, .hold_down_ms = 60000};

    begin(HEAL_NONE);
    for (int i = 0; i < HEAL_TRIES_MAX + 20; i++) {
        now += 1000;
        recovery_fsm_step(&heal, HEAL_GO, &many, now);
        recovery_fsm_step(&heal, HEAL_DRAINED, &many, now);
        recovery_fsm_step(&heal, HEAL_SETTLED, &many, now);
        recovery_fsm_step(&heal, HEAL_FAILED, &many, now);
    }
    is_int(recovery_fsm_tries(&heal, now), HEAL_TRIES_MAX, "no more than fit are kept");
    is_int(heal.next_ms - now, HEAL_HOLD_DOWN_MAX_MS, "the hold-down ends growing");
    now += HEAL_HOUR_MS - 1000;
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
        judge(HEAL_MAY, NULL, "nothing is against it");
        facts.stopping = true;
        judge(HEAL_NEVER, "stopping", "the service ends");
        healthy(by_operator);
        facts.has_action = false;
        judge(HEAL_NEVER, "neither restart.docker nor restart.command", "no action");
        for (int s = HEAL_DRAINING; s <= HEAL_VERIFYING; s++) {
            healthy(by_operator);
            facts.state = (uint8_t)s;
            judge(HEAL_NEVER, heal_state_name(facts.state), "one is under way");
        }
        healthy(by_operator);
        facts.state = HEAL_SLOWSTART;
        judge(HEAL_MAY, NULL, "its slow start does not matter");
        facts.other = "pas9";
        judge(HEAL_LATER, "pas9 of the same pool", "one at a time");
    }
}

static void test_healthd(void)
{
    for (int h = HEALTH_UNKNOWN; h < HEALTH_DOWN; h++) {
        healthy(false);
        facts.health = (uint8_t)h;
        judge(HEAL_NEVER, health_state_name(facts.health), "it is not down");
    }
    healthy(false);
    facts.override = ADMIN_DRAIN;
    judge(HEAL_LATER, "drain", "an operator has it");
    facts.override = ADMIN_MAINT;
    judge(HEAL_LATER, "maint", "an operator has it");
    healthy(false);
    facts.state = HEAL_HOLD;
    judge(HEAL_NEVER, "needs a human", "it is held");
    healthy(false);
    facts.tries = 3;
    judge(HEAL_TOO_MANY, "3 restarts in the last hour", "too many");
    facts.tries = 2;
    facts.next_ms = 5001;
    judge(HEAL_LATER, "waiting after 2 restarts", "hold-down");
    facts.next_ms = 5000;
    judge(HEAL_MAY, NULL, "its end");
    facts.dry_run = true;
    judge(HEAL_DRY, NULL, "dry run");
    facts.healthy = 0;
    judge(HEAL_LATER, "0 others of its pool are up", "min_healthy counts in a dry run too");
    healthy(false);
    facts.healthy = 1;
    facts.min_healthy = 2;
    judge(HEAL_LATER, "1 other of its pool is up and ready, min_healthy is 2", "min_healthy");
    facts.min_healthy = 1;
    judge(HEAL_MAY, NULL, "just enough");
    facts.healthy = facts.min_healthy = 0;
    judge(HEAL_MAY, NULL, "min_healthy 0 lets the only one be restarted");
}

static void test_operators(void)
{
    healthy(true);
    facts.healthy = 0;
    judge(HEAL_MAY, NULL, "one that is down, whatever the others are");
    facts.health = HEALTH_UP;
    judge(HEAL_LATER, "--force", "one that is up, if the others are too few");
    facts.force = true;
    judge(HEAL_MAY, NULL, "with force");
    facts.other = "pas9";
    judge(HEAL_LATER, "pas9", "no force lets two of a pool be restarted");
    healthy(true);
    facts.tries = 9;
    facts.next_ms = 99999;
    facts.state = HEAL_HOLD;
    facts.override = ADMIN_MAINT;
    facts.dry_run = true;
    judge(HEAL_MAY, NULL, "hold, hold-down, maint and dry_run do not bind an operator");
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
