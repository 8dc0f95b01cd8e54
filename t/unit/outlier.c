/* Ejection and probation because requests fail; restarts; takeover. */
#include "t/unit/health_pool.h"

static void test_eject(void)
{
    all_up();
    eject_it(1);
    is_state(0, HEALTH_EJECTED, "five cut in a row: ejected");
    is_str(row(0).reason, "ejected for 10 s: 5 requests failed in a row",
           "  and it is told why");
    is_int(row(0).eject_until_ms - now, 10000, "  and until when");
    is_int(row(0).ejections, 1, "  and that it is the first time");
    for (int i = 0; i < 4; i++)
        probe(0, OUTCOME_PASS);
    now += 9999;
    look();
    is_state(0, HEALTH_EJECTED, "passes change nothing before its time is over");
    now += 1;
    look();
    is_state(0, HEALTH_PROBATION, "then it comes back");
    is_int(row(0).state == HEALTH_PROBATION, 1, "  on probation");
    is_int(row(0).eject_until_ms, 0, "  no longer ejected");
    is_int(row(0).risen_ms, 0, "  without a full share");
    for (int i = 0; i < 4; i++)
        probe(0, OUTCOME_PASS);
    is_state(0, HEALTH_PROBATION, "probes do not end a probation");
    count_add(&cell(0)->completed, OUTLIER_PROBATION_GOOD - 1);
    look();
    is_state(0, HEALTH_PROBATION, "nor do two requests");
    count_add(&cell(0)->completed, 1);
    look();
    is_state(0, HEALTH_UP, "three do");
    is_int(row(0).state == HEALTH_PROBATION, 0, "  it is over");
    ok(row(0).risen_ms > 0, "  and slow start begins");
    is_int(row(0).ejections, 1, "the count stays");
    now += conf.eject.max_ms;
    look();
    is_int(row(0).ejections, 0, "until it was well for long");
}

static void test_probation(void)
{
    all_up();
    eject_it(3);
    is_state(0, HEALTH_EJECTED, "failed on probation: again");
    is_int(row(0).eject_until_ms - now, 40000, "  for twice as long each time");
    now = row(0).eject_until_ms;
    look();
    is_state(0, HEALTH_EJECTED, "its time is over, but its checks did not pass yet");
    probe(0, OUTCOME_PASS);
    probe(0, OUTCOME_PASS);
    look();
    is_state(0, HEALTH_PROBATION, "they do: on probation");
    now += conf.eject.time_ms;
    look();
    is_state(0, HEALTH_UP, "no request came to try it with: up in the end");

    all_up();
    eject_it(1);
    atomic_store(&cell(0)->unanswered, 1); /* it is looked up once a second only */
    now += 10000;
    probe(0, OUTCOME_PASS);
    probe(0, OUTCOME_PASS);
    atomic_store(&cell(0)->probation_requests, 1);
    for (int i = 0; i < 100; i++) {
        now += 250;
        look();
    }
    is_state(0, HEALTH_PROBATION, "while one is there, others are not asked for");
    now = target[0].probation.began_ms + outlier_probation_ms(&conf.eject) - 1;
    look();
    is_state(0, HEALTH_PROBATION, "  nor for long,");
    now += 1;
    look();
    is_state(0, HEALTH_UP, "  but not for ever: it may be a stream");
    ok(strstr(row(0).reason, "no request failed within its longest time"), "  %s",
       row(0).reason);

    all_up();
    eject_it(1);
    now += 10000;
    probe(0, OUTCOME_PASS);
    probe(0, OUTCOME_PASS);
    for (int i = 0; i < 3; i++)
        probe(0, OUTCOME_FAIL);
    is_state(0, HEALTH_DOWN, "checks that fail on probation take it down as ever");
    is_int(row(0).state == HEALTH_PROBATION, 0, "  and end the probation");
    probe(0, OUTCOME_PASS);
    probe(0, OUTCOME_PASS);
    is_state(0, HEALTH_UP, "from there two passes make up");
}

