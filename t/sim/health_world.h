/* The world around healthd's model of one pool: settings, what happens to its backends, and the
 * clock. Made up from a seed; for t/sim/health.c. */
#ifndef T_SIM_HEALTH_WORLD_H
#define T_SIM_HEALTH_WORLD_H

#include <stdio.h>
#include <string.h>

#include "base/conf/conf.h"
#include "healthd/check/http_check.h"
#include "healthd/judge.h"
#include "healthd/outlier/outlier.h"

enum {
    N_MAX = 200,
    N_FEW = 5, /* most pools */
    LOW_SCORE = 300,
    BEGIN_MS = 100000000
};

static struct conf_backend backends[N_MAX];
static struct conf_pool conf;
static struct table *table;
static struct backend_health target[N_MAX];
static struct pool_health pool;
static unsigned schedule;
static uint64_t now, random_state, identity;
static uint32_t told[N_MAX];      /* transitions in the history, */
static uint8_t state_then[N_MAX]; /* and the state after the last one */

/* What happens to one backend for a while. */
static struct mood {
    enum outcome outcome;
    unsigned chance; /* that a check passes instead, of 4 */
    bool low;        /* score */
    uint32_t cut, refused, resets, timeouts, good, errors, heads;
    uint32_t measured, unlike; /* unlike: of the measured ones, bad ones */
    enum evidence_kind kind;
    uint32_t unanswered, probation_requests, detached, probation_unanswered;
    uint32_t left;   /* steps */
    uint64_t end_ms; /* of the running check */
    bool passes;     /* the running check */
} mood[N_MAX];

static uint32_t below(uint32_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 33) % n;
}

static uint32_t between(uint32_t a, uint32_t b)
{
    return a + below(b - a + 1);
}

/* One time in n, something from 1 to most. */
static uint32_t now_and_then(uint32_t n, uint32_t most)
{
    return below(n) ? 0 : between(1, most);
}

static struct worker_backend *cell(uint32_t i)
{
    return &table->worker[0].be[i];
}

static void settings(void)
{
    uint32_t n = below(1000) ? between(1, N_FEW) : between(1, N_MAX),
             time = between(500, 15000);

    conf = (struct conf_pool){
        .name = "pas",
        .check = {.interval_ms = between(500, 10000),
                  .fast_interval_ms = between(200, 2000),
                  .down_interval_ms = between(500, 3000),
                  .timeout_ms = between(300, 3000),
                  .rise = between(1, 3),
                  .fall = between(1, 3),
                  .jitter_percent = between(0, 20)},
        .eject = {.failures = below(8) ? between(1, 5) : 0,
                  .window_ms = between(1, 5) * 1000,
                  .time_ms = time,
                  .max_ms = time * between(1, 4),
                  .gateway_percent = below(2) ? 50 : 0},
        .backends = backends,
        .n_backends = n,
        .min_healthy = between(0, n),
        .heal_after_ms = 10000,
    };
}

static void set_admin(uint32_t i, enum admin_state override, enum recovery_state recovery)
{
    struct admin_row row = {.override = override, .heal = recovery};

    admin_publish(&table->admin[i], &row);
}

static void watch(uint32_t i, bool reloaded)
{
    struct backend_health *w = &target[i];

    backend_health_init(w, table, (int)i, &backends[i], &pool, reloaded, now);
    w->due_ms = now;
    mood[i].end_ms = 0;
}

static void begin(uint64_t seed)
{
    now = BEGIN_MS; /* the same at each replay: windows begin at round times */
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < 8; i++)
        below(2);
    settings();
    schedule = (unsigned)seed;
    pool =
        (struct pool_health){.conf = &conf, .target = target, .n = (uint32_t)conf.n_backends};
    pool.latency[8] = below(20000);
    pool.latency[22] = below((uint32_t)pool.latency[8] / 8 + 1);
    for (uint32_t i = 0; i < pool.n; i++) {
        struct backend_row row = {.used = 1, .configured = 1, .identity = ++identity};

        backends[i] = (struct conf_backend){.name = "pas",
                                            .host = "127.0.0.1",
                                            .socket = "",
                                            .port = 8810,
                                            .weight = 1,
                                            .restart_docker = ""};
        mood[i] = (struct mood){0};
        memset(cell(i), 0, sizeof *cell(i));
        told[i] = 0;
        state_then[i] = HEALTH_UNKNOWN;
        memset(&table->health[i], 0, sizeof table->health[i]);
        memset(&table->health_history[i], 0, sizeof table->health_history[i]);
        set_admin(i, ADMIN_READY, RECOVERY_NONE);
        backend_publish(&table->backend[i], &row);
        watch(i, false);
    }
}

