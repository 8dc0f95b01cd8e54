/* One that fails stays suspect although its checks pass; and responses unlike the others'. */
#include "t/unit/health_pool.h"

/* One request is cut; then so many checks pass as end the suspicion. */
static void suspect_it(void)
{
    all_up();
    count_add(&cell(0)->cut, 1);
    look();
    is_state(0, HEALTH_SUSPECT, "one is cut: suspect");
    is_int(row(0).state == HEALTH_PROBATION, false,
           "  not on probation while nothing is proved");
    for (int i = 0; i < 2; i++) {
        now += 1000;
        probe(0, OUTCOME_PASS); /* the first one is about the time of the failure */
        look();
    }
    probe(0, OUTCOME_PASS);
    look();
}

static void test_suspect(void)
{
    suspect_it();
    is_state(0, HEALTH_PROBATION, "checks that pass do not prove that requests do not fail");
    is_probation(0, CAUSE_FAILED, "  it is on probation");
    count_add(&cell(0)->completed, OUTLIER_PROBATION_GOOD);
    look();
    is_state(0, HEALTH_UP, "three requests do");
    is_int(row(0).risen_ms, 0, "  and it was never out, so there is no slow start");

    suspect_it();
    count_add(&cell(0)->cut, 1);
    look();
    is_state(0, HEALTH_EJECTED, "one that fails then is enough");
    is_int(row(0).ejections, 1, "  and it is ejected");

    suspect_it();
    now += conf.eject.time_ms;
    look();
    is_state(0, HEALTH_UP, "no request came to try it with: up in the end");
    is_int(row(0).risen_ms, now, "  with slow start, as nothing is proved");
    ok(strstr(row(0).reason, "no eligible request arrived; last check: HTTP 200"), "  %s",
       row(0).reason);

    suspect_it();
    probe(0, OUTCOME_FAIL);
    now += conf.eject.time_ms;
    look();
    is_state(0, HEALTH_PROBATION, "  not while its last check failed");
    probe(0, OUTCOME_PASS);
    look();
    is_state(0, HEALTH_UP, "  but when one passes");

    suspect_it();
    conf.eject.failures = 0;
    count_add(&cell(0)->cut, 1);
    look();
    is_state(0, HEALTH_UP, "a reload switched ejection off: no probation, no ejection");
    conf.eject.failures = 5;

    suspect_it();
    now += conf.eject.time_ms - 1;
    response(0, 1);
    look();
    now += conf.eject.time_ms - 1;
    look();
    is_state(0, HEALTH_PROBATION, "one that goes well, and no other yet");
    now += 1;
    look();
    is_state(0, HEALTH_UP, "  nor any later: up in the end");

    /* What the others are for a moment does not lift it. */
    all_up();
    count_add(&cell(0)->cut, 1);
    for (int i = 1; i < N; i++)
        probe(i, OUTCOME_FAIL);
    look();
    for (int i = 1; i < N; i++)
        for (int k = 0; k < 2; k++)
            probe(i, OUTCOME_PASS);
    for (int i = 0; i < 3; i++)
        probe(0, OUTCOME_PASS);
    look();
    is_state(0, HEALTH_PROBATION, "while it was suspected the others were, too, for a moment");
    is_probation(0, CAUSE_FAILED, "  it is put on probation all the same");

    all_up();
    count_add(&cell(0)->cut, 1);
    look();
    judge_started(&target[0], now);
    response(0, 1); /* the head of what was cut was one, too */
    now += 2000;
    ended(0, OUTCOME_TIMEOUT);
    is_state(0, HEALTH_SUSPECT, "that answers begin while a check waits proves no end");
    look();
    is_probation(0, CAUSE_FAILED, "  it is put on probation at once");
    ok(strstr(row(0).reason, "last check: connect refused"), "  %s", row(0).reason);
    judge_started(&target[0], now);
    response(0, 1);
    now += 2000;
    ended(0, OUTCOME_TIMEOUT);
    is_state(0, HEALTH_PROBATION, "  which a slow check does not end");
    look();
    now += conf.eject.time_ms;
    look();
    is_state(0, HEALTH_UP, "  only time does");
    ok(strstr(row(0).reason, "last check: connect refused"), "  %s", row(0).reason);

    all_up();
    for (int i = 1; i < N; i++)
        for (int k = 0; k < 3; k++)
            probe(i, OUTCOME_FAIL);
    count_add(&cell(0)->cut, 1);
    look();
    for (int i = 0; i < 3; i++)
        probe(0, OUTCOME_PASS);
    look();
    is_int(row(0).state == HEALTH_PROBATION, false, "the last one is not put on probation");
    for (int i = 0; i < 2; i++)
        probe(0, OUTCOME_PASS);
    is_state(0, HEALTH_UP, "  its checks are believed");
}

