#include "healthd/health_fsm.h"

#include <stdio.h>

static bool health_fsm_turn(struct health_fsm *v, enum health_state state, const char *reason)
{
    if (v->state == state)
        return false;
    v->cause = CAUSE_NONE;
    if (state == HEALTH_DEGRADED)
        v->cause = CAUSE_SATURATED;
    if (state == HEALTH_PROBATION)
        v->cause = v->state == HEALTH_EJECTED ? CAUSE_EJECTED : CAUSE_FAILED;
    v->state = state;
    v->provisional = false;
    snprintf(v->reason, sizeof v->reason, "%s", reason);
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

    if (v->state == HEALTH_DOWN && rules->alone)
        return rules->rise;
    return v->state == HEALTH_SUSPECT || v->state == HEALTH_DOWN ? rules->rise << doublings
                                                                 : rules->rise;
}

static bool passed(struct health_fsm *v, const struct health_fsm_rules *rules,
                   const struct probe_evidence *e)
{
    uint32_t wanted = wanted_passes(v, rules);

    v->fall = 0;
    /* Probes pass and requests still fail: no pass counts until that ends. */
    if (v->state == HEALTH_SUSPECT && e->signs) {
        v->rise = 0;
        return false;
    }
    v->rise = up_to(wanted, v->rise);
    if (v->state == HEALTH_UNKNOWN)
        return health_fsm_turn(v, HEALTH_UP, e->text);
    if (v->state == HEALTH_UP) {
        v->penalty_ttl -= v->penalty_ttl > 0;
        if (!e->low || !health_fsm_turn(v, HEALTH_DEGRADED, e->text))
            return false;
        v->cause = CAUSE_SCORE;
        return true;
    }
    if (v->state == HEALTH_DEGRADED && (e->low || rules->unlike)) {
        v->rise = 0;
        return false;
    }
    if (v->state == HEALTH_EJECTED)
        return health_fsm_release(v, rules);
    /* Where requests failed, only requests can show that it is healthy. */
    if (rules->held || v->rise < wanted || v->state == HEALTH_PROBATION ||
        (v->state == HEALTH_SUSPECT && rules->failing))
        return false;
    return turn_after(v, HEALTH_UP, v->rise, "passed", e->text);
}

static bool health_fsm_failed(struct health_fsm *v, const struct health_fsm_rules *rules,
                              const struct probe_evidence *e)
{
    v->rise = 0;
    v->fall = up_to(rules->fall, v->fall);
    /* Of an ejected one requests and checks say the same; and passes end DOWN sooner. */
    if (v->state == HEALTH_UNKNOWN || v->state == HEALTH_EJECTED)
        return health_fsm_turn(v, HEALTH_DOWN, e->text);
    if (v->state == HEALTH_DOWN)
        return false;
    if (v->state == HEALTH_UP)
        penalize(v);
    if (v->fall >= rules->fall)
        return turn_after(v, HEALTH_DOWN, v->fall, "failed", e->text);
    return v->state != HEALTH_PROBATION && health_fsm_turn(v, HEALTH_SUSPECT, e->text);
}

static bool slow(struct health_fsm *v, const struct health_fsm_rules *rules,
                 const struct probe_evidence *e)
{
    char reason[TABLE_REASON];

    v->rise = v->fall = 0;
    /* It is alive, and requests failed there: checks cannot tell more, only probation can. */
    if (v->state == HEALTH_PROBATION || (v->state == HEALTH_SUSPECT && rules->failing)) {
        v->rise = (uint16_t)wanted_passes(v, rules);
        return false;
    }
    snprintf(reason, sizeof reason, "%.120s, but requests complete", e->text);
    return health_fsm_turn(v, HEALTH_DEGRADED, reason);
}

/* Was it taken for hung although it was only slow? Responses that arrive now show that. */
static bool only_slow(const struct health_fsm *v, const struct health_fsm_rules *rules)
{
    return v->state == HEALTH_DOWN && v->provisional && !rules->held;
}

bool health_fsm_probe(struct health_fsm *v, const struct health_fsm_rules *rules,
                      const struct probe_evidence *e)
{
    if (e->outcome == OUTCOME_PASS)
        return passed(v, rules, e);
    if (e->outcome == OUTCOME_TIMEOUT && e->completed > 0 &&
        (health_serves(v->state) || only_slow(v, rules)))
        return slow(v, rules, e);
    /* An outage of the name server must not empty the pools: while requests go through to the
     * known address, a missing name proves nothing. */
    if (e->outcome == OUTCOME_NO_NAME && e->completed_since > 0 && health_serves(v->state)) {
        v->rise = 0;
        return false;
    }
    return health_fsm_failed(v, rules, e);
}

bool health_fsm_sign(struct health_fsm *v, const char *text)
{
    if (v->state != HEALTH_UP && v->state != HEALTH_DEGRADED)
        return false;
    penalize(v);
    v->rise = v->fall = 0;
    return health_fsm_turn(v, HEALTH_SUSPECT, text);
}

bool health_fsm_degrade(struct health_fsm *v, const char *text)
{
    if (health_fsm_turn(v, HEALTH_DEGRADED, text))
        return true;
    snprintf(v->reason, sizeof v->reason, "%s", text);
    return false;
}

bool health_fsm_agree(struct health_fsm *v, const struct health_fsm_rules *rules,
                      uint32_t enough, const char *text)
{
    if (!health_serves(v->state) || v->fall == 0 ||
        v->fall < (enough < rules->fall ? enough : rules->fall))
        return false;
    health_fsm_turn(v, HEALTH_DOWN, text);
    v->provisional = true;
    return true;
}

bool health_fsm_release(struct health_fsm *v, const struct health_fsm_rules *rules)
{
    return v->state == HEALTH_EJECTED && !rules->held && v->rise >= rules->rise &&
           health_fsm_turn(v, HEALTH_PROBATION, "the ejection is over: single requests try it");
}

bool health_fsm_risen(const struct health_fsm *v, const struct health_fsm_rules *rules)
{
    return v->rise >= wanted_passes(v, rules);
}

bool health_fsm_force(struct health_fsm *v, enum health_state state, const char *text)
{
    v->rise = v->fall = 0;
    if (health_fsm_turn(v, state, text))
        return true;
    snprintf(v->reason, sizeof v->reason, "%s", text);
    return false;
}
