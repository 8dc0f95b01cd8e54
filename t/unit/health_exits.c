/* No state of a backend lasts for ever. Random histories of a pool (probe results, failed and
 * silent requests, errors, probation requests, restarts, successors of healthd), each followed
 * by a time in which all probes pass: every backend must then be UP and off probation within
 * bound(), which follows from the settings alone.
 *
 *     build/unit/health_exits               all histories, always the same
 *     build/unit/health_exits SEED QUIET    one of them, with healthd's log lines */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/conf/conf.h"
#include "base/log.h"
#include "healthd/check/http_check.h"
#include "healthd/outlier/outlier.h"
#include "healthd/restart_request.h"
#include "shm/counters.h"
#include "t/unit/tap.h"

enum {
    N_MAX = 5,
    SEEDS = 5000,
    SEEDS_VALGRIND = 250,
    STEP_MS = 250,
    LOW_SCORE = 300,
    BEGIN_MS = 100000000
};

/* Under valgrind, which is twenty times slower, memory is what counts. */
static uint64_t seeds(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return preload && strstr(preload, "vgpreload") ? SEEDS_VALGRIND : SEEDS;
}

/* What the quiet time is like. */
enum quiet {
    QUIET_GOOD,   /* every backend that serves gets requests, and they go well */
    QUIET_EMPTY,  /* no requests at all */
    QUIET_STREAM, /* a probation request has become a stream that does not end */
    QUIET_SLOW,   /* all that a backend on probation gets is answered elsewhere first */
    QUIETS
};

static const char *const quiet_name[QUIETS] = {"all requests go well", "no request at all",
                                               "a probation request goes on and on",
                                               "another backend is always faster"};

static struct conf_backend backends[N_MAX];
static struct conf_pool conf;
static struct table *table;
static struct backend_health target[N_MAX];
static struct pool_health pool;
static struct schedule schedule;
static struct observed_live live;
static uint64_t now, random_state, identity;

/* What happens to one backend for a while. */
static struct mood {
    enum outcome outcome;
    unsigned chance; /* that a check passes instead, of 4 */
    bool low;        /* score */
    uint32_t cut, refused, resets, timeouts, good, errors, heads;
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
    uint32_t n = between(1, N_MAX), time = between(500, 15000);

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

static void set_admin(uint32_t i, enum admin_state override, enum recovery_state heal)
{
    struct admin_row row = {.override = override, .heal = heal};

    admin_publish(&table->admin[i], &row);
}

static void watch(uint32_t i, bool reloaded)
{
    struct backend_health *w = &target[i];

    backend_health_init(w, table, (int)i, &backends[i], &conf, reloaded, now);
    /* It took the time from the clock. */
    w->decay_ms = w->probation_ms = w->tried_ms = now;
    stall_init(&w->stall, &w->stall.view, now);
    mood[i].end_ms = 0;
}

static void begin(uint64_t seed)
{
    now = BEGIN_MS; /* the same at each replay: windows begin at round times */
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < 8; i++)
        below(2);
    settings();
    schedule_init(&schedule, seed);
    pool = (struct pool_health){
        .conf = &conf, .target = target, .n = (uint32_t)conf.n_backends, .all = below(20000)};
    pool.slow = below((uint32_t)pool.all / 8 + 1);
    for (uint32_t i = 0; i < pool.n; i++) {
        static const char *const name[N_MAX] = {"pas1", "pas2", "pas3", "pas4", "pas5"};
        struct backend_row row = {.used = 1, .configured = 1, .identity = ++identity};

        backends[i] = (struct conf_backend){
            .name = name[i], .host = "127.0.0.1", .port = 8810, .restart_docker = ""};
        mood[i] = (struct mood){0};
        memset(cell(i), 0, sizeof *cell(i));
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
    count_add(&c->detached, m->detached);
    count_add(&c->probation_unanswered, m->probation_unanswered);
    atomic_store(&c->failed_in_row, m->good ? 0 : m->cut + m->refused + m->resets);
    atomic_store(&c->probation_requests, target[i].row.probation ? m->probation_requests : 0);
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
        backend_health_started(w, &live, now);
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
        w->alone = outlier_alone(&pool, w);
        backend_health_ended(w, &live, &r, &schedule, now);
    }
}

static void look(void)
{
    for (uint32_t i = 0; i < pool.n; i++)
        restart_request_follow(&target[i], now);
    outlier_look(&pool, &live, now);
}

/* What the supervisor and operators do, and the end of a healthd. */
static void meddle(void)
{
    uint32_t i = below(pool.n);

    if (below(40) == 0)
        set_admin(i, (enum admin_state)below(3),
                  (enum recovery_state)below(RECOVERY_VERIFYING + 1));
    if (below(40) == 0)
        set_admin(i, ADMIN_READY, RECOVERY_NONE);
    if (below(100) == 0) {
        if (below(4) == 0)
            conf.eject.failures = conf.eject.failures ? 0 : 3; /* after a reload */
        for (i = 0; i < pool.n; i++)
            watch(i, below(2));
    }
}

static void history(uint64_t seed)
{
    begin(seed);
    for (uint32_t steps = between(10, 200); steps > 0; steps--) {
        now += between(20, 500);
        for (uint32_t i = 0; i < pool.n; i++) {
            if (mood[i].left == 0)
                new_mood(&mood[i]);
            mood[i].left--;
            serve(i, &mood[i]);
            check(i, false);
        }
        meddle();
        look();
    }
}

