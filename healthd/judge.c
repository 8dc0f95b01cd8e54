#include "healthd/judge.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/str.h"

/* HealthScanner scores: below LOW it becomes DEGRADED, until it reaches HEALTHY. */
enum { SCORE_LOW = 700, SCORE_HEALTHY = 800 };

/* A probe's timeout together with unanswered requests is a hang only after this much silence:
 * with short timeouts that takes several probes. */
enum { HANG_PROBE_MS = 2000 };

/* Probe and workers saw the same fault if their failures are no further apart than this. */
enum { AGREE_MS = 5000 };

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

bool judge_has_risen(const struct backend_health *w)
{
    return w->row.rise >= passes_needed(w);
}

/* Can only requests show that it is healthy, because requests had failed? */
static bool is_up_to_requests(const struct backend_health *w)
{
    return w->row.state == HEALTH_PROBATION ||
           (w->row.state == HEALTH_SUSPECT && w->row.cause == CAUSE_FAILED);
}

/* After n checks that passed or failed in a row. */
static void turn_after(struct backend_health *w, enum health_state to, unsigned n,
                       const char *what, const char *text, uint64_t now_ms)
{
    if (n == 1)
        backend_health_turn(w, to, CAUSE_NONE, now_ms, "%s", text);
    else
        backend_health_turn(w, to, CAUSE_NONE, now_ms, "%u checks %s: %s", n, what, text);
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
    if (!judge_has_risen(w))
        row->rise++;
    if (row->state == HEALTH_UP) {
        w->penalty_ttl -= w->penalty_ttl > 0;
        if (low)
            backend_health_turn(w, HEALTH_DEGRADED, CAUSE_SCORE, now_ms, "%s", result->text);
    } else if (judge_has_risen(w) && !is_up_to_requests(w) && row->state != HEALTH_EJECTED) {
        turn_after(w, HEALTH_UP, row->rise, "passed", result->text, now_ms);
    }
}

static void note_failure(struct backend_health *w, const struct probe_result *result,
                         uint64_t now_ms)
{
    struct health_row *row = &w->row;
    uint32_t fall = w->pool->conf->check.fall;
    bool judged = row->state == HEALTH_UNKNOWN || row->state == HEALTH_EJECTED;

    row->rise = 0;
    row->fall += row->fall < fall;
    if (w->score.kind == EVIDENCE_5XX && result->outcome != OUTCOME_TIMEOUT)
        backend_health_turn(w, HEALTH_DOWN, CAUSE_FAILED, now_ms, "%s, and requests fail too",
                            result->text);
    else if (backend_health_serves(w) && row->fall >= fall)
        turn_after(w, HEALTH_DOWN, row->fall, "failed", result->text, now_ms);
    else if (backend_health_is_up(row->state) || judged)
        backend_health_turn(w, judged ? HEALTH_DOWN : HEALTH_SUSPECT, CAUSE_NONE, now_ms, "%s",
                            result->text);
}

/* The probe timed out while responses arrived: slow is not dead. */
static void note_alive(struct backend_health *w, const char *text, uint64_t now_ms)
{
    w->row.rise = w->row.fall = 0;
    if (is_up_to_requests(w))
        w->row.rise = (uint16_t)passes_needed(w);
    else if (w->row.state != HEALTH_DEGRADED)
        backend_health_turn(w, HEALTH_DEGRADED, CAUSE_SATURATED, now_ms,
                            "%s, but requests complete", text);
}

/* Did responses arrive while the probe waited? Of a backend that is known to be slow, one
 * within the time that it needs is proof too. */
static bool is_alive(const struct backend_health *w, uint64_t now_ms)
{
    uint64_t sign_ms = evidence_sign_ms(&w->seen);

    return w->seen.good_ms > w->started_ms || (sign_ms > EVIDENCE_SIGN_MS && w->seen.good_ms &&
                                               now_ms - w->seen.good_ms < sign_ms);
}

