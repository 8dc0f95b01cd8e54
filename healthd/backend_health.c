#include "healthd/backend_health.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "base/str.h"

/* HealthScanner scores: below LOW it becomes DEGRADED, until it reaches HEALTHY. */
enum { SCORE_FULL = 1000, SCORE_LOW = 700, SCORE_HEALTHY = 800 };

/* A probe's timeout together with unanswered requests is a hang only after this much silence:
 * with short timeouts that takes several probes. */
enum { HANG_PROBE_MS = 2000 };

/* Probe and workers saw the same fault if their failures are no further apart than this. */
enum { AGREE_MS = 5000 };

void backend_health_publish(struct backend_health *w)
{
    health_publish(&w->table->health[w->slot], &w->row);
}

bool backend_health_serves(const struct backend_health *w)
{
    return health_serves(w->row.state);
}

bool backend_health_is_healthy(const struct backend_health *w)
{
    return (w->row.state == HEALTH_UP || w->row.state == HEALTH_DEGRADED) &&
           w->override == ADMIN_READY &&
           (w->heal == RECOVERY_NONE || w->heal == RECOVERY_SLOWSTART ||
            w->heal == RECOVERY_HOLD);
}

bool backend_health_lively(const struct backend_health *w)
{
    return w->seen.unanswered > 0 || w->row.state == HEALTH_SUSPECT ||
           w->row.state == HEALTH_PROBATION || w->row.state == HEALTH_EJECTED ||
           (w->heal != RECOVERY_NONE && w->heal != RECOVERY_HOLD);
}

static struct health_fsm_rules rules_of(const struct backend_health *w, uint64_t now_ms)
{
    return (struct health_fsm_rules){
        .rise = w->pool->check.rise,
        .fall = w->pool->check.fall,
        .held = w->heal == RECOVERY_RESTARTING ||
                (w->row.state == HEALTH_EJECTED && now_ms < w->row.eject_until_ms),
        .alone = w->alone,
        .unlike = w->score.unlike,
        .failing = w->failing,
    };
}

/* Requests that were unanswered before this moment no longer count. */
static void note_heard(struct backend_health *w)
{
    w->detached = w->seen.n.detached;
    w->probation_unanswered = w->seen.n.probation_unanswered;
}

static void begin_probation(struct backend_health *w, uint64_t now_ms)
{
    w->row.hedge_all = 0;
    w->row.hang_timeout_ms = (uint32_t)stall_hang_timeout_ms(&w->stall, now_ms);
    w->probation_ms = w->tried_ms = now_ms;
    w->before = w->seen;
    note_heard(w);
}

/* Starts slow start and probation. At the first start of the service no backend is spared. */
static void note_risen(struct backend_health *w, enum health_state from, uint64_t now_ms)
{
    enum health_state to = w->row.state;
    bool in = to == HEALTH_UP || to == HEALTH_DEGRADED;

    if (to == HEALTH_PROBATION)
        begin_probation(w, now_ms);
    else if (to != HEALTH_SUSPECT)
        w->failing = false;
    if (in && (from == HEALTH_DOWN || w->verdict.was_cause == CAUSE_EJECTED ||
               (from == HEALTH_UNKNOWN && w->newcomer)))
        w->row.risen_ms = now_ms;
    else if (health_is_out((uint8_t)to))
        w->row.risen_ms = 0;
}

static void note_weight(struct backend_health *w)
{
    bool degraded = w->row.state == HEALTH_DEGRADED;

    if (w->score.unlike)
        w->row.cause = (uint8_t)(CAUSE_5XX + w->score.kind);
    w->row.weight_permille = !degraded         ? 1000
                             : w->score.unlike ? HEALTH_UNLIKE_PERMILLE
                                               : HEALTH_SATURATED_PERMILLE;
}

/* Where it has to stay in, probation comes again and again; and where requests wait at a
 * healthy one, they may be long ones. */
static enum log_level level_of(struct backend_health *w, enum health_state from)
{
    enum health_state to = w->row.state;
    bool was_quiet = w->quiet;

