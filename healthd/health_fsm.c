#include "healthd/health_fsm.h"

#include <stdio.h>

/* What a probe shows. */
enum event {
    EVENT_PASS,
    EVENT_ALIVE,   /* it timed out while responses arrived */
    EVENT_FAIL,    /* from here on: what the table does not have */
    EVENT_NOTHING, /* it passed, but requests tell more */
    EVENT_NO_NAME, /* the name is missing, while the known address serves */
};

/* Where an event leads, if there were enough of it. */
static const uint8_t leads_to[HEALTH_STATES][EVENT_FAIL + 1] = {
    [HEALTH_UNKNOWN] = {HEALTH_UP, HEALTH_DOWN, HEALTH_DOWN},
    [HEALTH_UP] = {HEALTH_UP, HEALTH_DEGRADED, HEALTH_SUSPECT},
    [HEALTH_DEGRADED] = {HEALTH_UP, HEALTH_DEGRADED, HEALTH_SUSPECT},
    [HEALTH_SUSPECT] = {HEALTH_UP, HEALTH_DEGRADED, HEALTH_SUSPECT},
    [HEALTH_PROBATION] = {HEALTH_PROBATION, HEALTH_PROBATION, HEALTH_PROBATION},
    /* Of an ejected one requests and checks say the same; and passes end DOWN sooner. */
    [HEALTH_EJECTED] = {HEALTH_PROBATION, HEALTH_DOWN, HEALTH_DOWN},
    [HEALTH_DOWN] = {HEALTH_UP, HEALTH_DEGRADED, HEALTH_DOWN},
};

static bool health_fsm_turn(struct health_fsm *v, uint8_t state, const char *reason)
{
    struct health_row *row = v->row;

    if (row->state == state)
        return false;
    v->was_cause = row->cause;
    row->cause = CAUSE_NONE;
    if (state == HEALTH_DEGRADED)
        row->cause = CAUSE_SATURATED;
    if (state == HEALTH_PROBATION)
        row->cause = row->state == HEALTH_EJECTED ? CAUSE_EJECTED : CAUSE_FAILED;
    row->state = state;
    v->provisional = false;
    snprintf(row->reason, sizeof row->reason, "%s", reason);
    return true;
}

static bool turn_after(struct health_fsm *v, uint8_t state, unsigned n, const char *what,
                       const char *text)
{
    char reason[TABLE_REASON];

    if (n == 1)
        return health_fsm_turn(v, state, text);
    snprintf(reason, sizeof reason, "%u checks %s: %s", n, what, text);
    return health_fsm_turn(v, state, reason);
}

static uint16_t up_to(uint32_t limit, uint16_t n)
{
    return n < limit && n < UINT16_MAX ? (uint16_t)(n + 1) : n;
}

/* The backend leaves UP. If it only just came back, more passes are required for the next
 * return. */
static void penalize(struct health_fsm *v)
{
    v->penalty = v->penalty_ttl ? (uint8_t)up_to(VERDICT_PENALTY, v->penalty) : 0;
    v->penalty_ttl = VERDICT_PENALTY_TTL;
}

static uint32_t wanted_passes(const struct health_fsm *v, const struct health_fsm_rules *rules)
{
    uint8_t state = v->row->state;

    if (state == HEALTH_UNKNOWN)
        return 1;
    return state == HEALTH_SUSPECT || (state == HEALTH_DOWN && !rules->alone)
               ? rules->rise << v->penalty
               : rules->rise;
}

/* Can only requests show that it is healthy, because requests had failed? */
static bool is_up_to_requests(const struct health_fsm *v, const struct health_fsm_rules *rules)
{
    return v->row->state == HEALTH_PROBATION ||
           (v->row->state == HEALTH_SUSPECT && rules->failing);
}

static enum event event_of(const struct health_fsm *v, const struct health_fsm_rules *rules,
                           const struct probe_evidence *e)
{
    uint8_t state = v->row->state;
    bool serves = health_serves(state);

    if (e->outcome == OUTCOME_PASS)
        return (state == HEALTH_SUSPECT && e->signs) ||
                       (state == HEALTH_DEGRADED && (e->low || rules->unlike))
                   ? EVENT_NOTHING
                   : EVENT_PASS;
    /* One that was taken for hung may only be slow: responses that arrive now show that. */
    if (e->outcome == OUTCOME_TIMEOUT && e->completed > 0 &&
        (serves || (state == HEALTH_DOWN && v->provisional && !rules->held)))
        return EVENT_ALIVE;
    /* An outage of the name server must not empty the pools. */
    if (e->outcome == OUTCOME_NO_NAME && e->completed_since > 0 && serves)
        return EVENT_NO_NAME;
    return EVENT_FAIL;
}

