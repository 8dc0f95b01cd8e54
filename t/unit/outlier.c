/* One pool under healthd, in a table of the test's own: ejection, probation, restarts,
 * takeover. The test plays the workers, the supervisor and the probes, and says what time it
 * is. */
#include "healthd/outlier/outlier.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "healthd/check/http_check.h"
#include "healthd/restart_request.h"
#include "shm/counters.h"
#include "t/unit/tap.h"

enum { N = 3 };

static const char *const command[] = {"/bin/true"};
static struct conf_backend backends[N];
static struct conf_pool conf = {
    .name = "pas",
    .check = {.interval_ms = 5000,
              .fast_interval_ms = 1000,
              .down_interval_ms = 2000,
              .timeout_ms = 2000,
              .rise = 2,
              .fall = 3},
    .eject = {.failures = 5, .window_ms = 5000, .time_ms = 10000, .max_ms = 300000},
    .backends = backends,
    .n_backends = N,
    .min_healthy = 1,
    .heal_after_ms = 10000,
};
static struct table *table;
static struct backend_health target[N];
static struct pool_health pool = {.conf = &conf, .target = target, .n = N};
static struct schedule schedule;
static struct observed_live live;
static uint64_t now;

static struct worker_backend *cell(int i)
{
    return &table->worker[0].be[i];
}

static void response(int i, uint64_t n)
{
    count_add(&cell(i)->latency[8], n);
    count_add(&cell(i)->completed, n);
}

static void begin(void)
{
    struct child_row worker = {.kind = KIND_WORKER, .state = CHILD_RUNNING, .incarnation = 7};

    if (table)
        munmap(table, sizeof *table);
    table =
        mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED)
        abort();
    now = clock_mono_ms();
    child_publish(&table->child[0], &worker);
    atomic_store(&table->worker[0].incarnation, 7);
    observed_look(&live, table);
    schedule_init(&schedule, 1);
    for (int i = 0; i < N; i++) {
        struct backend_row row = {.used = 1, .configured = 1, .identity = 100 + (uint64_t)i};

        backends[i] = (struct conf_backend){.name = i == 0   ? "pas1"
                                                    : i == 1 ? "pas2"
                                                             : "pas3",
                                            .host = "127.0.0.1",
                                            .socket = "",
                                            .port = 8810,
                                            .restart_docker = ""};
        backend_publish(&table->backend[i], &row);
        backend_health_init(&target[i], table, i, &backends[i], &conf, false, now);
    }
    pool.all = 10000;
    pool.slow = 0;
}

static void ended(int i, enum outcome outcome)
{
    struct probe_result result = {
        .outcome = outcome, .score_permille = HTTP_CHECK_SCORE_FULL, .took_us = 1000};

    snprintf(result.text, sizeof result.text, "%s",
             outcome == OUTCOME_PASS ? "HTTP 200" : "connect refused");
    backend_health_ended(&target[i], &live, &result, &schedule, now);
}

static void probe(int i, enum outcome outcome)
{
    backend_health_started(&target[i], &live, now);
    ended(i, outcome);
}

static void look(void)
{
    for (int i = 0; i < N; i++)
        restart_request_follow(&target[i], now);
    outlier_look(&pool, &live, now);
}

static void all_up(void)
{
    begin();
    for (int i = 0; i < N; i++)
        probe(i, OUTCOME_PASS);
    look();
}

static struct health_row row(int i)
{
    struct health_row r = {0};

    health_read(&table->health[i], &r);
    return r;
}

static void is_state(int i, enum health_state want, const char *name)
{
    is_str(health_state_name(row(i).state), health_state_name(want), "%s", name);
}

static void set_recovery_state(int i, enum recovery_state state)
{
    struct admin_row admin = {.override = ADMIN_READY, .heal = state};

    admin_publish(&table->admin[i], &admin);
    look();
}

