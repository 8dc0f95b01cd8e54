/* Silence: reports, or a hang? The end of a worker is neither. */
#include "shm/counters.h"
#include "t/unit/health_pool.h"

/* Another one hangs as well, for longer than it takes to be ejected: its state then. */
static enum health_state hangs_too(int i, enum outcome of_first)
{
    enum health_state state;

    wait_at(i, 6, now);
    for (uint64_t end = now + 5000; now < end; now += 250) {
        response(N - i, 10);
        if (now >= target[0].due_ms)
            probe(0, of_first);
        if (now >= target[i].due_ms)
            probe(i, OUTCOME_PASS);
        look();
    }
    state = row(i).state;
    wait_at(i, 0, 0);
    response(i, OUTLIER_PROBATION_GOOD);
    look();
    return state;
}

static void test_silence(void)
{
    all_up();
    wait_at(0, 1, now);
    live_on(600000);
    is_state(0, HEALTH_UP, "a report of ten minutes");
    ok(target[0].row.probes < 600, "  costs %u probes", (unsigned)target[0].row.probes);
    is_int(table->health_history[0].count, 3, "  and a single probation");

    all_up();
    wait_at(0, 1, now);
    live_on(8000);
    is_probation(0, CAUSE_SILENT, "but it is tried, whether it is a report");
    is_int(row(0).hang_timeout_ms, EVIDENCE_HANG_MS, "  each may wait for so long");
    is_state(0, HEALTH_PROBATION, "  and its sessions stay");
    response(0, OUTLIER_PROBATION_GOOD);
    live_on(500);
    is_int(row(0).state == HEALTH_PROBATION, false, "  it is: three others went well");
    live_on(60000);
    is_int(row(0).state == HEALTH_PROBATION, false, "  and that is enough");
    wait_at(0, 2, now - 60000);
    live_on(EVIDENCE_HANG_MS);
    is_probation(0, CAUSE_SILENT, "  until another one waits too");
    wait_at(0, 1, now - 60000);
    response(0, OUTLIER_PROBATION_GOOD);
    live_on(500);
    is_int(row(0).state == HEALTH_PROBATION, false, "  which goes well");
    wait_at(0, 2, now);
    live_on(8000);
    is_probation(0, CAUSE_SILENT, "  or a third one, when that has gone");

    all_up();
    wait_at(0, 1, now);
    live_on(8000);
    is_probation(0, CAUSE_SILENT, "one waits: tried");
    wait_at(0, 2, now - 5000);
    live_on(4000);
    is_state(0, HEALTH_PROBATION, "  the next one waits too: that may be one as well");
    response(0, 1);
    look();
    is_int(row(0).hang_timeout_ms, 13500,
           "  an answer after 9 s: it is given half as long again");

    all_up();
    wait_at(0, 2, now);
    live_on(600000);
    is_state(0, HEALTH_UP, "two of them: suspected, but not for long");
    is_int(table->health_history[0].count, 5, "  and only once, as is the probation");

    all_up();
    wait_at(0, 6, now);
    live_on(5000);
    is_state(0, HEALTH_EJECTED, "six silent ones in a pool that is quick");
    ok(strstr(row(0).reason, "6 requests wait without a response for 3."), "  %s",
       row(0).reason);
    is_int(hangs_too(1, OUTCOME_PASS), HEALTH_PROBATION,
           "  no second one while that time runs: it may be wrong");
    is_int(hangs_too(2, OUTCOME_FAIL), HEALTH_EJECTED, "  its checks fail: it was right");
    is_state(0, HEALTH_DOWN, "  they decide by now");

    all_up();
    wait_at(0, 1, now);
    for (int i = 0; i < 4; i++) {
        now += 1000;
        look();
    }
    probe(0, OUTCOME_TIMEOUT);
    is_state(0, HEALTH_DOWN, "one request waits, and the check as well: a hang");
    ok(strstr(row(0).reason, "and 1 waiting request got no response for 4.0 s"), "  %s",
       row(0).reason);

    all_up();
    wait_at(0, 6, now);
    for (int i = 0; i < 40; i++) {
        target[0].due_ms = now + 60000;
        live_on(250);
    }
    is_state(0, HEALTH_SUSPECT, "silent, and no check was answered since: not ejected");
    target[0].due_ms = now;
    live_on(500);
    is_state(0, HEALTH_EJECTED, "until one is");

    all_up();
    known(5000);
    wait_at(0, 6, now);
    live_on(60000);
    is_state(0, HEALTH_UP, "and in one where long waits are usual");
}

/* A pool in which one request in four is slow: who hangs is found by what others say. */
static void wait_silently(uint64_t waiting)
{
    all_up();
    known(2500);
    wait_at(0, waiting, now);
    live_on(EVIDENCE_HANG_MS + 500);
}