static bool passed(struct health_fsm *v, const struct health_fsm_rules *rules,
                   const struct probe_evidence *e)
{
    struct health_row *row = v->row;

    row->fall = 0;
    row->rise = up_to(wanted_passes(v, rules), row->rise);
    if (row->state == HEALTH_EJECTED)
        return health_fsm_release(v, rules);
    v->penalty_ttl -= row->state == HEALTH_UP && v->penalty_ttl > 0;
    if (row->state == HEALTH_UP && e->low) {
        health_fsm_turn(v, HEALTH_DEGRADED, e->text);
        row->cause = CAUSE_SCORE;
        return true;
    }
    return !rules->held && health_fsm_risen(v, rules) && !is_up_to_requests(v, rules) &&
           turn_after(v, leads_to[row->state][EVENT_PASS], row->rise, "passed", e->text);
}

static bool health_fsm_failed(struct health_fsm *v, const struct health_fsm_rules *rules,
                              const char *text)
{
    struct health_row *row = v->row;

    row->rise = 0;
    row->fall = up_to(rules->fall, row->fall);
    if (row->state == HEALTH_UP)
        penalize(v);
    if (health_serves(row->state) && row->fall >= rules->fall)
        return turn_after(v, HEALTH_DOWN, row->fall, "failed", text);
    return health_fsm_turn(v, leads_to[row->state][EVENT_FAIL], text);
}

static bool is_alive(struct health_fsm *v, const struct health_fsm_rules *rules,
                     const char *text)
{
    char reason[TABLE_REASON];

    v->row->rise = v->row->fall = 0;
    if (is_up_to_requests(v, rules)) {
        v->row->rise = (uint16_t)wanted_passes(v, rules);
        return false;
    }
    snprintf(reason, sizeof reason, "%.120s, but requests complete", text);
    return health_fsm_turn(v, leads_to[v->row->state][EVENT_ALIVE], reason);
}

bool health_fsm_probe(struct health_fsm *v, const struct health_fsm_rules *rules,
                      const struct probe_evidence *e)
{
    enum event event = event_of(v, rules, e);

    if (event == EVENT_PASS)
        return passed(v, rules, e);
    if (event == EVENT_ALIVE)
        return is_alive(v, rules, e->text);
    if (event == EVENT_FAIL)
        return health_fsm_failed(v, rules, e->text);
    v->row->rise = 0;
    if (event == EVENT_NOTHING)
        v->row->fall = 0;
    return false;
}

bool health_fsm_sign(struct health_fsm *v, const char *text)
{
    if (v->row->state != HEALTH_UP && v->row->state != HEALTH_DEGRADED)
        return false;
    penalize(v);
    return health_fsm_force(v, HEALTH_SUSPECT, text);
}

bool health_fsm_agree(struct health_fsm *v, const struct health_fsm_rules *rules,
                      uint32_t enough, const char *text)
{
    if (!health_serves(v->row->state) || v->row->fall == 0 ||
        v->row->fall < (enough < rules->fall ? enough : rules->fall))
        return false;
    health_fsm_turn(v, HEALTH_DOWN, text);
    v->provisional = true;
    return true;
}

bool health_fsm_release(struct health_fsm *v, const struct health_fsm_rules *rules)
{
    return v->row->state == HEALTH_EJECTED && !rules->held && v->row->rise >= rules->rise &&
           health_fsm_turn(v, HEALTH_PROBATION, "the ejection is over: single requests try it");
}

bool health_fsm_risen(const struct health_fsm *v, const struct health_fsm_rules *rules)
{
    return v->row->rise >= wanted_passes(v, rules);
}

bool health_fsm_force(struct health_fsm *v, enum health_state state, const char *text)
{
    v->row->rise = v->row->fall = 0;
    if (health_fsm_turn(v, (uint8_t)state, text))
        return true;
    snprintf(v->row->reason, sizeof v->row->reason, "%s", text);
    return false;
}