/* Ejects the first, n times in a row, and lets it go on probation after each. */
static void eject_it(int times)
{
    count_add(&cell(0)->cut, 5);
    look();
    for (int i = 1; i < times; i++) {
        now = row(0).eject_until_ms;
        probe(0, OUTCOME_PASS);
        probe(0, OUTCOME_PASS);
        look();
        count_add(&cell(0)->cut, 1);
        look();
    }
}

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
    now = target[0].probation_ms + outlier_probation_ms(&conf.eject) - 1;
    look();
    is_state(0, HEALTH_PROBATION, "  nor for long,");
    now += 1;
    look();
    is_state(0, HEALTH_UP, "  but not for ever: it may be a stream");
    ok(strstr(row(0).reason, "no request failed within 60 s"), "  %s", row(0).reason);

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
    is_int(row(0).cause, CAUSE_FAILED, "  it is on probation");
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
    is_int(row(0).cause, CAUSE_FAILED, "  it is put on probation all the same");

    all_up();
    count_add(&cell(0)->cut, 1);
    look();
    backend_health_started(&target[0], &live, now);
    response(0, 1); /* the head of what was cut was one, too */
    now += 2000;
    ended(0, OUTCOME_TIMEOUT);
    is_state(0, HEALTH_SUSPECT, "that answers begin while a check waits proves no end");
    look();
    is_int(row(0).cause, CAUSE_FAILED, "  it is put on probation at once");
    ok(strstr(row(0).reason, "last check: connect refused"), "  %s", row(0).reason);
    backend_health_started(&target[0], &live, now);
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
    is_int(row(0).cause, CAUSE_FAILED, "  checks that pass put it on probation");
    count_add(&cell(0)->cut, 1);
    look();
    is_state(0, HEALTH_SUSPECT, "  one that fails then does not eject it either");
    is_int(row(0).state == HEALTH_PROBATION, false, "  but ends the probation: it is needed");
    for (int i = 0; i < 3; i++)
        probe(0, OUTCOME_PASS);
    look();
    is_int(row(0).cause, CAUSE_FAILED, "  until checks pass again");
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
    is_int(row(0).cause, CAUSE_EJECTED, "an ejection is over");
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
    is_int(row(0).cause, CAUSE_FAILED, "  checks alone do not make it up");
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

/* So many responses that can be compared, all of them with 5xx or none. */
static void measured(int i, uint64_t n, bool bad)
{
    count_add(&cell(i)->measured, n);
    count_add(&cell(i)->measured_5xx, bad ? n : 0);
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
    backend_health_init(&target[0], table, 0, &backends[0], &conf, true, now);
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

static void wait_at(int i, uint64_t n, uint64_t since_ms)
{
    atomic_store(&cell(i)->probation_requests, row(i).state == HEALTH_PROBATION && n ? 1 : 0);
    atomic_store(&cell(i)->unanswered, n);
    atomic_store(&cell(i)->oldest_ms, n ? since_ms : 0);
}

/* Time goes by, the others answer, its probes pass. */
static void live_on(uint64_t ms)
{
    for (uint64_t end = now + ms; now < end; now += 250) {
        response(1, 10);
        response(2, 10);
        if (now >= target[0].due_ms)
            probe(0, OUTCOME_PASS);
        look();
    }
}

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
    is_int(row(0).cause, CAUSE_SILENT, "but it is tried, whether it is a report");
    is_int(row(0).hang_timeout_ms, STALL_HANG_MS, "  each may wait for so long");
    is_state(0, HEALTH_PROBATION, "  and its sessions stay");
    response(0, OUTLIER_PROBATION_GOOD);
    live_on(500);
    is_int(row(0).state == HEALTH_PROBATION, false, "  it is: three others went well");
    live_on(60000);
    is_int(row(0).state == HEALTH_PROBATION, false, "  and that is enough");
    wait_at(0, 2, now - 60000);
    live_on(STALL_HANG_MS);
    is_int(row(0).cause, CAUSE_SILENT, "  until another one waits too");
    wait_at(0, 1, now - 60000);
    response(0, OUTLIER_PROBATION_GOOD);
    live_on(500);
    is_int(row(0).state == HEALTH_PROBATION, false, "  which goes well");
    wait_at(0, 2, now);
    live_on(8000);
    is_int(row(0).cause, CAUSE_SILENT, "  or a third one, when that has gone");

    all_up();
    wait_at(0, 1, now);
    live_on(8000);
    is_int(row(0).cause, CAUSE_SILENT, "one waits: tried");
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
    pool.slow = 5000;
    wait_at(0, 6, now);
    live_on(60000);
    is_state(0, HEALTH_UP, "and in one where long waits are usual");
}

/* A pool in which one request in four is slow: who hangs is found by what others say. */
static void wait_silently(uint64_t waiting)
{
    all_up();
    pool.slow = pool.all / 4;
    wait_at(0, waiting, now);
    live_on(STALL_HANG_MS + 500);
}