static void test_detached(void)
{
    wait_silently(1);
    is_probation(0, CAUSE_SILENT, "one waits in a slow pool: it is tried");
    is_int(row(0).hedge_all, 0, "  what waits there is left alone");
    count_add(&cell(0)->detached, 1);
    live_on(250);
    is_int(row(0).hedge_all, 1, "  until another instance answers what it did not");
    wait_at(0, 3, now - 3500);
    live_on(20000);
    is_state(0, HEALTH_PROBATION, "  two more that wait are no proof");
    count_add(&cell(0)->probation_unanswered, 1);
    live_on(1000);
    is_state(0, HEALTH_PROBATION, "  nor is one that another answered");
    count_add(&cell(0)->probation_unanswered, 1);
    live_on(250);
    is_state(0, HEALTH_EJECTED, "  two are");
    ok(strstr(row(0).reason, "ejected for 10 s"), "  %s", row(0).reason);

    wait_silently(1);
    count_add(&cell(0)->probation_unanswered, 1);
    live_on(250);
    response(0, 1);
    live_on(250);
    count_add(&cell(0)->probation_unanswered, 1);
    live_on(250);
    is_state(0, HEALTH_PROBATION, "one answer between two: it lives");
    atomic_store(&cell(0)->probation_unanswered, 0);
    live_on(250);
    is_state(0, HEALTH_PROBATION, "  also when the worker that counted them is no more");

    all_up();
    known(2500);
    target[0].penalty = BACKEND_HEALTH_PENALTY;
    target[0].penalty_ttl = BACKEND_HEALTH_PENALTY_TTL;
    wait_at(0, 2, now);
    live_on(EVIDENCE_HANG_MS + 500);
    is_state(0, HEALTH_PROBATION, "two wait at one that was suspected before: for long");
    is_probation(0, CAUSE_SILENT, "  it is tried meanwhile");
    live_on(20000);
    is_state(0, HEALTH_UP, "  no request came to try it with: its checks are believed");
    ok(row(0).risen_ms > 0, "  for a smaller share at first");

    wait_silently(2);
    response(0, OUTLIER_PROBATION_GOOD);
    live_on(250);
    is_state(0, HEALTH_UP, "  three answers: well");

    all_up();
    known(2500);
    wait_at(0, 1, now);
    for (int i = 0; i < 40; i++) {
        now += 250;
        if (now >= target[0].due_ms)
            probe(0, OUTCOME_PASS);
        look();
    }
    is_int(row(0).state == HEALTH_PROBATION, false,
           "nobody else answers either: nothing to compare with");
}

/* One hangs, and the only other one dies: it is kept, which is told once. */
static void test_kept(void)
{
    uint32_t before;

    wait_silently(6);
    for (int i = 1; i < N; i++)
        for (int k = 0; k < 3; k++)
            probe(i, OUTCOME_FAIL);
    count_add(&cell(0)->probation_unanswered, 2);
    look();
    is_state(0, HEALTH_SUSPECT, "silent on probation, and the last one: kept");
    ok(strstr(row(0).reason, "not ejected, because no other backend of the pool is healthy"),
       "  %s", row(0).reason);
    before = table->health_history[0].count;
    for (int i = 0; i < 40; i++) {
        now += 250;
        if (now >= target[0].due_ms)
            probe(0, OUTCOME_PASS);
        look();
    }
    is_state(0, HEALTH_UP, "  its checks are believed");
    is_int(table->health_history[0].count, before + 1, "  and no more is told for ten seconds");
}

/* A second worker, which had its part of the counts, and its end. */
static void second_worker(void)
{
    struct child_row worker = {.kind = KIND_WORKER, .state = CHILD_RUNNING, .incarnation = 8};

    child_publish(&table->child[1], &worker);
    atomic_store(&table->worker[1].incarnation, 8);
    for (int i = 0; i < N; i++) {
        count_add(&table->worker[1].be[i].completed, 1000);
        count_add(&table->worker[1].be[i].latency[8], 1000);
        count_add(&table->worker[1].be[i].cut, 7);
    }
    for (int i = 0; i < N; i++)
        backend_health_init(&target[i], table, i, &backends[i], &pool, false, now);
    look();
}

static void it_ends(void)
{
    struct child_row gone = {.kind = KIND_WORKER, .state = CHILD_EMPTY};

    counters_take(table, 1, 8, N);
    child_publish(&table->child[1], &gone);
}

static void test_end_of_worker(void)
{
    all_up();
    second_worker();
    wait_at(0, 2, now);
    for (uint64_t end = now + 2400; now < end; now += 200)
        look();
    it_ends();
    look();
    probe(0, OUTCOME_TIMEOUT);
    is_state(0, HEALTH_SUSPECT, "a worker ends while an instance hangs: that is no answer");
    for (uint64_t end = now + 1200; now < end; now += 200)
        look();
    is_state(0, HEALTH_DOWN, "  it is down no later");

    all_up();
    second_worker();
    eject_it(1);
    now = row(0).eject_until_ms;
    probe(0, OUTCOME_PASS);
    probe(0, OUTCOME_PASS);
    look();
    is_probation(0, CAUSE_EJECTED, "on probation");
    it_ends();
    look();
    count_add(&cell(0)->cut, 1);
    look();
    is_state(0, HEALTH_EJECTED, "  which does not go blind with the end of a worker");
    is_int(row(0).ejections, 2, "  ejected again");
}

int main(void)
{
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "healthd");
    test_silence();
    test_detached();
    test_kept();
    test_end_of_worker();
    return done();
}
