/* What the supervisor does, as healthd sees it: restarts, and a successor of healthd. */
#include "t/unit/health_pool.h"

static const char *const command[] = {"/bin/true"};

static void test_restart(void)
{
    struct probe_result pass = {.outcome = OUTCOME_PASS, .text = "HTTP 200"};

    pass.score_permille = HTTP_CHECK_SCORE_FULL;
    all_up();
    eject_it(2);
    set_recovery_state(0, RECOVERY_DRAINING);
    is_int(row(0).ejections, 2, "draining: nothing changes");
    judge_started(&target[0], now);
    set_recovery_state(0, RECOVERY_RESTARTING);
    is_state(0, HEALTH_DOWN, "restarting: down");
    is_str(row(0).reason, "being restarted", "  and why");
    is_int(row(0).ejections + row(0).eject_until_ms, 0, "  ejections are forgotten");
    judge_ended(&target[0], &pass, &seed, now);
    probe(0, OUTCOME_PASS);
    probe(0, OUTCOME_PASS);
    is_int(row(0).rise, 0, "passes count for nothing yet");
    judge_started(&target[0], now);
    set_recovery_state(0, RECOVERY_VERIFYING);
    judge_ended(&target[0], &pass, &seed, now);
    is_int(row(0).rise, 0, "nor does one that began before the end of the restart");
    probe(0, OUTCOME_PASS);
    is_state(0, HEALTH_DOWN, "verifying: one pass");
    ok(target[0].due_ms <= now + conf.check.fast_interval_ms, "  the next is soon");
    probe(0, OUTCOME_PASS);
    is_state(0, HEALTH_UP, "two make up");
    ok(row(0).risen_ms > 0, "  with slow start");

    set_recovery_state(0, RECOVERY_RESTARTING);
    target[0].due_ms = now + conf.check.interval_ms;
    set_recovery_state(0, RECOVERY_HOLD);
    is_int(target[0].due_ms, now, "a restart that failed: checked at once, it may be up");

    set_recovery_state(1, RECOVERY_VERIFYING);
    is_state(1, HEALTH_DOWN, "a restart that was too quick to be seen: proved all the same");
    ok(!backend_health_is_healthy(&target[1]), "  and no reason to eject another");
}

static void test_ask(void)
{
    char why[TABLE_REASON];

    all_up();
    for (int k = 0; k < 3; k++)
        probe(0, OUTCOME_FAIL);
    now += 60000;
    ok(!restart_request_wanted(&target[0], now, why),
       "down, but nothing could be done: not asked");
    backends[0].restart_command = command;
    backends[0].n_restart_command = 1;
    ok(restart_request_wanted(&target[0], now, why), "down for long: asked");
    ok(strstr(why, "connect refused"), "  why: %s", why);
    ok(!restart_request_wanted(&target[0], now + 9000, why), "not again at once");
    target[0].override = ADMIN_MAINT;
    ok(!restart_request_wanted(&target[0], now + 10000, why), "nor under maintenance");
    target[0].override = ADMIN_READY;
    ok(restart_request_wanted(&target[0], now + 10000, why), "but ten seconds later");
    now += 30000;
    set_recovery_state(0, RECOVERY_RESTARTING);
    ok(!restart_request_wanted(&target[0], now, why), "not while it is restarted");
    now += 60000;
    set_recovery_state(0, RECOVERY_HOLD);
    for (int k = 0; k < 3; k++)
        probe(0, OUTCOME_FAIL);
    ok(!restart_request_wanted(&target[0], now, why), "nor when a person is wanted");

    begin();
    backends[0].restart_docker = "pas1";
    for (int i = 0; i < N; i++)
        probe(i, i ? OUTCOME_PASS : OUTCOME_FAIL);
    now += 60000;
    ok(!restart_request_wanted(&target[0], now, why), "never up yet: it may be booting");
    now += 60000;
    ok(restart_request_wanted(&target[0], now, why), "  but not for ever");

    all_up();
    backends[0].restart_docker = "pas1";
    eject_it(2);
    now += 1000;
    ok(!restart_request_wanted(&target[0], now, why), "ejected twice in a row: not asked");
    all_up();
    backends[0].restart_docker = "pas1";
    eject_it(3);
    ok(restart_request_wanted(&target[0], now, why), "three times: asked");
    ok(strstr(why, "ejected 3 times in a row"), "  why: %s", why);
}

static void test_takeover(void)
{
    struct health_row before;

    all_up();
    is_int(row(0).risen_ms, 0, "first start: nobody is spared");
    eject_it(2);
    before = row(0);
    backend_health_init(&target[0], table, 0, &backends[0], &pool, true, now);
    is_int(row(0).eject_until_ms, before.eject_until_ms, "a successor goes on with the time");
    is_int(row(0).ejections, 2, "  and the count");
    probe(0, OUTCOME_PASS);
    probe(0, OUTCOME_PASS);
    is_state(0, HEALTH_EJECTED, "  and holds it down");
    now = before.eject_until_ms;
    look();
    is_int(row(0).state == HEALTH_PROBATION, 1, "then it is on probation");
    backend_health_init(&target[0], table, 0, &backends[0], &pool, true, now);
    probe(0, OUTCOME_PASS);
    probe(0, OUTCOME_PASS);
    probe(0, OUTCOME_PASS);
    is_int(row(0).state == HEALTH_PROBATION, 1, "  under another successor too");
    count_add(&cell(0)->completed, 3);
    look();
    is_state(0, HEALTH_UP, "and comes up");
    before = row(0);
    backend_health_init(&target[0], table, 0, &backends[0], &pool, true, now);
    is_int(row(0).risen_ms, before.risen_ms, "slow start goes on under the next");

    struct backend_row fresh = {.used = 1, .configured = 1, .identity = 999};

    backend_publish(&table->backend[2], &fresh);
    backend_health_init(&target[2], table, 2, &backends[2], &pool, true, now);
    probe(2, OUTCOME_PASS);
    ok(row(2).risen_ms > 0, "one that a reload brought starts slowly");
}

int main(void)
{
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "healthd");
    test_restart();
    test_ask();
    test_takeover();
    return done();
}