/* The longest way up: a check that still runs, the pause after it, an ejection that has just
 * begun, then as many passes as a suspicion needs after all doublings, then a probation. */
static uint64_t bound(enum quiet quiet)
{
    const struct conf_check *c = &conf.check;
    uint32_t pause =
        c->interval_ms > c->down_interval_ms ? c->interval_ms : c->down_interval_ms;
    uint64_t passes = (uint64_t)(conf.check.rise << VERDICT_PENALTY) + 1;
    uint64_t ms = c->timeout_ms + pause + conf.eject.max_ms + passes * c->fast_interval_ms;

    ms += quiet == QUIET_GOOD || quiet == QUIET_EMPTY ? conf.eject.time_ms
                                                      : outlier_probation_ms(&conf.eject);
    return ms + ms * c->jitter_percent / 100 + (passes + 8) * STEP_MS;
}

static void quieten(void)
{
    for (uint32_t i = 0; i < pool.n; i++) {
        struct worker_backend *c = cell(i);

        set_admin(i, ADMIN_READY, RECOVERY_NONE);
        mood[i].low = false;
        atomic_store(&c->unanswered, 0);
        atomic_store(&c->oldest_ms, 0);
        atomic_store(&c->probation_requests, 0);
        atomic_store(&c->failed_in_row, 0);
    }
}

static void serve_quietly(uint32_t i, enum quiet quiet)
{
    struct worker_backend *c = cell(i);
    bool probation = target[i].row.probation;

    if (quiet == QUIET_GOOD && backend_health_serves(&target[i])) {
        count_add(&c->completed, 1);
        count_add(&c->latency[8], 1);
    } else if (quiet == QUIET_STREAM) {
        atomic_store(&c->probation_requests, probation);
    } else if (quiet == QUIET_SLOW && probation) {
        atomic_store(&c->probation_requests, probation);
        count_add(&c->detached, 1);
    }
}

static bool all_up(void)
{
    bool up = true;

    for (uint32_t i = 0; i < pool.n; i++)
        up &= target[i].verdict.state == HEALTH_UP && !target[i].row.probation;
    return up;
}

static bool ends(uint64_t seed, enum quiet quiet, uint64_t *took_ms)
{
    history(seed);
    uint64_t from = now, until = now + bound(quiet);

    quieten();
    look();
    while (!all_up() && now < until) {
        now += STEP_MS;
        for (uint32_t i = 0; i < pool.n; i++) {
            serve_quietly(i, quiet);
            check(i, true);
        }
        look();
    }
    *took_ms = now - from;
    return all_up();
}

static void show(uint64_t seed, enum quiet quiet)
{
    diag("replay: build/unit/health_exits %llu %d", (unsigned long long)seed, (int)quiet);
    diag("failures %u, time %u, max_time %u, min_healthy %u, rise %u, bound %llu ms",
         conf.eject.failures, conf.eject.time_ms, conf.eject.max_ms, conf.min_healthy,
         conf.check.rise, (unsigned long long)bound(quiet));
    for (uint32_t i = 0; i < pool.n; i++)
        diag("%s: %s, probation %u, failing %d, told %d: %s", backends[i].name,
             health_state_name(target[i].verdict.state), target[i].row.probation,
             target[i].failing, target[i].told, target[i].row.reason);
}

static void test_quiet(enum quiet quiet)
{
    uint64_t took, longest = 0, bad = 0, first = 0, in_state[HEALTH_STATES] = {0}, on[4] = {0};

    for (uint64_t seed = 1; seed <= seeds(); seed++) {
        if (!ends(seed, quiet, &took)) {
            if (!bad++)
                first = seed, show(seed, quiet);
        } else if (took > longest) {
            longest = took;
        }
    }
    /* The histories must reach what is to be left. */
    for (uint64_t seed = 1; seed <= SEEDS / 10; seed++) {
        history(seed);
        for (uint32_t i = 0; i < pool.n; i++) {
            in_state[target[i].verdict.state]++;
            on[target[i].row.probation]++;
        }
    }
    is_int(bad, 0, "%s: all are up in time, first bad seed %llu, longest %.1f s",
           quiet_name[quiet], (unsigned long long)first, (double)longest / 1000);
    ok(in_state[HEALTH_UP] && in_state[HEALTH_DEGRADED] && in_state[HEALTH_SUSPECT] &&
           in_state[HEALTH_DOWN] && on[1] && on[2] && on[3],
       "  from all states (probation %llu, %llu, %llu)", (unsigned long long)on[1],
       (unsigned long long)on[2], (unsigned long long)on[3]);
}

int main(int argc, char **argv)
{
    struct child_row worker = {.kind = KIND_WORKER, .state = CHILD_RUNNING, .incarnation = 7};
    uint64_t took;

    log_init(argc > 2 ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "healthd");
    table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED)
        return 1;
    child_publish(&table->child[0], &worker);
    atomic_store(&table->worker[0].incarnation, 7);
    observed_look(&live, table);
    if (argc > 2) {
        uint64_t seed = strtoull(argv[1], NULL, 10);
        enum quiet quiet = (enum quiet)(strtoul(argv[2], NULL, 10) % QUIETS);

        bool up = ends(seed, quiet, &took);

        ok(up, "all are up in time: after %.1f s", (double)took / 1000);
        show(seed, quiet);
        return done();
    }
    for (int quiet = 0; quiet < QUIETS; quiet++)
        test_quiet((enum quiet)quiet);
    return done();
}