    w->quiet = to == HEALTH_PROBATION && from == HEALTH_UP && w->row.cause == CAUSE_SILENT;
    if (w->quiet || (was_quiet && to == HEALTH_UP) ||
        (w->told && (to == HEALTH_PROBATION || to == HEALTH_SUSPECT)))
        return LOG_LEVEL_DEBUG;
    return health_is_out((uint8_t)to) || to == HEALTH_SUSPECT || w->score.unlike
               ? LOG_LEVEL_WARN
               : LOG_LEVEL_INFO;
}

/* Writes a verdict that just changed to the row, the history and the log. */
static void tell_change(struct backend_health *w, enum health_state from, uint64_t now_ms)
{
    enum health_state to = w->row.state;
    enum log_level level = level_of(w, from);

    note_risen(w, from, now_ms);
    if (to != HEALTH_DEGRADED)
        score_clear(&w->score, now_ms);
    note_weight(w);
    if (to != HEALTH_EJECTED)
        w->row.eject_until_ms = 0;
    /* Requests that tried it while it was out failed, as expected: that says nothing about its
     * state from here on. */
    if (health_is_out((uint8_t)from))
        eject_clear(&w->eject);
    w->was_up |= backend_health_serves(w);
    w->told &= to == HEALTH_SUSPECT || to == HEALTH_PROBATION;
    w->row.since_ms = now_ms;
    w->row.since_wall_ms = clock_wall_ms();
    history_add(&w->table->health_history[w->slot], (uint8_t)from, (uint8_t)to, "healthd",
                w->row.reason);
    log_line(level, "backend %s %s -> %s: %s", w->backend->name, health_state_name(from),
             health_state_name(to), w->row.reason);
}

/* A writer that was killed half-way left the counter odd. Its ring is complete except for the
 * entry that was never counted. */
static void mend_history(struct history *history)
{
    if (atomic_load(&history->seq.n) & 1)
        seq_write_end(&history->seq);
}

static void fresh_row(struct backend_health *w, uint64_t identity)
{
    w->row = (struct health_row){
        .state = HEALTH_UNKNOWN,
        .score_permille = SCORE_FULL,
        .weight_permille = 1000,
        .slow_ms = BACKEND_HEALTH_SLOW_MS,
        .identity = identity,
        .since_ms = clock_mono_ms(),
        .since_wall_ms = clock_wall_ms(),
        .reason = "not checked yet",
    };
    /* An address that needs no resolving is usable from the first moment. */
    w->row.has_address = probe_literal_address(&w->row.address, w->backend);
}

static bool ever_up(const struct history *history)
{
    struct transition ring[TABLE_HISTORY];
    int n = history_read(history, ring);

    for (int i = 0; i < n; i++)
        if (ring[i].to == HEALTH_UP || ring[i].from == HEALTH_UP)
            return true;
    return false;
}

static struct stall_view view_of(const struct observed *now)
{
    return (struct stall_view){now->responses, now->unanswered, now->oldest_ms};
}

void backend_health_init(struct backend_health *w, struct table *table, int slot,
                         const struct conf_backend *backend, const struct conf_pool *pool,
                         bool reloaded, uint64_t due_ms)
{
    struct observed_live live;
    struct backend_row supervisors = {0};
    struct admin_row admin;
    uint64_t now = clock_mono_ms();

    *w =
        (struct backend_health){.backend = backend, .pool = pool, .table = table, .slot = slot};
    w->due_ms = due_ms;
    w->verdict.row = &w->row;
    mend_history(&table->health_history[slot]);
    backend_read(&table->backend[slot], &supervisors);
    if (health_read(&table->health[slot], &w->row) && w->row.identity == supervisors.identity &&
        w->row.since_ms != 0 && w->row.state < HEALTH_STATES) {
        w->was_up = backend_health_serves(w) || ever_up(&table->health_history[slot]);
    } else {
        fresh_row(w, supervisors.identity);
        w->newcomer = reloaded;
    }
    score_clear(&w->score, now);
    if (w->row.cause >= CAUSE_5XX && w->row.cause <= CAUSE_SLOW)
        score_adopt(&w->score, w->row.cause - CAUSE_5XX, now);
    w->row.reason[sizeof w->row.reason - 1] = '\0';
    backend_health_publish(w);

    /* A restart during which the predecessor kept the backend DOWN continues; one that the
     * predecessor did not see, because it died before, is handled anew. */
    if (admin_read(&table->admin[slot], &admin) && admin.heal != RECOVERY_RESTARTING &&
        (admin.heal != RECOVERY_VERIFYING || w->row.state == HEALTH_DOWN)) {
        w->override = admin.override;
        w->heal = admin.heal;
    }
    observed_look(&live, table);
    w->seen = w->at_start = w->at_end = w->before = observed_sum(&live, table, slot);
    w->decay_ms = w->probation_ms = w->tried_ms = now;
    note_heard(w);
    struct stall_view view = view_of(&w->seen);
    stall_init(&w->stall, &view, now);
}

