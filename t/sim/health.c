/* The model of health through random histories, on a clock of the test's own: probe results,
 * signs, silence, errors, unlike responses, probation requests, restarts, reloads (successors
 * of healthd), jumps of the clock, pools of 1 to 200 backends. What must hold:
 *
 * - Nobody is ejected when no other backend serves, and never are all of them ejected.
 * - Each change of a state is told once in the history (`pasgate why`), and nothing else is.
 * - An outage of everything ends within two passed checks of its end.
 * - No state lasts for ever: once all goes well, every backend is UP, off probation and with
 * all of its weight within bound(), which follows from the settings alone.
 * - The same inputs give the same verdicts.
 *
 * `make simulate` runs as many as fit 20 s of CPU time; build/sim/health -n 1000000 -t 0 runs a
 * million, in about two minutes; -n 1 -s SEED -v replays one with healthd's log lines. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/conf/conf.h"
#include "base/log.h"
#include "healthd/check/http_check.h"
#include "healthd/outlier/outlier.h"
#include "healthd/restart_request.h"
#include "shm/counters.h"

enum {
    N_MAX = 200,
    N_FEW = 5,     /* most pools */
    STEP_MS = 500, /* of the quiet time after it */
    SECONDS = 20,  /* of CPU time for all histories, as many as fit; -t 0: no limit */
    LOW_SCORE = 300,
    BEGIN_MS = 100000000
};

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
static uint64_t now, random_state, identity, digest;
static bool verbose;
static const char *wrong; /* the first thing that did not hold; NULL: all held */
static char wrong_text[256];
static uint32_t told[N_MAX];      /* transitions in the history, */
static uint8_t state_then[N_MAX]; /* and the state after the last one */

/* What happens to one backend for a while. */
static struct mood {
    enum outcome outcome;
    unsigned chance; /* that a check passes instead, of 4 */
    bool low;        /* score */
    uint32_t cut, refused, resets, timeouts, good, errors, heads;
    uint32_t measured, unlike; /* unlike: of the measured ones, bad ones */
    enum score_kind kind;
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

    backend_health_init(w, table, (int)i, &backends[i], &conf, reloaded, now);
    /* It took the time from the clock. */
    w->decay_ms = w->probation_ms = w->tried_ms = now;
    if (w->score.unlike)
        w->score.heard_ms = now;
    w->score.cleared_ms = now;
    memset(w->score.at, 0, sizeof w->score.at);
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
        struct backend_row row = {.used = 1, .configured = 1, .identity = ++identity};

