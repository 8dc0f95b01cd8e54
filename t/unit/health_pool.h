/* One pool under healthd, in a table of the test's own. The test plays the workers, the
 * supervisor and the probes, and says what time it is. */
#ifndef T_UNIT_HEALTH_POOL_H
#define T_UNIT_HEALTH_POOL_H

#include "healthd/outlier/outlier.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "healthd/check/http_check.h"
#include "healthd/judge.h"
#include "healthd/restart_request.h"
#include "t/unit/tap.h"

enum { N = 3 };

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
static unsigned seed;
static uint64_t now;

static inline struct worker_backend *cell(int i)
{
    return &table->worker[0].be[i];
}

static inline void response(int i, uint64_t n)
{
    count_add(&cell(i)->latency[8], n);
    count_add(&cell(i)->completed, n);
}

/* The pool is known: of 10,000 requests so many were slow. */
static inline void known(uint64_t slow)
{
    memset(pool.latency, 0, sizeof pool.latency);
    pool.latency[8] = 10000 - slow;
    pool.latency[22] = slow;
    pool.renewed_ms = 0; /* with the next look */
}

static inline void begin(void)
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
    seed = 1;
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
        backend_health_init(&target[i], table, i, &backends[i], &pool, false, now);
    }
    known(0);
}

static inline void ended(int i, enum outcome outcome)
{
    struct probe_result result = {
        .outcome = outcome, .score_permille = HTTP_CHECK_SCORE_FULL, .took_us = 1000};

    snprintf(result.text, sizeof result.text, "%s",
             outcome == OUTCOME_PASS ? "HTTP 200" : "connect refused");
    judge_ended(&target[i], &result, &seed, now);
}

static inline void probe(int i, enum outcome outcome)
{
    judge_started(&target[i], now);
    ended(i, outcome);
}

static inline void look(void)
{
    for (int i = 0; i < N; i++)
        restart_request_follow(&target[i], now);
    outlier_look(&pool, now);
}

static inline void all_up(void)
{
    begin();
    for (int i = 0; i < N; i++)
        probe(i, OUTCOME_PASS);
    look();
}

static inline struct health_row row(int i)
{
    struct health_row r = {0};

    health_read(&table->health[i], &r);
    return r;
}

static inline void is_state(int i, enum health_state want, const char *name)
{
    is_str(health_state_name(row(i).state), health_state_name(want), "%s", name);
}

static inline void is_probation(int i, enum health_cause cause, const char *name)
{
    is_int(row(i).state == HEALTH_PROBATION && row(i).cause == cause, true, "%s", name);
}

static inline void set_recovery_state(int i, enum recovery_state state)
{
    struct admin_row admin = {.override = ADMIN_READY, .heal = state};

    admin_publish(&table->admin[i], &admin);
    look();
}

/* Ejects the first, n times in a row, and lets it go on probation after each. */
static inline void eject_it(int times)
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

/* So many responses that can be compared, all of them with 5xx or none. */
static inline void measured(int i, uint64_t n, bool bad)
{
    count_add(&cell(i)->measured, n);
    count_add(&cell(i)->measured_5xx, bad ? n : 0);
}

static inline void wait_at(int i, uint64_t n, uint64_t since_ms)
{
    atomic_store(&cell(i)->probation_requests, row(i).state == HEALTH_PROBATION && n ? 1 : 0);
    atomic_store(&cell(i)->unanswered, n);
    atomic_store(&cell(i)->oldest_ms, n ? since_ms : 0);
}

/* Time goes by, the others answer, its probes pass. */
static inline void live_on(uint64_t ms)
{
    for (uint64_t end = now + ms; now < end; now += 250) {
        response(1, 10);
        response(2, 10);
        if (now >= target[0].due_ms)
            probe(0, OUTCOME_PASS);
        look();
    }
}

#endif