static void judge_result(struct backend_health *w, const struct probe_result *result,
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
static void judge_agree(struct backend_health *w, uint64_t now_ms)
{
    const struct conf_check *check = &w->pool->conf->check;
    uint64_t silent = evidence_silence_ms(&w->seen, &w->seen.tried, now_ms);
    unsigned long long waiting = w->seen.now.unanswered - w->seen.tried.n;
    uint32_t hang = (HANG_PROBE_MS + check->timeout_ms - 1) / check->timeout_ms;
    bool late = w->outcome == OUTCOME_TIMEOUT;

    if (!backend_health_serves(w) || w->row.fall == 0 ||
        (w->row.fall < (late ? hang : 2) && w->row.fall < check->fall))
        return;
    if (silent > now_ms - w->passed_ms) /* it lived then */
        silent = now_ms - w->passed_ms;
    if (late && silent >= evidence_hang_ms(&w->seen))
        backend_health_turn(w, HEALTH_DOWN, CAUSE_FAILED, now_ms,
                            "%s, and %llu waiting request%s got no response for %.1f s",
                            w->row.probe_text, waiting, str_plural(waiting),
                            (double)silent / 1000);
    else if (!late && w->bad_ms && w->bad_ms >= w->seen.good_ms &&
             now_ms - w->bad_ms < AGREE_MS)
        backend_health_turn(w, HEALTH_DOWN, CAUSE_FAILED, now_ms, "%s, and requests fail too",
                            w->row.probe_text);
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

bool judge_started(struct backend_health *w, uint64_t now_ms)
{
    judge_look(w, now_ms);
    w->running = true;
    w->started_ms = now_ms;
    return w->news && backend_health_publish(w);
}

bool judge_ended(struct backend_health *w, const struct probe_result *result, unsigned *seed,
                 uint64_t now_ms)
{
    const struct conf_check *check = &w->pool->conf->check;
    uint64_t next_ms;

    judge_look(w, now_ms);
    w->running = false;
    take_address(w, result);
    note_probe(w, result);
    /* A result from before its restart says nothing about the backend now. */
    if (!w->stale && w->heal != RECOVERY_RESTARTING) {
        judge_result(w, result, now_ms);
        judge_agree(w, now_ms);
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
void judge_hurry(struct backend_health *w, bool changed, uint64_t now_ms)
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
    char text[TABLE_REASON];
    bool bad = evidence_bad(&w->seen, text), was_up = backend_health_is_up(w->row.state);

    if (!evidence_trouble(&w->seen))
        return;
    if (bad) {
        w->bad_ms = now_ms;
        w->trouble = true;
        if (was_up)
            backend_health_turn(w, HEALTH_SUSPECT, cause, now_ms, "%s", text);
        else if (w->row.state == HEALTH_SUSPECT)
            w->row.cause = (uint8_t)cause;
    }
    judge_hurry(w, bad && was_up, now_ms);
}

/* Silence: a reason for a probe; and for suspicion unless a single request waits, which may
 * well be a long one. A check that passed meanwhile answers for them. */
static void look_for_silence(struct backend_health *w, uint64_t now_ms)
{
    unsigned long long waiting = w->seen.now.unanswered - w->seen.tried.n;
    uint64_t silent = evidence_silence_ms(&w->seen, &w->seen.tried, now_ms);

    if (silent < evidence_sign_ms(&w->seen) ||
        w->passed_ms > now_ms - silent + EVIDENCE_SIGN_MS / 2)
        return;
    if (waiting > 1 && backend_health_is_up(w->row.state))
        backend_health_turn(w, HEALTH_SUSPECT, CAUSE_NONE, now_ms,
                            "%llu requests wait without a response for %.1f s", waiting,
                            (double)silent / 1000);
    if (!w->running)
        judge_hurry(w, true, now_ms);
}

/* Where requests only wait, a first byte is the proof; where requests failed, a complete
 * response. */
static void note_probation(struct backend_health *w, uint64_t now_ms)
{
    const struct evidence *e = &w->seen;
    struct probation *p = &w->probation;

    p->hard += e->count[EVIDENCE_HARD];
    p->good +=
        w->row.cause == CAUSE_SILENT ? e->count[EVIDENCE_FIRST] : e->count[EVIDENCE_GOOD];
    p->detached = e->count[EVIDENCE_FIRST] ? 0 : p->detached + e->added.detached;
    p->unanswered =
        e->count[EVIDENCE_FIRST] ? 0 : p->unanswered + e->added.probation_unanswered;
    if (e->count[EVIDENCE_FIRST] || e->added.detached || e->now.probation_requests)
        p->tried_ms = now_ms;
    /* It was given less time than it needs. */
    if (evidence_hang_ms(e) > w->row.hang_timeout_ms) {
        w->row.hang_timeout_ms = (uint32_t)evidence_hang_ms(e);
        w->news = true;
    }
}

void judge_look(struct backend_health *w, uint64_t now_ms)
{
    evidence_read(&w->seen, w->table, w->slot, &w->pool->conf->eject, w->pool->min_waiting,
                  now_ms);
    score_feed(&w->score, &w->seen, now_ms);
    if (!backend_health_serves(w))
        return;
    if (w->row.state == HEALTH_PROBATION)
        note_probation(w, now_ms);
    look_for_failures(w, now_ms);
    look_for_silence(w, now_ms);
    judge_agree(w, now_ms);
}