static void test_unlike(void)
{
    all_up();
    for (int i = 0; i < N; i++)
        measured(i, 10, i == 0);
    look();
    is_state(0, HEALTH_DEGRADED, "one answers 500 where others do not: degraded");
    is_int(row(0).weight_permille, HEALTH_UNLIKE_PERMILLE, "  with little of its weight");
    is_int(row(0).cause, CAUSE_5XX, "  for that");
    is_str(
        row(0).reason,
        "10 of 10 requests answered with 5xx, at other backends 0 of 20; weight reduced to 5 %",
        "  as it is told");
    is_int(table->health_history[0].count, 2, "  once");
    for (int i = 0; i < 4; i++)
        probe(0, OUTCOME_PASS);
    look();
    is_state(0, HEALTH_DEGRADED, "checks that pass do not end it");
    backend_health_init(&target[0], table, 0, &backends[0], &pool, true, now);
    probe(0, OUTCOME_PASS);
    look();
    is_int(row(0).weight_permille, HEALTH_UNLIKE_PERMILLE, "nor does a successor of healthd");
    measured(0, 10, false);
    look();
    is_state(0, HEALTH_UP, "responses like those of the others do");
    is_int(row(0).weight_permille, 1000, "  with all of its weight");
    is_int(row(0).risen_ms, 0, "  at once");

    all_up();
    for (int i = 0; i < N; i++)
        measured(i, 10, i == 0);
    look();
    for (int i = 0; i < N; i++)
        probe(i, i == 2 ? OUTCOME_FAIL : OUTCOME_PASS);
    count_add(&cell(1)->measured_4xx, 10);
    measured(1, 10, false);
    measured(2, 20, false);
    look();
    is_state(1, HEALTH_UP, "the last one that is like the others stays");

    all_up();
    for (int i = 0; i < N; i++)
        measured(i, 10, true);
    look();
    for (int i = 0; i < N; i++)
        is_state(i, HEALTH_UP, "what all of them do is held against none");
    for (int k = 0; k < 3; k++)
        probe(0, OUTCOME_FAIL);
    measured(0, 10, true);
    measured(1, 50, false);
    look();
    is_state(0, HEALTH_DOWN, "one that is down is not compared");
}

static void test_errors(void)
{
    for (int alone = 0; alone < 2; alone++) {
        all_up();
        now += 3000;
        target[0].due_ms = now + 5000;
        for (int i = 0; i < N; i++)
            measured(i, 10, i == 0 || !alone);
        look();
        is_int(target[0].due_ms <= now, alone, "5xx of %s",
               alone ? "one: a probe at once" : "all");
        probe(0, OUTCOME_FAIL);
        is_state(0, alone ? HEALTH_DOWN : HEALTH_SUSPECT, "  and one that fails");
    }
    ok(strstr(row(0).reason, "and requests fail too"), "  %s", row(0).reason);

    all_up();
    for (int i = 0; i < N; i++)
        measured(i, 10, i == 0);
    look();
    probe(0, OUTCOME_TIMEOUT);
    is_state(0, HEALTH_SUSPECT, "a slow ping does not agree with 5xx");
}

int main(void)
{
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "healthd");
    test_suspect();
    test_unlike();
    test_errors();
    return done();
}