void backend_health_started(struct backend_health *w, const struct observed_live *live,
                            uint64_t now_ms)
{
    w->running = true;
    w->started_ms = now_ms;
    w->at_start = observed_sum(live, w->table, w->slot);
}

/* Where workers connect: the address that passed. While the backend is DOWN, or before any
 * address passed, the one that was tried: better than none if a pool has nothing else. */
static bool take_address(struct backend_health *w, const struct probe_result *result)
{
    if (!result->has_address)
        return false;
    if (result->outcome != OUTCOME_PASS && w->row.has_address && !health_is_out(w->row.state))
        return false;
    if (w->row.has_address &&
        memcmp(&w->row.address, &result->address, sizeof result->address) == 0)
        return false;
    w->row.has_address = 1;
    w->row.address = result->address;
    return true;
}

static void note_probe(struct backend_health *w, const struct probe_result *result)
{
    bool passed = result->outcome == OUTCOME_PASS;

    w->row.probe_wall_ms = clock_wall_ms() - result->took_us / 1000;
    w->row.probe_us = result->took_us;
    w->row.probe_ok = passed;
    w->row.silent = result->outcome == OUTCOME_TIMEOUT;
    w->row.probes++;
    w->row.failures += !passed;
    w->row.score_permille = result->score_permille;
    snprintf(w->row.probe_text, sizeof w->row.probe_text, "%s", result->text);
}

/* Did it give 5xx that the other backends do not give? A single failed probe agrees with that.
 */
static bool fails_alone(const struct backend_health *w)
{
    return w->score.unlike && w->score.kind == SCORE_5XX;
}

/* Do the workers see what the probes find? Then fewer failed probes are enough. */
static bool agree(struct backend_health *w, uint64_t now_ms)
{
    const struct health_fsm_rules rules = rules_of(w, now_ms);
    uint32_t enough, timeout = w->pool->check.timeout_ms;
    char text[TABLE_REASON];
    uint64_t silent = stall_ms(&w->stall, now_ms), waiting = stall_waiting(&w->stall);

    if (w->row.fall == 0)
        return false;
    if (w->outcome == OUTCOME_TIMEOUT) {
        if (silent < stall_hang_timeout_ms(&w->stall, now_ms))
            return false;
        enough = timeout < HANG_PROBE_MS ? (HANG_PROBE_MS + timeout - 1) / timeout : 1;
        snprintf(text, sizeof text,
                 "%.60s, and %llu waiting request%s got no response for %.1f s",
                 w->row.probe_text, (unsigned long long)waiting, str_plural(waiting),
                 (double)silent / 1000);
    } else if ((w->outcome == OUTCOME_FAIL || w->outcome == OUTCOME_NO_NAME) &&
               (fails_alone(w) ||
                (w->bad_ms >= w->good_ms && w->bad_ms && now_ms - w->bad_ms < AGREE_MS))) {
        enough = fails_alone(w) ? 1 : 2;
        snprintf(text, sizeof text, "%.100s, and requests fail too", w->row.probe_text);
    } else {
        return false;
    }
    return health_fsm_agree(&w->verdict, &rules, enough, text);
}

/* A backend known to be slow completes few requests while a probe waits: a response within the
 * time that it needs, counted back from now, is proof too. */
static uint64_t responses_late(const struct backend_health *w, uint64_t now_ms)
{
    uint64_t sign = stall_sign_ms(&w->stall, now_ms);

    return sign > STALL_SIGN_MS && w->good_ms && now_ms - w->good_ms < sign;
}