static void test_detached(void)
{
    wait_silently(1);
    is_int(row(0).cause, CAUSE_SILENT, "one waits in a slow pool: it is tried");
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
    pool.slow = pool.all / 4;
    target[0].verdict.penalty = VERDICT_PENALTY;
    target[0].verdict.penalty_ttl = VERDICT_PENALTY_TTL;
    wait_at(0, 2, now);
    live_on(STALL_HANG_MS + 500);
    is_state(0, HEALTH_PROBATION, "two wait at one that was suspected before: for long");
    is_int(row(0).cause, CAUSE_SILENT, "  it is tried meanwhile");
    live_on(20000);
    is_state(0, HEALTH_UP, "  no request came to try it with: its checks are believed");
    ok(row(0).risen_ms > 0, "  for a smaller share at first");

    wait_silently(2);
    response(0, OUTLIER_PROBATION_GOOD);
    live_on(250);
    is_state(0, HEALTH_UP, "  three answers: well");

    all_up();
    pool.slow = pool.all / 4;
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
    observed_look(&live, table);
    for (int i = 0; i < N; i++)
        backend_health_init(&target[i], table, i, &backends[i], &conf, false, now);
    look();
}

static void it_ends(void)
{
    struct child_row gone = {.kind = KIND_WORKER, .state = CHILD_EMPTY};

    counters_take(table, 1, 8, N);
    child_publish(&table->child[1], &gone);
    observed_look(&live, table);
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
    is_int(row(0).cause, CAUSE_EJECTED, "on probation");
    it_ends();
    look();
    count_add(&cell(0)->cut, 1);
    look();
    is_state(0, HEALTH_EJECTED, "  which does not go blind with the end of a worker");
    is_int(row(0).ejections, 2, "  ejected again");
}

static void test_restart(void)
{
    struct probe_result pass = {.outcome = OUTCOME_PASS, .text = "HTTP 200"};

    pass.score_permille = HTTP_CHECK_SCORE_FULL;
    all_up();
    eject_it(2);
    set_recovery_state(0, RECOVERY_DRAINING);
    is_int(row(0).ejections, 2, "draining: nothing changes");
    backend_health_started(&target[0], &live, now);
    set_recovery_state(0, RECOVERY_RESTARTING);
    is_state(0, HEALTH_DOWN, "restarting: down");
    is_str(row(0).reason, "being restarted", "  and why");
    is_int(row(0).ejections + row(0).eject_until_ms, 0, "  ejections are forgotten");
    backend_health_ended(&target[0], &live, &pass, &schedule, now);
    probe(0, OUTCOME_PASS);
    probe(0, OUTCOME_PASS);
    is_int(row(0).rise, 0, "passes count for nothing yet");
    backend_health_started(&target[0], &live, now);
    set_recovery_state(0, RECOVERY_VERIFYING);
    backend_health_ended(&target[0], &live, &pass, &schedule, now);
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
    backend_health_init(&target[0], table, 0, &backends[0], &conf, true, now);
    is_int(row(0).eject_until_ms, before.eject_until_ms, "a successor goes on with the time");
    is_int(row(0).ejections, 2, "  and the count");
    probe(0, OUTCOME_PASS);
    probe(0, OUTCOME_PASS);
    is_state(0, HEALTH_EJECTED, "  and holds it down");
    now = before.eject_until_ms;
    look();
    is_int(row(0).state == HEALTH_PROBATION, 1, "then it is on probation");
    backend_health_init(&target[0], table, 0, &backends[0], &conf, true, now);
    probe(0, OUTCOME_PASS);
    probe(0, OUTCOME_PASS);
    probe(0, OUTCOME_PASS);
    is_int(row(0).state == HEALTH_PROBATION, 1, "  under another successor too");
    count_add(&cell(0)->completed, 3);
    look();
    is_state(0, HEALTH_UP, "and comes up");
    before = row(0);
    backend_health_init(&target[0], table, 0, &backends[0], &conf, true, now);
    is_int(row(0).risen_ms, before.risen_ms, "slow start goes on under the next");

    struct backend_row fresh = {.used = 1, .configured = 1, .identity = 999};

    backend_publish(&table->backend[2], &fresh);
    backend_health_init(&target[2], table, 2, &backends[2], &conf, true, now);
    probe(2, OUTCOME_PASS);
    ok(row(2).risen_ms > 0, "one that a reload brought starts slowly");
}

int main(void)
{
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "passive");
    test_eject();
    test_probation();
    test_suspect();
    test_guards();
    test_outage();
    test_errors();
    test_unlike();
    test_silence();
    test_detached();
    test_end_of_worker();
    test_restart();
    test_ask();
    test_takeover();
    return done();
}
