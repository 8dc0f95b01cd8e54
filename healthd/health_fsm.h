/* The verdict on one backend: a pure function of its state, of the probe's result and of what
 * the workers saw. No clock, no I/O, no table. README.md has the picture.
 *
 *   UNKNOWN -> UP          first pass
 *   UNKNOWN -> DOWN        first failure: nothing is lost, and a start is quick
 *   UP, DEGRADED -> SUSPECT   first failure, or a sign from the workers
 *   any that serves -> DOWN   `fall` failures in a row; with fewer, if the
 *                              workers see the same: health_fsm_agree()
 *   SUSPECT, DEGRADED, DOWN -> UP   `rise` passes in a row; doubled each time
 *                              that trouble returns soon: the backend flaps, or
 *                              probes see less than the workers; not if no other
 *                              backend of the pool serves, because clients then
 *                              have no other choice
 *   UP, SUSPECT -> DEGRADED   the probe timed out while requests completed, or
 *                              it passed with a low score
 *   EJECTED -> PROBATION   its time is over, and `rise` passes in a row
 *   EJECTED -> DOWN        first failure: requests and probes say the same
 *
 * The other changes are decided by what workers see (healthd/outlier/outlier.h): SUSPECT or UP
 * to PROBATION, from there to UP or EJECTED, and what is unlike its neighbours to DEGRADED.
 * Where requests failed, passes end SUSPECT and PROBATION no more. A restart takes precedence:
 * meanwhile the backend stays DOWN.
 *
 * A backend that serves requests is alive, however slow its ping is: a probe that timed out
 * while requests completed never counts as a failure. */
#ifndef HEALTHD_HEALTH_FSM_H
#define HEALTHD_HEALTH_FSM_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

enum {
    VERDICT_PENALTY = 2,      /* doublings at most: with rise 2 and a second between, 8 s */
    VERDICT_PENALTY_TTL = 10, /* passes while UP, after which trouble counts as the first */
};

enum outcome {
    OUTCOME_PASS,
    OUTCOME_FAIL,    /* refused, cut off, or a wrong response */
    OUTCOME_TIMEOUT, /* no complete response in time */
    OUTCOME_NO_NAME, /* the name does not resolve: a fault of the backend or of DNS */
};

struct health_fsm {
    struct health_row
        *row;            /* state, cause, reason; passes and failures, up to what is required */
    uint8_t penalty;     /* doublings of the required passes */
    uint8_t penalty_ttl; /* passes while UP until trouble counts as the first */
    uint8_t was_cause;   /* enum health_cause, of the state before */
    bool provisional;    /* DOWN by health_fsm_agree(): it may only have been slow */
};

struct health_fsm_rules {
    uint32_t rise, fall; /* > 0 */
    bool held;           /* stays DOWN or EJECTED, whatever passes */
    bool alone;   /* no other backend serves: `rise` passes end DOWN, without doublings */
    bool unlike;  /* checks do not end DEGRADED: its responses are unlike the others' */
    bool failing; /* requests failed: passes do not end SUSPECT */
};

/* What is known when a probe has ended. */
struct probe_evidence {
    enum outcome outcome;
    const char *text;         /* the outcome in plain words */
    uint64_t completed;       /* responses while the probe ran, or shortly before */
    uint64_t completed_since; /* responses since the previous probe */
    bool signs;               /* workers saw trouble since the previous probe */
    bool low;                 /* it passed with a low score, which `text` gives */
};

/* Takes in the result of a probe. true: the state changed, and the reason with it. */
bool health_fsm_probe(struct health_fsm *verdict, const struct health_fsm_rules *rules,
                      const struct probe_evidence *evidence);

/* Takes in a sign of trouble from the workers; `text` is the reason. true: the state changed. A
 * sign leads to SUSPECT, never to DOWN: the probe that follows decides. */
bool health_fsm_sign(struct health_fsm *verdict, const char *text);

/* For when workers see what the last probes found: `enough` failures in a row then lead to
 * DOWN, if that is less than rules->fall. true: the state changed. */
bool health_fsm_agree(struct health_fsm *verdict, const struct health_fsm_rules *rules,
                      uint32_t enough, const char *text);

/* For when the time of an ejection is over (rules->held says whether): PROBATION begins if
 * enough checks passed meanwhile. true: the state changed. */
bool health_fsm_release(struct health_fsm *verdict, const struct health_fsm_rules *rules);

/* Have enough checks passed to end a suspicion? */
bool health_fsm_risen(const struct health_fsm *verdict, const struct health_fsm_rules *rules);

/* Sets the state unconditionally and resets the counts. true: the state changed (the
 * reason changes in any case). */
bool health_fsm_force(struct health_fsm *verdict, enum health_state state, const char *text);

#endif