static void backend_health_judge(struct backend_health *w, const struct observed *now,
                                 const struct probe_result *result, uint64_t now_ms)
{
    const struct health_fsm_rules rules = rules_of(w, now_ms);
    struct observed meanwhile = observed_since(now, &w->at_start);
    struct observed since = observed_since(now, &w->at_end);
    struct probe_evidence evidence = {
        .outcome = result->outcome,
        .text = result->text,
        .completed = meanwhile.responses + responses_late(w, now_ms),
        .completed_since = since.responses,
        .signs = w->trouble,
        .low = result->score_permille <
               (w->row.state == HEALTH_DEGRADED ? SCORE_HEALTHY : SCORE_LOW),
    };
    enum health_state from = w->row.state;

    if (result->outcome == OUTCOME_PASS) {
        stall_acknowledge(&w->stall, w->started_ms);
        w->passed_ms = w->started_ms;
    }
    health_fsm_probe(&w->verdict, &rules, &evidence);
    if (from == HEALTH_DOWN && w->row.state == HEALTH_DEGRADED)
        stall_learn(&w->stall, now_ms);
    agree(w, now_ms);
    if (w->row.state != from)
        tell_change(w, from, now_ms);
}

bool backend_health_ended(struct backend_health *w, const struct observed_live *live,
                          const struct probe_result *result, struct schedule *schedule,
                          uint64_t now_ms)
{
    struct observed now = observed_sum(live, w->table, w->slot);
    enum health_state from = w->row.state;
    bool moved = take_address(w, result);

    w->running = false;
    w->outcome = result->outcome;
    note_probe(w, result);
    /* A result from before its restart says nothing about the backend now. */
    if (!w->stale && w->heal != RECOVERY_RESTARTING)
        backend_health_judge(w, &now, result, now_ms);
    backend_health_publish(w);

    w->due_ms = w->started_ms +
                schedule_next_ms(schedule, &w->pool->check, &w->row, w->judged, w->alone);
    if (w->heal == RECOVERY_VERIFYING &&
        w->due_ms > w->started_ms + w->pool->check.fast_interval_ms)
        w->due_ms = w->started_ms + w->pool->check.fast_interval_ms;
    if (w->urgent || w->stale || w->due_ms < now_ms + SCHEDULE_GAP_MS)
        w->due_ms = now_ms + SCHEDULE_GAP_MS;
    w->at_end = now;
    w->trouble = w->urgent = w->stale = false;
    w->judged = true;
    return w->row.state != from || moved;
}

/* Trouble calls for a probe at once, but a backend whose probes pass is not probed more often
 * than a SUSPECT one: each ping costs it an ABL session. */
static void hurry(struct backend_health *w, bool changed, uint64_t now_ms)
{
    uint64_t rest =
        changed || w->row.fall > 0 ? SCHEDULE_SIGN_MS : w->pool->check.fast_interval_ms;
    uint64_t due = w->started_ms + rest;

    if (w->running)
        w->urgent |= changed;
    else if (due < w->due_ms)
        w->due_ms = due > now_ms ? due : now_ms;
}

/* Failures: a reason for suspicion, and for a probe. */
static void look_for_failures(struct backend_health *w, const struct observed *added,
                              uint64_t now_ms)
{
    char text[TABLE_REASON];
    bool changed = false;

    if (!observed_trouble(added))
        return;
    if (observed_bad(added)) {
        w->bad_ms = now_ms;
        w->trouble = true;
        observed_tell(added, text);
        changed = health_fsm_sign(&w->verdict, text);
        w->failing |= w->row.state == HEALTH_SUSPECT && w->pool->eject.failures > 0;
    }
    hurry(w, changed, now_ms);
}

/* Silence: a reason for a probe; and for suspicion unless a single request waits, which
 * may well be a long one. */
static void look_for_silence(struct backend_health *w, uint64_t now_ms)
{
    unsigned long long waiting = stall_waiting(&w->stall);
    uint64_t silent = stall_ms(&w->stall, now_ms);
    char text[TABLE_REASON];

    if (silent < stall_sign_ms(&w->stall, now_ms)) {
        /* The backend is known to be slow: a check still shows whether it hangs. */
        if (silent >= STALL_HANG_MS && !w->running)
            hurry(w, false, now_ms);
        return;
    }
    if (waiting > 1) {
        snprintf(text, sizeof text, "%llu requests wait without a response for %.1f s", waiting,
                 (double)silent / 1000);
        health_fsm_sign(&w->verdict, text);
    }
    if (!w->running)
        hurry(w, true, now_ms);
}