static void test_guards(void)
{
    all_up();
    for (int i = 1; i < N; i++)
        for (int k = 0; k < 3; k++)
            probe(i, OUTCOME_FAIL);
    eject_it(1);
    is_state(0, HEALTH_SUSPECT, "the last one is not ejected");
    ok(strstr(row(0).reason, "not ejected, because no other backend of the pool is healthy"),
       "  and why");

    conf.min_healthy = 2;
    all_up();
    for (int k = 0; k < 3; k++)
        probe(2, OUTCOME_FAIL);
    eject_it(1);
    is_state(0, HEALTH_SUSPECT, "nor is one where too few others would be left");
    ok(strstr(row(0).reason, "because only 1 other is healthy (min_healthy 2)"), "  and why");
    for (int i = 0; i < 3; i++)
        probe(0, OUTCOME_PASS);
    look();
    is_probation(0, CAUSE_FAILED, "  checks that pass put it on probation");
    count_add(&cell(0)->cut, 1);
    look();
    is_state(0, HEALTH_SUSPECT, "  one that fails then does not eject it either");
    is_int(row(0).state == HEALTH_PROBATION, false, "  but ends the probation: it is needed");
    for (int i = 0; i < 3; i++)
        probe(0, OUTCOME_PASS);
    look();
    is_probation(0, CAUSE_FAILED, "  until checks pass again");
    count_add(&cell(0)->completed, OUTLIER_PROBATION_GOOD);
    look();
    is_state(0, HEALTH_UP, "  and three that go well from there on end it");

    all_up();
    for (int k = 0; k < 3; k++)
        probe(2, OUTCOME_FAIL);
    eject_it(1);
    for (int i = 0; i < 3; i++)
        probe(0, OUTCOME_PASS);
    look();
    count_add(&cell(0)->detached, OUTLIER_UNANSWERED);
    count_add(&cell(0)->probation_unanswered, OUTLIER_UNANSWERED);
    look();
    is_int(row(0).state == HEALTH_PROBATION, false,
           "nor is one ejected where others answered what it did not");
    is_state(0, HEALTH_SUSPECT, "  it stays suspect");
    for (int i = 0; i < 3; i++)
        probe(0, OUTCOME_PASS);
    look();
    now += conf.eject.time_ms - 1;
    look();
    is_state(0, HEALTH_PROBATION, "  which counts once: from then on, silence");
    now += 1;
    look();
    is_state(0, HEALTH_UP, "  for so long ends it");

    conf.min_healthy = 1;
    all_up();
    eject_it(1);
    now = row(0).eject_until_ms;
    for (int i = 0; i < 2; i++)
        probe(0, OUTCOME_PASS);
    look();
    is_probation(0, CAUSE_EJECTED, "an ejection is over");
    conf.min_healthy = 2;
    for (int k = 0; k < 3; k++)
        probe(2, OUTCOME_FAIL);
    count_add(&cell(0)->detached, OUTLIER_UNANSWERED);
    count_add(&cell(0)->probation_unanswered, OUTLIER_UNANSWERED);
    look();
    is_int(row(0).state == HEALTH_PROBATION, false, "  silent on probation, and needed");
    for (int i = 0; i < 4; i++)
        probe(0, OUTCOME_PASS);
    look();
    is_probation(0, CAUSE_FAILED, "  checks alone do not make it up");
    conf.min_healthy = 1;

    all_up();
    for (int i = 0; i < N; i++)
        count_add(&cell(i)->resets, 5);
    look();
    for (int i = 0; i < N; i++)
        is_state(i, HEALTH_SUSPECT, "all fail alike: none is ejected");
    ok(strstr(row(0).reason, "other backends of the pool fail too"), "  and it is told");

    all_up();
    count_add(&cell(0)->completed, 3);
    count_add(&cell(0)->gateway_errors, 100);
    count_add(&cell(0)->server_errors, 100);
    look();
    is_state(0, HEALTH_UP, "5xx answers eject nobody");
}

/* One request at a time tries a pool that is down, and fails at each backend of it. */
static void test_outage(void)
{
    all_up();
    for (int i = 0; i < N; i++)
        for (int n = 0; n < 3; n++)
            probe(i, OUTCOME_FAIL);
    for (int i = 0; i < N; i++)
        is_state(i, HEALTH_DOWN, "an outage of everything");
    for (int i = 0; i < N; i++)
        count_add(&cell(i)->connect_errors, 40);
    look();
    now += 1000;
    for (int i = 0; i < N; i++) {
        probe(i, OUTCOME_PASS);
        probe(i, OUTCOME_PASS);
    }
    for (int i = 0; i < N; i++)
        response(i, 10);
    look();
    for (int i = 0; i < N; i++)
        is_state(i, HEALTH_UP, "who was tried in vain meanwhile is not ejected after it");
    count_add(&cell(0)->cut, 5);
    look();
    is_state(0, HEALTH_EJECTED, "who fails after it is");
}

static void test_time(void)
{
    const struct conf_eject level = {.time_ms = 1000, .max_ms = 1000};
    struct conf_eject usual = conf.eject;

    is_int(outlier_eject_ms(&usual, 1), 10000, "the first lasts 10 s");
    is_int(outlier_eject_ms(&usual, 2), 20000, "the second 20 s");
    is_int(outlier_eject_ms(&usual, 5), 160000, "the fifth 160 s");
    is_int(outlier_eject_ms(&usual, 6), 300000, "the sixth 300 s, not 320");
    is_int(outlier_eject_ms(&usual, 255), 300000, "never more");
    all_up();
    eject_it(50);
    is_int(row(0).ejections, 6, "the count ends where the time does");
    conf.eject.time_ms = level.time_ms;
    conf.eject.max_ms = level.max_ms;
    all_up();
    eject_it(50);
    is_int(row(0).ejections, OUTLIER_RESTART, "but goes as far as a restart needs");
    conf.eject = usual;
}

int main(void)
{
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "healthd");
    test_eject();
    test_time();
    test_probation();
    test_guards();
    test_outage();
    return done();
}
