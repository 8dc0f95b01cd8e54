#include "healthd/backend_health.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "base/str.h"
#include "healthd/check/http_check.h"

/* HealthScanner scores: below LOW it becomes DEGRADED, until it reaches HEALTHY. */
enum { SCORE_LOW = 700, SCORE_HEALTHY = 800 };

/* A probe's timeout together with unanswered requests is a hang only after this much silence:
 * with short timeouts that takes several probes. */
enum { HANG_PROBE_MS = 2000 };

/* Probe and workers saw the same fault if their failures are no further apart than this. */
enum { AGREE_MS = 5000 };

bool backend_health_serves(const struct backend_health *w)
{
    return health_serves(w->row.state);
}

static bool is_up(uint8_t state)
{
    return state == HEALTH_UP || state == HEALTH_DEGRADED;
}

bool backend_health_is_healthy(const struct backend_health *w)
{
    return is_up(w->row.state) && w->override == ADMIN_READY &&
           (w->heal == RECOVERY_NONE || w->heal >= RECOVERY_SLOWSTART);
}

bool backend_health_is_lively(const struct backend_health *w)
{
    return w->seen.unanswered > 0 || w->row.state == HEALTH_SUSPECT ||
           w->row.state == HEALTH_PROBATION || w->row.state == HEALTH_EJECTED ||
           (w->heal != RECOVERY_NONE && w->heal != RECOVERY_HOLD);
}

bool backend_health_is_kept(const struct backend_health *w, uint64_t now_ms)
{
    return w->kept_ms && now_ms < w->kept_ms + w->pool->conf->eject.time_ms;
}

/* Does no other backend of the pool serve? Then clients wait for this one. */
static bool is_alone(const struct backend_health *w)
{
    for (uint32_t i = 0; i < w->pool->n; i++) {
        const struct backend_health *o = &w->pool->target[i];

        if (o != w && backend_health_serves(o) && o->override == ADMIN_READY)
            return false;
    }
    return true;
}

bool backend_health_publish(struct backend_health *w)
{
    bool news = w->news;

    w->news = false;
    health_publish(&w->table->health[w->slot], &w->row);
    return news;
}

/* ---- from state to state */

static uint16_t weight_of(enum health_cause cause)
{
    if (cause == CAUSE_NONE || cause > CAUSE_SLOW)
        return 1000;
    return cause < CAUSE_5XX ? HEALTH_SATURATED_PERMILLE : HEALTH_UNLIKE_PERMILLE;
}

/* Where it has to stay in, probation comes again and again; and where requests wait at a
 * healthy one, they may be long ones. */
static enum log_level level_of(struct backend_health *w, enum health_state from,
                               uint64_t now_ms)
{
    enum health_state to = w->row.state;
    bool was_quiet = w->quiet,
         kept = w->kept_ms && now_ms < w->kept_ms + w->pool->conf->eject.time_ms;

    w->quiet = from == HEALTH_UP && w->row.cause == CAUSE_SILENT;
    if (w->quiet || (was_quiet && to == HEALTH_UP) ||
        (kept && (to == HEALTH_SUSPECT || to == HEALTH_PROBATION)))
        return LOG_LEVEL_DEBUG;
    return to == HEALTH_UP || to == HEALTH_PROBATION ||
                   w->row.weight_permille == HEALTH_SATURATED_PERMILLE
               ? LOG_LEVEL_INFO
               : LOG_LEVEL_WARN;
}

/* Where to start slow start. At the first start of the service no backend is spared. */
static void note_risen(struct backend_health *w, enum health_state from, bool was_ejected,
                       uint64_t now_ms)
{
    if (is_up(w->row.state) &&
        (from == HEALTH_DOWN || was_ejected || (from == HEALTH_UNKNOWN && w->newcomer)))
        w->row.risen_ms = now_ms;
    else if (health_is_out(w->row.state))
        w->row.risen_ms = 0;
}

/* What was seen in another state says nothing about this one. In an outage, for example, all
 * requests that tried a backend failed, as expected. */
static void forget_the_past(struct backend_health *w, enum health_state from, uint64_t now_ms)
{
    enum health_state to = w->row.state;

    w->row.rise = 0;
    if (to != HEALTH_EJECTED)
        w->row.eject_until_ms = 0;
    if (to != HEALTH_DEGRADED)
        score_clear(&w->score, &w->seen, now_ms);
    if (to == HEALTH_PROBATION)
        w->probation = (struct probation){.began_ms = now_ms, .tried_ms = now_ms};
    if (to == HEALTH_UP || health_is_out((uint8_t)to) || health_is_out((uint8_t)from)) {
        evidence_clear_failures(&w->seen);
        w->bad_ms = 0;
    }
}