/* On probation it was given less time than it needs. true: the row must be published. */
static bool grant_time(struct backend_health *w, uint64_t now_ms)
{
    uint64_t ms = stall_probation_ms(&w->stall, now_ms);

    if (w->row.state != HEALTH_PROBATION || ms <= w->row.hang_timeout_ms)
        return false;
    w->row.hang_timeout_ms = (uint32_t)ms;
    return true;
}

bool backend_health_look(struct backend_health *w, const struct observed_live *live,
                         uint64_t min_waiting, struct observed *added, uint64_t now_ms)
{
    struct observed now = observed_sum(live, w->table, w->slot);
    enum health_state from = w->row.state;
    struct stall_view view = view_of(&now);
    bool responded, granted;

    *added = observed_since(&now, &w->seen);
    w->seen = now;
    if (added->responses) {
        w->good_ms = now_ms;
        note_heard(w);
    }
    if (added->responses || added->n.detached)
        w->tried_ms = now_ms;
    eject_feed(&w->eject, &w->pool->eject,
               &(struct eject_counts){observed_hard(added), added->n.completed,
                                      added->n.gateway_errors},
               now.worker_in_row, now_ms);
    responded = stall_feed(&w->stall, &view, min_waiting, now_ms);
    if (!backend_health_serves(w))
        return false;
    if (responded)
        stall_learn(&w->stall, now_ms);
    granted = responded && grant_time(w, now_ms);
    look_for_failures(w, added, now_ms);
    look_for_silence(w, now_ms);
    agree(w, now_ms);
    if (w->row.state != from)
        tell_change(w, from, now_ms);
    else if (!granted)
        return false;
    backend_health_publish(w);
    return true;
}

void backend_health_compare(struct backend_health *w, const char *text, uint64_t now_ms)
{
    enum health_state from = w->row.state;
    char reason[TABLE_REASON];

    if (!w->score.unlike) {
        backend_health_force(w, HEALTH_UP, text, now_ms);
        return;
    }
    snprintf(reason, sizeof reason, "%.120s; weight reduced to %d %%", text,
             HEALTH_UNLIKE_PERMILLE / 10);
    health_fsm_force(&w->verdict, HEALTH_DEGRADED, reason);
    hurry(w, true, now_ms);
    tell_change(w, from, now_ms);
    backend_health_publish(w);
}

void backend_health_force(struct backend_health *w, enum health_state state, const char *text,
                          uint64_t now_ms)
{
    enum health_state from = w->row.state;

    if (health_fsm_force(&w->verdict, state, text))
        tell_change(w, from, now_ms);
    eject_clear(&w->eject);
    w->bad_ms = 0;
    w->trouble = false;
    w->decay_ms = now_ms;
    backend_health_publish(w);
}

bool backend_health_may_try(const struct backend_health *w, uint64_t now_ms)
{
    const struct health_fsm_rules rules = rules_of(w, now_ms);

    return w->row.state == HEALTH_SUSPECT && w->failing &&
           health_fsm_risen(&w->verdict, &rules);
}

void backend_health_try(struct backend_health *w, enum health_cause cause, const char *text,
                        uint64_t now_ms)
{
    enum health_state from = w->row.state;

    health_fsm_force(&w->verdict, HEALTH_PROBATION, text);
    w->row.cause = (uint8_t)cause;
    tell_change(w, from, now_ms);
    backend_health_publish(w);
}

bool backend_health_release(struct backend_health *w, uint64_t now_ms)
{
    const struct health_fsm_rules rules = rules_of(w, now_ms);

    if (!health_fsm_release(&w->verdict, &rules))
        return false;
    tell_change(w, HEALTH_EJECTED, now_ms);
    backend_health_publish(w);
    return true;
}

void backend_health_forget(struct table *table, int slot)
{
    struct health_row row;

    mend_history(&table->health_history[slot]);
    if (health_read(&table->health[slot], &row) && row.identity == 0 && row.since_ms == 0)
        return;
    row = (struct health_row){.state = HEALTH_UNKNOWN};
    health_publish(&table->health[slot], &row);
}
