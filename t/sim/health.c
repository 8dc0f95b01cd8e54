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
#include "healthd/restart_request.h"
#include "t/sim/health_world.h"

enum {
    STEP_MS = 500, /* of the quiet time after a history */
    SECONDS = 20,  /* of CPU time for all histories, as many as fit; -t 0: no limit */
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

static uint64_t digest;
static bool verbose;
static const char *wrong; /* the first thing that did not hold; NULL: all held */
static char wrong_text[256];

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
    outlier_look(&pool, now);
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
    uint64_t passes = (uint64_t)(conf.check.rise << BACKEND_HEALTH_PENALTY) + 1;
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