void backend_health_turn(struct backend_health *w, enum health_state to,
                         enum health_cause cause, const char *text, uint64_t now_ms)
{
    struct health_row *row = &w->row;
    enum health_state from = row->state;
    bool was_ejected = row->cause == CAUSE_EJECTED;

    w->news = true;
    snprintf(row->reason, sizeof row->reason, "%s", text);
    if (from == to && to != HEALTH_DEGRADED)
        return;
    row->state = (uint8_t)to;
    row->cause = (uint8_t)cause;
    row->weight_permille = weight_of(cause);
    row->since_ms = now_ms;
    row->since_wall_ms = clock_wall_ms();
    row->was_up |= backend_health_serves(w);
    if (to == HEALTH_UP)
        row->fall = 0;
    /* If it only just came back, more passes are required for the next return. */
    if (is_up((uint8_t)from) && (to == HEALTH_SUSPECT || to == HEALTH_DOWN)) {
        w->penalty = w->penalty_ttl ? w->penalty + (w->penalty < BACKEND_HEALTH_PENALTY) : 0;
        w->penalty_ttl = BACKEND_HEALTH_PENALTY_TTL;
    }
    if (to == HEALTH_PROBATION) {
        row->hedge_all = 0;
        row->hang_timeout_ms = (uint32_t)evidence_hang_ms(&w->seen, now_ms);
    }
    note_risen(w, from, was_ejected, now_ms);
    forget_the_past(w, from, now_ms);
    history_add(&w->table->health_history[w->slot], (uint8_t)from, (uint8_t)to, "healthd",
                row->reason);
    log_line(level_of(w, from, now_ms), "backend %s %s -> %s: %s", w->backend->name,
             health_state_name(from), health_state_name(to), row->reason);
}

/* ---- start */

void backend_health_init(struct backend_health *w, struct table *table, int slot,
                         const struct conf_backend *backend, struct pool_health *pool,
                         bool reloaded, uint64_t now_ms)
{
    struct backend_row supervisors = {0};
    struct admin_row admin;

    *w = (struct backend_health){
        .backend = backend, .pool = pool, .table = table, .slot = slot, .decay_ms = now_ms};
    history_mend(&table->health_history[slot]);
    backend_read(&table->backend[slot], &supervisors);
    if (!health_read(&table->health[slot], &w->row) ||
        w->row.identity != supervisors.identity || w->row.since_ms == 0 ||
        w->row.state >= HEALTH_STATES) {
        w->newcomer = reloaded;
        w->row = (struct health_row){
            .state = HEALTH_UNKNOWN,
            .score_permille = HTTP_CHECK_SCORE_FULL,
            .weight_permille = 1000,
            .slow_ms = BACKEND_HEALTH_SLOW_MS,
            .identity = supervisors.identity,
            .since_ms = now_ms,
            .since_wall_ms = clock_wall_ms(),
            .reason = "not checked yet",
        };
        /* An address that needs no resolving is usable from the first moment. */
        w->row.has_address = probe_literal_address(&w->row.address, backend);
    }
    evidence_init(&w->seen, table, slot, now_ms);
    score_clear(&w->score, &w->seen, now_ms);
    if (weight_of(w->row.cause) == HEALTH_UNLIKE_PERMILLE)
        score_adopt(&w->score, w->row.cause - CAUSE_5XX + EVIDENCE_5XX, now_ms);
    w->probation = (struct probation){.began_ms = now_ms, .tried_ms = now_ms};
    backend_health_publish(w);

    /* A restart during which the predecessor kept the backend DOWN continues; one that the
     * predecessor did not see, because it died before, is handled anew. */
    if (admin_read(&table->admin[slot], &admin) && admin.heal != RECOVERY_RESTARTING &&
        (admin.heal != RECOVERY_VERIFYING || w->row.state == HEALTH_DOWN)) {
        w->override = admin.override;
        w->heal = admin.heal;
    }
}

void backend_health_forget(struct table *table, int slot)
{
    struct health_row row;

    history_mend(&table->health_history[slot]);
    if (health_read(&table->health[slot], &row) && row.identity == 0 && row.since_ms == 0)
        return;
    health_publish(&table->health[slot], &(struct health_row){.state = HEALTH_UNKNOWN});
}

/* ---- what a probe found */

