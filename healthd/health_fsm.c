#include "healthd/health_fsm.h"

#include <stdio.h>

static bool health_fsm_turn(struct health_fsm *v, enum health_state state, const char *reason)
{
    if (v->row->state == state)
        return false;
    v->was_cause = v->row->cause;
    v->row->cause = CAUSE_NONE;
    if (state == HEALTH_DEGRADED)
        v->row->cause = CAUSE_SATURATED;
    if (state == HEALTH_PROBATION)
        v->row->cause = v->row->state == HEALTH_EJECTED ? CAUSE_EJECTED : CAUSE_FAILED;
    v->row->state = (uint8_t)state;
    v->provisional = false;
    snprintf(v->row->reason, sizeof v->row->reason, "%s", reason);
    return true;
}

static bool turn_after(struct health_fsm *v, enum health_state state, unsigned n,
                       const char *what, const char *text)
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

/* The backend leaves UP. If it only just came back, more passes are
 * required for the next return. */
static void penalize(struct health_fsm *v)
{
    v->penalty = v->penalty_ttl ? (uint8_t)up_to(VERDICT_PENALTY, v->penalty) : 0;
    v->penalty_ttl = VERDICT_PENALTY_TTL;
}

static uint32_t wanted_passes(const struct health_fsm *v, const struct health_fsm_rules *rules)
{
    unsigned doublings = v->penalty;

    if (v->row->state == HEALTH_DOWN && rules->alone)
        return rules->rise;
    return v->row->state == HEALTH_SUSPECT || v->row->state == HEALTH_DOWN
               ? rules->rise << doublings
               : rules->rise;
}

static bool passed(struct health_fsm *v, const struct health_fsm_rules *rules,
                   const struct probe_evidence *e)
{
    uint32_t wanted = wanted_passes(v, rules);

    v->row->fall = 0;
    /* Probes pass and requests still fail: no pass counts until that ends. */
    if (v->row->state == HEALTH_SUSPECT && e->signs) {
        v->row->rise = 0;
        return false;
    }
    v->row->rise = up_to(wanted, v->row->rise);
    if (v->row->state == HEALTH_UNKNOWN)
        return health_fsm_turn(v, HEALTH_UP, e->text);
    if (v->row->state == HEALTH_UP) {
        v->penalty_ttl -= v->penalty_ttl > 0;
        if (!e->low || !health_fsm_turn(v, HEALTH_DEGRADED, e->text))
            return false;
        v->row->cause = CAUSE_SCORE;
        return true;
    }
    if (v->row->state == HEALTH_DEGRADED && (e->low || rules->unlike)) {
        v->row->rise = 0;
        return false;
    }
    if (v->row->state == HEALTH_EJECTED)
        return health_fsm_release(v, rules);
    /* Where requests failed, only requests can show that it is healthy. */
    if (rules->held || v->row->rise < wanted || v->row->state == HEALTH_PROBATION ||
        (v->row->state == HEALTH_SUSPECT && rules->failing))
        return false;
    return turn_after(v, HEALTH_UP, v->row->rise, "passed", e->text);
}

static bool health_fsm_failed(struct health_fsm *v, const struct health_fsm_rules *rules,
                              const struct probe_evidence *e)
{
    v->row->rise = 0;
    v->row->fall = up_to(rules->fall, v->row->fall);
    /* Of an ejected one requests and checks say the same; and passes end DOWN sooner. */
    if (v->row->state == HEALTH_UNKNOWN || v->row->state == HEALTH_EJECTED)
        return health_fsm_turn(v, HEALTH_DOWN, e->text);
    if (v->row->state == HEALTH_DOWN)
        return false;
    if (v->row->state == HEALTH_UP)
        penalize(v);
    if (v->row->fall >= rules->fall)
        return turn_after(v, HEALTH_DOWN, v->row->fall, "failed", e->text);
    return v->row->state != HEALTH_PROBATION && health_fsm_turn(v, HEALTH_SUSPECT, e->text);
}

static bool slow(struct health_fsm *v, const struct health_fsm_rules *rules,
                 const struct probe_evidence *e)
{
    char reason[TABLE_REASON];

    v->row->rise = v->row->fall = 0;
    /* It is alive, and requests failed there: checks cannot tell more, only probation can. */
    if (v->row->state == HEALTH_PROBATION ||
        (v->row->state == HEALTH_SUSPECT && rules->failing)) {
        v->row->rise = (uint16_t)wanted_passes(v, rules);
        return false;
    }
    snprintf(reason, sizeof reason, "%.120s, but requests complete", e->text);
    return health_fsm_turn(v, HEALTH_DEGRADED, reason);
}

/* Was it taken for hung although it was only slow? Responses that arrive now show that. */
static bool only_slow(const struct health_fsm *v, const struct health_fsm_rules *rules)
{
    return v->row->state == HEALTH_DOWN && v->provisional && !rules->held;
}

bool health_fsm_probe(struct health_fsm *v, const struct health_fsm_rules *rules,
                      const struct probe_evidence *e)
{
    if (e->outcome == OUTCOME_PASS)
        return passed(v, rules, e);
    if (e->outcome == OUTCOME_TIMEOUT && e->completed > 0 &&
        (health_serves(v->row->state) || only_slow(v, rules)))
        return slow(v, rules, e);
    /* An outage of the name server must not empty the pools: while requests go through to the
     * known address, a missing name proves nothing. */
    if (e->outcome == OUTCOME_NO_NAME && e->completed_since > 0 &&
        health_serves(v->row->state)) {
        v->row->rise = 0;
        return false;
    }
    return health_fsm_failed(v, rules, e);
}

bool health_fsm_sign(struct health_fsm *v, const char *text)
{
    if (v->row->state != HEALTH_UP && v->row->state != HEALTH_DEGRADED)
        return false;
    penalize(v);
    v->row->rise = v->row->fall = 0;
    return health_fsm_turn(v, HEALTH_SUSPECT, text);
}

bool health_fsm_degrade(struct health_fsm *v, const char *text)
{
    if (health_fsm_turn(v, HEALTH_DEGRADED, text))
        return true;
    snprintf(v->row->reason, sizeof v->row->reason, "%s", text);
    return false;
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
    if (health_fsm_turn(v, state, text))
        return true;
    snprintf(v->row->reason, sizeof v->row->reason, "%s", text);
    return false;
}