        backends[i] = (struct conf_backend){.name = "pas",
                                            .host = "127.0.0.1",
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
    m->kind = (enum score_kind)below(SCORE_KINDS);
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
    _Atomic uint64_t *const unlike[SCORE_KINDS] = {&c->measured_5xx, &c->measured_4xx,
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

__attribute__((format(printf, 1, 2))) static void broken(const char *format, ...)
{
    va_list ap;

    if (wrong)
        return;
    va_start(ap, format);
    vsnprintf(wrong_text, sizeof wrong_text, format, ap);
    va_end(ap);
    wrong = wrong_text;
}

/* Each change is in the history, once and in order; only a DEGRADED backend may get another
 * reason. */
static void is_told(uint32_t i)
{
    const struct history *h = &table->health_history[i];
    const struct health_row *row = &target[i].row;

    for (; told[i] < h->count; told[i]++) {
        const struct transition *t = &h->ring[told[i] % TABLE_HISTORY];

        if (t->from != state_then[i])
            broken("backend %u: told from %s, but was %s", i, health_state_name(t->from),
                   health_state_name(state_then[i]));
        if (t->from == t->to && t->to != HEALTH_DEGRADED)
            broken("backend %u: told twice that it is %s", i, health_state_name(t->to));
        if (!t->reason[0])
            broken("backend %u: told without a reason", i);
        state_then[i] = t->to;
    }
    if (state_then[i] != row->state)
        broken("backend %u: %s was never told", i, health_state_name(row->state));
    digest = (digest ^ row->state ^ (uint64_t)row->weight_permille << 8 ^
              (uint64_t)row->cause << 24 ^ (uint64_t)row->ejections << 32) *
             UINT64_C(1099511628211);
}

static bool is_ejected(uint32_t i)
{
    return target[i].row.state == HEALTH_EJECTED;
}

static void look(void)
{
    uint32_t ejected = 0, unlike = 0, serving = 0;
    bool before[N_MAX];

    for (uint32_t i = 0; i < pool.n; i++)
        restart_request_follow(&target[i], now);
    for (uint32_t i = 0; i < pool.n; i++)
        before[i] = is_ejected(i);
    outlier_look(&pool, &live, now);
    for (uint32_t i = 0; i < pool.n; i++) {
        ejected += is_ejected(i);
        serving += backend_health_serves(&target[i]) && target[i].override == ADMIN_READY;
        unlike += target[i].row.weight_permille == HEALTH_UNLIKE_PERMILLE;
        is_told(i);
        if ((target[i].row.weight_permille < 1000) != (target[i].row.state == HEALTH_DEGRADED))
            broken("backend %u: %s with a weight of %u", i,
                   health_state_name(target[i].row.state), target[i].row.weight_permille);
    }
    for (uint32_t i = 0; i < pool.n; i++)
        if (is_ejected(i) && !before[i] && !serving)
            broken("backend %u: ejected, and no other one serves", i);
    if (ejected == pool.n)
        broken("all are ejected");
    if (unlike == pool.n)
        broken("all are unlike the others");
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
    if (below(200) == 0)
        now += between(1, 600000); /* suspended for a while */
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
    for (uint32_t steps = between(5, 80); steps > 0; steps--) {
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
    /* Unlike the others, and nothing comes that shows otherwise. */
    ms += SCORE_QUIET_MS;
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
    bool probation = target[i].row.state == HEALTH_PROBATION;

    if (quiet == QUIET_GOOD && backend_health_serves(&target[i])) {
        count_add(&c->completed, 1);
        count_add(&c->latency[8], 1);
        count_add(&c->measured, 1);
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
        up &= target[i].row.state == HEALTH_UP && target[i].row.weight_permille == 1000;
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

/* All of its checks fail until all are down; then all pass. */
static void outage(uint64_t seed)
{
    uint32_t passes[N_MAX] = {0};
    uint64_t probes[N_MAX];
    bool all_down = false, serves = false;

    history(seed);
    quieten();
    for (uint32_t i = 0; i < pool.n; i++) {
        mood[i].chance = 0;
        mood[i].outcome = OUTCOME_FAIL;
    }
    for (int step = 0; step < 4000 && !all_down; step++) {
        now += STEP_MS;
        all_down = true;
        for (uint32_t i = 0; i < pool.n; i++) {
            check(i, false);
            all_down &= target[i].row.state == HEALTH_DOWN;
        }
        look();
    }
    if (!all_down)
        broken("all checks fail, but not all are down");
    for (uint32_t i = 0; i < pool.n; i++)
        probes[i] = target[i].row.probes - target[i].row.failures;
    for (int step = 0; step < 200 && !serves; step++) {
        now += 50;
        for (uint32_t i = 0; i < pool.n; i++) {
            check(i, true);
            passes[i] = (uint32_t)(target[i].row.probes - target[i].row.failures - probes[i]);
            serves |= backend_health_serves(&target[i]);
        }
        look();
        for (uint32_t i = 0; i < pool.n && !serves; i++)
            if (passes[i] > conf.check.rise)
                broken("backend %u: %u checks passed after an outage, and nobody serves", i,
                       passes[i]);
    }
    if (!serves)
        broken("an outage is over, and nobody serves");
}

static void run(uint64_t seed)
{
    enum quiet quiet = (enum quiet)(seed % QUIETS);
    uint64_t first, took;

    wrong = NULL;
    digest = 0;
    if (seed % 8 == 7) {
        outage(seed);
        return;
    }
    if (!ends(seed, quiet, &took))
        broken("not all are up after %.1f s while %s", (double)took / 1000, quiet_name[quiet]);
    if (seed % 16 || wrong)
        return;
    first = digest;
    digest = 0;
    ends(seed, quiet, &took);
    if (digest != first)
        broken("the same inputs, other verdicts");
}

static void show(uint64_t seed)
{
    printf("health: seed %" PRIu64 ": %s (settings: failures %u, time %u, max_time %u, "
           "min_healthy %u, rise %u; %u backends)\n",
           seed, wrong, conf.eject.failures, conf.eject.time_ms, conf.eject.max_ms,
           conf.min_healthy, conf.check.rise, pool.n);
    for (uint32_t i = 0; i < pool.n && i < N_FEW; i++)
        printf("  %u: %s, cause %u, weight %u: %s\n", i, health_state_name(target[i].row.state),
               target[i].row.cause, target[i].row.weight_permille, target[i].row.reason);
}

static void map_table(void)
{
    struct child_row worker = {.kind = KIND_WORKER, .state = CHILD_RUNNING, .incarnation = 7};

    table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED)
        abort();
    child_publish(&table->child[0], &worker);
    atomic_store(&table->worker[0].incarnation, 7);
    observed_look(&live, table);
}

/* The histories must reach what is to be left. */
static uint64_t reached[HEALTH_STATES], causes[CAUSE_EJECTED + 1];

static void count_reached(void)
{
    for (uint32_t i = 0; i < pool.n; i++) {
        reached[target[i].row.state]++;
        causes[target[i].row.cause]++;
    }
}

static bool all_reached(void)
{
    bool all = true;

    for (int i = HEALTH_UP; i < HEALTH_STATES; i++)
        all &= reached[i] > 0;
    for (int i = CAUSE_SATURATED; i <= CAUSE_EJECTED; i++)
        all &= causes[i] > 0;
    return all;
}

int main(int argc, char **argv)
{
    uint64_t n = 100000, seed = 1, bad = 0, done = 0, all = 0;
    clock_t seconds = SECONDS;

    for (int c; (c = getopt(argc, argv, "n:s:t:v")) != -1;)
        switch (c) {
        case 'n':
            n = strtoull(optarg, NULL, 10);
            break;
        case 's':
            seed = strtoull(optarg, NULL, 10);
            break;
        case 't':
            seconds = (clock_t)strtoul(optarg, NULL, 10);
            break;
        case 'v':
            verbose = true;
            break;
        default:
            fprintf(stderr, "usage: health [-n HISTORIES] [-s SEED] [-t SECONDS] [-v]\n");
            return 2;
        }
    log_init(verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "healthd");
    map_table();
    for (; done < n && bad < 10 && (!seconds || clock() < seconds * CLOCKS_PER_SEC); done++) {
        run(seed + done);
        all = (all ^ digest) * UINT64_C(1099511628211);
        if (wrong) {
            bad++;
            show(seed + done);
        }
        if (done < 500 && n > 1) {
            history(seed + done);
            count_reached();
        }
    }
    if (done >= 500 && !all_reached()) {
        printf("health: the histories do not reach every state\n");
        bad++;
    }
    printf("health: %" PRIu64 " histories from seed %" PRIu64 ": %s (verdicts %016" PRIx64
           ")\n",
           done, seed, bad ? "FAILED" : "good", all);
    return bad ? 1 : 0;
}