static uint32_t passes_needed(const struct backend_health *w)
{
    uint32_t rise = w->pool->conf->check.rise;

    if (w->row.state == HEALTH_UNKNOWN)
        return 1;
    return w->row.state == HEALTH_SUSPECT || (w->row.state == HEALTH_DOWN && !is_alone(w))
               ? rise << w->penalty
               : rise;
}

bool backend_health_has_risen(const struct backend_health *w)
{
    return w->row.rise >= passes_needed(w);
}

/* Can only requests show that it is healthy, because requests had failed? */
static bool is_up_to_requests(const struct backend_health *w)
{
    return w->row.state == HEALTH_PROBATION ||
           (w->row.state == HEALTH_SUSPECT && w->row.cause == CAUSE_FAILED);
}

static void turn_after(struct backend_health *w, enum health_state to, unsigned n,
                       const char *what, const char *text, uint64_t now_ms)
{
    char reason[TABLE_REASON];

    snprintf(reason, sizeof reason, "%u checks %s: %.120s", n, what, text);
    backend_health_turn(w, to, CAUSE_NONE, n == 1 ? text : reason, now_ms);
}

static void note_pass(struct backend_health *w, const struct probe_result *result,
                      uint64_t now_ms)
{
    struct health_row *row = &w->row;
    bool low =
        result->score_permille < (row->state == HEALTH_DEGRADED ? SCORE_HEALTHY : SCORE_LOW);

    w->passed_ms = w->started_ms;
    row->fall = 0;
    /* Others tell more than this check. */
    if ((row->state == HEALTH_SUSPECT && w->trouble) ||
        (row->state == HEALTH_DEGRADED && (low || w->score.kind))) {
        row->rise = 0;
        return;
    }
    if (!backend_health_has_risen(w))
        row->rise++;
    if (row->state == HEALTH_UP) {
        w->penalty_ttl -= w->penalty_ttl > 0;
        if (low)
            backend_health_turn(w, HEALTH_DEGRADED, CAUSE_SCORE, result->text, now_ms);
    } else if (backend_health_has_risen(w) && !is_up_to_requests(w) &&
               row->state != HEALTH_EJECTED) {
        turn_after(w, HEALTH_UP, row->rise, "passed", result->text, now_ms);
    }
}

static void note_failure(struct backend_health *w, const struct probe_result *result,
                         uint64_t now_ms)
{
    struct health_row *row = &w->row;
    uint32_t fall = w->pool->conf->check.fall;
    char text[TABLE_REASON];

    row->rise = 0;
    row->fall += row->fall < fall;
    if (w->score.kind == EVIDENCE_5XX && result->outcome != OUTCOME_TIMEOUT) {
        snprintf(text, sizeof text, "%.100s, and requests fail too", result->text);
        backend_health_turn(w, HEALTH_DOWN, CAUSE_NONE, text, now_ms);
    } else if (backend_health_serves(w) && row->fall >= fall) {
        turn_after(w, HEALTH_DOWN, row->fall, "failed", result->text, now_ms);
    } else if (is_up(row->state)) {
        backend_health_turn(w, HEALTH_SUSPECT, CAUSE_NONE, result->text, now_ms);
    } else if (row->state == HEALTH_UNKNOWN || row->state == HEALTH_EJECTED) {
        backend_health_turn(w, HEALTH_DOWN, CAUSE_NONE, result->text, now_ms);
    }
}

/* The probe timed out while responses arrived: slow is not dead. */
static void note_alive(struct backend_health *w, const char *text, uint64_t now_ms)
{
    char reason[TABLE_REASON];

    w->row.rise = w->row.fall = 0;
    if (is_up_to_requests(w)) {
        w->row.rise = (uint16_t)passes_needed(w);
        return;
    }
    if (w->row.state == HEALTH_DEGRADED)
        return;
    evidence_learn(&w->seen, now_ms);
    snprintf(reason, sizeof reason, "%.120s, but requests complete", text);
    backend_health_turn(w, HEALTH_DEGRADED, CAUSE_SATURATED, reason, now_ms);
}

/* Did responses arrive while the probe waited? Of a backend that is known to be slow, one
 * within the time that it needs is proof too. */
static bool is_alive(const struct backend_health *w, uint64_t now_ms)
{
    uint64_t sign_ms = evidence_sign_ms(&w->seen, now_ms);

    return w->seen.good_ms > w->started_ms || (sign_ms > EVIDENCE_SIGN_MS && w->seen.good_ms &&
                                               now_ms - w->seen.good_ms < sign_ms);
}