static void new_mood(struct mood *m)
{
    uint64_t end_ms = m->end_ms;
    bool passes = m->passes;

    *m = (struct mood){.end_ms = end_ms, .passes = passes, .left = between(1, 60)};
    m->outcome = (enum outcome)below(4);
    m->chance = below(5);
    m->low = below(6) == 0;
    m->cut = now_and_then(5, 2);
    m->refused = now_and_then(8, 2);
    m->resets = now_and_then(8, 2);
    m->timeouts = now_and_then(8, 2);
    m->good = now_and_then(2, 4);
    m->errors = now_and_then(4, 4);
    m->heads = now_and_then(4, 2);
    m->measured = now_and_then(2, 10);
    m->unlike = below(3) ? 0 : between(0, m->measured);
    m->kind = (enum evidence_kind)between(EVIDENCE_5XX, EVIDENCE_SLOW);
    m->unanswered = now_and_then(3, 30);
    m->probation_requests = now_and_then(3, 2);
    m->detached = now_and_then(4, 2);
    m->probation_unanswered = m->detached ? below(m->detached + 1) : 0;
}

static void serve(uint32_t i, const struct mood *m)
{
    struct worker_backend *c = cell(i);

    /* Not in every step: runs of failures and of good ones. */
    if (below(3) == 0)
        return;
    count_add(&c->cut, m->cut);
    count_add(&c->connect_errors, m->refused);
    count_add(&c->resets, m->resets);
    count_add(&c->timeouts, m->timeouts);
    count_add(&c->completed, m->good + m->errors);
    count_add(&c->server_errors, m->errors);
    count_add(&c->gateway_errors, m->errors / 2);
    count_add(&c->latency[between(8, 22)], m->good + m->errors + m->heads);
    _Atomic uint64_t *const unlike[] = {NULL, &c->measured_5xx, &c->measured_4xx,
                                        &c->measured_slow};
    count_add(&c->measured, m->measured);
    count_add(unlike[m->kind], m->unlike);
    count_add(&c->detached, m->detached);
    count_add(&c->probation_unanswered, m->probation_unanswered);
    atomic_store(&c->failed_in_row, m->good ? 0 : m->cut + m->refused + m->resets);
    atomic_store(&c->probation_requests,
                 target[i].row.state == HEALTH_PROBATION ? m->probation_requests : 0);
    if (m->unanswered && !count_read(&c->unanswered))
        atomic_store(&c->oldest_ms, now);
    if (!m->unanswered)
        atomic_store(&c->oldest_ms, 0);
    atomic_store(&c->unanswered, m->unanswered);
}

static void check(uint32_t i, bool pass)
{
    struct backend_health *w = &target[i];
    struct mood *m = &mood[i];

    if (!w->running && now >= w->due_ms) {
        judge_started(w, now);
        m->passes = pass || below(4) < m->chance;
        m->end_ms = now + (!m->passes && m->outcome == OUTCOME_TIMEOUT ? conf.check.timeout_ms
                                                                       : below(60));
    }
    if (w->running && now >= m->end_ms) {
        struct probe_result r = {.outcome = m->passes ? OUTCOME_PASS : m->outcome,
                                 .score_permille = m->low ? LOW_SCORE : HTTP_CHECK_SCORE_FULL};

        if (!m->passes && r.outcome == OUTCOME_PASS)
            r.outcome = OUTCOME_FAIL;
        snprintf(r.text, sizeof r.text, "%s", m->passes ? "HTTP 200" : "no good");
        judge_ended(w, &r, &schedule, now);
    }
}

#endif