static void backend_health_judge(struct backend_health *w, const struct probe_result *result,
                                 uint64_t now_ms)
{
    bool serves = backend_health_serves(w);
    /* What was taken for hung, because workers saw the same, may only be slow. */
    bool may_live = serves || (w->row.state == HEALTH_DOWN && w->row.cause == CAUSE_FAILED);

    if (result->outcome == OUTCOME_PASS)
        note_pass(w, result, now_ms);
    else if (result->outcome == OUTCOME_TIMEOUT && may_live && is_alive(w, now_ms))
        note_alive(w, result->text, now_ms);
    /* An outage of the name server must not empty the pools. */
    else if (result->outcome == OUTCOME_NO_NAME && serves && w->seen.good_ms > w->ended_ms)
        w->row.rise = 0;
    else
        note_failure(w, result, now_ms);
}

/* Do the workers see what the last probe found? Then fewer failed probes are enough. */
static void agree(struct backend_health *w, uint64_t now_ms)
{
    const struct conf_check *check = &w->pool->conf->check;
    uint64_t silent = evidence_silence_ms(&w->seen, &w->seen.tried, now_ms);
    unsigned long long waiting = w->seen.unanswered - w->seen.tried.n;
    uint32_t enough = 2;
    char text[TABLE_REASON];

    if (!backend_health_serves(w) || w->row.fall == 0)
        return;
    if (silent > now_ms - w->passed_ms) /* it lived then */
        silent = now_ms - w->passed_ms;
    if (w->outcome == OUTCOME_TIMEOUT && silent >= evidence_hang_ms(&w->seen, now_ms)) {
        enough = (HANG_PROBE_MS + check->timeout_ms - 1) / check->timeout_ms;
        snprintf(text, sizeof text,
                 "%.60s, and %llu waiting request%s got no response for %.1f s",
                 w->row.probe_text, waiting, str_plural(waiting), (double)silent / 1000);
    } else if (w->outcome != OUTCOME_TIMEOUT && w->bad_ms && w->bad_ms >= w->seen.good_ms &&
               now_ms - w->bad_ms < AGREE_MS) {
        snprintf(text, sizeof text, "%.100s, and requests fail too", w->row.probe_text);
    } else {
        return;
    }
    if (w->row.fall < (enough < check->fall ? enough : check->fall))
        return;
    backend_health_turn(w, HEALTH_DOWN, CAUSE_FAILED, text, now_ms);
}

/* Where workers connect: the address that passed. While the backend is DOWN, or before any
 * address passed, the one that was tried: better than none if a pool has nothing else. */
static void take_address(struct backend_health *w, const struct probe_result *result)
{
    struct health_row *row = &w->row;

    if (!result->has_address ||
        (result->outcome != OUTCOME_PASS && row->has_address && !health_is_out(row->state)))
        return;
    w->news |= !row->has_address ||
               memcmp(&row->address, &result->address, sizeof result->address) != 0;
    row->has_address = 1;
    row->address = result->address;
}

static void note_probe(struct backend_health *w, const struct probe_result *result)
{
    struct health_row *row = &w->row;
    bool passed = result->outcome == OUTCOME_PASS;

    w->outcome = result->outcome;
    row->probe_wall_ms = clock_wall_ms() - result->took_us / 1000;
    row->probe_us = result->took_us;
    row->probe_ok = passed;
    row->silent = result->outcome == OUTCOME_TIMEOUT;
    row->probes++;
    row->failures += !passed;
    row->score_permille = result->score_permille;
    snprintf(row->probe_text, sizeof row->probe_text, "%s", result->text);
}

bool backend_health_started(struct backend_health *w, uint64_t now_ms)
{
    backend_health_look(w, now_ms);
    w->running = true;
    w->started_ms = now_ms;
    return w->news && backend_health_publish(w);
}

bool backend_health_ended(struct backend_health *w, const struct probe_result *result,
                          unsigned *seed, uint64_t now_ms)
{
    const struct conf_check *check = &w->pool->conf->check;
    uint64_t next_ms;

    backend_health_look(w, now_ms);
    w->running = false;
    take_address(w, result);
    note_probe(w, result);
    /* A result from before its restart says nothing about the backend now. */
    if (!w->stale && w->heal != RECOVERY_RESTARTING) {
        backend_health_judge(w, result, now_ms);
        agree(w, now_ms);
    }
    next_ms = schedule_next_ms(seed, check, &w->row, w->judged, is_alone(w));
    if (w->heal == RECOVERY_VERIFYING && next_ms > check->fast_interval_ms)
        next_ms = check->fast_interval_ms;
    w->due_ms = w->started_ms + next_ms;
    if (w->urgent || w->stale || w->due_ms < now_ms + SCHEDULE_GAP_MS)
        w->due_ms = now_ms + SCHEDULE_GAP_MS;
    w->ended_ms = now_ms;
    w->trouble = w->urgent = w->stale = false;
    w->judged = true;
    return backend_health_publish(w);
}

/* ---- what the workers saw */

/* Trouble calls for a probe at once, but a backend whose probes pass is not probed more often
 * than a SUSPECT one: each ping costs it an ABL session. */
void backend_health_hurry(struct backend_health *w, bool changed, uint64_t now_ms)
{
    uint64_t rest =
        changed || w->row.fall > 0 ? SCHEDULE_SIGN_MS : w->pool->conf->check.fast_interval_ms;
    uint64_t due = w->started_ms + rest;

    if (w->running)
        w->urgent |= changed;
    else if (due < w->due_ms)
        w->due_ms = due > now_ms ? due : now_ms;
}

/* Failures: a reason for suspicion, and for a probe. Where they may lead to an ejection,
 * passing checks do not disprove them. */
static void look_for_failures(struct backend_health *w, uint64_t now_ms)
{
    enum health_cause cause = w->pool->conf->eject.failures ? CAUSE_FAILED : CAUSE_NONE;
    bool changed = false;
    char text[TABLE_REASON];

    if (!evidence_trouble(&w->seen))
        return;
    if (evidence_bad(&w->seen, text)) {
        w->bad_ms = now_ms;
        w->trouble = true;
        changed = is_up(w->row.state);
        if (changed)
            backend_health_turn(w, HEALTH_SUSPECT, cause, text, now_ms);
        else if (w->row.state == HEALTH_SUSPECT)
            w->row.cause = (uint8_t)cause;
    }
    backend_health_hurry(w, changed, now_ms);
}

/* Silence: a reason for a probe; and for suspicion unless a single request waits, which may
 * well be a long one. A check that passed meanwhile answers for them. */
static void look_for_silence(struct backend_health *w, uint64_t now_ms)
{
    unsigned long long waiting = w->seen.unanswered - w->seen.tried.n;
    uint64_t silent = evidence_silence_ms(&w->seen, &w->seen.tried, now_ms);
    char text[TABLE_REASON];

    if (silent < evidence_sign_ms(&w->seen, now_ms) ||
        w->passed_ms > now_ms - silent + EVIDENCE_SIGN_MS / 2)
        return;
    if (waiting > 1 && is_up(w->row.state)) {
        snprintf(text, sizeof text, "%llu requests wait without a response for %.1f s", waiting,
                 (double)silent / 1000);
        backend_health_turn(w, HEALTH_SUSPECT, CAUSE_NONE, text, now_ms);
    }
    if (!w->running)
        backend_health_hurry(w, true, now_ms);
}

/* Where requests only wait, a first byte is the proof; where requests failed, a complete
 * response. */
static void note_probation(struct backend_health *w, uint64_t now_ms)
{
    const struct evidence *e = &w->seen;
    struct probation *p = &w->probation;

    p->hard += e->counts.n[EVIDENCE_HARD];
    p->good += w->row.cause == CAUSE_SILENT ? e->responses : e->counts.n[EVIDENCE_GOOD];
    p->detached = e->responses ? 0 : p->detached + e->added.detached;
    p->unanswered = e->responses ? 0 : p->unanswered + e->added.probation_unanswered;
    if (e->responses || e->added.detached || e->trying)
        p->tried_ms = now_ms;
    /* It was given less time than it needs. */
    if (evidence_hang_ms(e, now_ms) > w->row.hang_timeout_ms) {
        w->row.hang_timeout_ms = (uint32_t)evidence_hang_ms(e, now_ms);
        w->news = true;
    }
}

void backend_health_look(struct backend_health *w, uint64_t now_ms)
{
    evidence_read(&w->seen, w->table, w->slot, &w->pool->conf->eject, w->pool->min_waiting,
                  now_ms);
    score_feed(&w->score, &w->seen, now_ms);
    if (!backend_health_serves(w))
        return;
    if (w->seen.responses)
        evidence_learn(&w->seen, now_ms);
    if (w->row.state == HEALTH_PROBATION)
        note_probation(w, now_ms);
    look_for_failures(w, now_ms);
    look_for_silence(w, now_ms);
    agree(w, now_ms);
}
