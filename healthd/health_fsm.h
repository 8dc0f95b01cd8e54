/* The verdict on one backend: a pure function of its state, of what a probe
 * found and of what the workers saw. No clock, no I/O, no table.
 *
 *   UNKNOWN -> UP          first pass
 *   UNKNOWN -> DOWN        first failure: nothing is lost, and a start is quick
 *   UP, SATURATED -> SUSPECT   first failure, or a sign from the workers
 *   SUSPECT -> DOWN        `fall` failures in a row
 *   SUSPECT, SATURATED, DOWN -> UP   `rise` passes in a row; doubled each time
 *                              that trouble comes back soon after: it flaps, or
 *                              probes see less than the workers; not where no other
 *                              of the pool serves, which leaves clients with nobody
 *   UP, SUSPECT -> SATURATED   the probe timed out while requests completed, or
 *                              it passed, and tells of a low score; not where requests
 *                              failed: that is for a trial to tell
 *   UP, SATURATED, SUSPECT -> DOWN at once, with fewer failures than `fall`, when
 *                              the workers see the same: health_fsm_agree()
 *
 * Above that stand the ejection (healthd/outlier/eject.h) and the restart: while they hold
 * it, DOWN stays; an ejected one comes back as SUSPECT, on trial.
 *
 * What serves requests is alive, however slow its ping is: a probe that timed
 * out while requests completed never counts as a failure. */
#ifndef HEALTHD_HEALTH_FSM_H
#define HEALTHD_HEALTH_FSM_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

enum {
    VERDICT_DOUBT = 4, /* doublings: with rise 2 and a second between, 32 s */
    VERDICT_FLAPS = 2, /* doublings of what brings one back from DOWN that flaps */
    VERDICT_WARY = 10, /* passes while up, after which trouble counts as the first one */
};

enum outcome {
    OUTCOME_PASS,
    OUTCOME_FAIL,    /* refused, cut off, or answered wrongly */
    OUTCOME_TIMEOUT, /* no whole answer in time */
    OUTCOME_NO_NAME, /* the name does not resolve: the backend's fault, or that of DNS */
};

struct health_fsm {
    enum health_state state;
    uint16_t rise, fall;       /* passes and failures in a row, at most what is asked for */
    uint8_t doubt;             /* doublings of what is asked for */
    uint8_t wary;              /* passes while up until trouble counts as the first one */
    bool hasty;                /* DOWN by health_fsm_agree(): it may have been slow only */
    char reason[TABLE_REASON]; /* of the state */
};

struct health_fsm_rules {
    uint32_t rise, fall; /* > 0 */
    bool held;           /* DOWN stays, whatever passes */
    bool alone;          /* nobody else serves: DOWN ends after `rise` passes, doubts or not */
    bool trial;          /* passes do not make UP: from DOWN on trial, and while SUSPECT
                          * until health_fsm_force() */
};

/* What is known when a probe has ended. */
struct evidence {
    enum outcome outcome;
    const char *text;         /* the outcome in plain words */
    uint64_t completed;       /* exchanges completed while the probe ran, or shortly before */
    uint64_t completed_since; /* the same, since the probe before it */
    bool signs;               /* workers saw trouble since the probe before it */
    bool low;                 /* it passed with a low score: `text` tells */
};

/* Takes in a probe. true: the state changed, and the reason with it. */
bool health_fsm_probe(struct health_fsm *verdict, const struct health_fsm_rules *rules,
                      const struct evidence *evidence);

/* Takes in a sign of trouble from the workers, told by `text`. true: the state
 * changed. A sign makes suspect, never down: the probe that follows decides. */
bool health_fsm_sign(struct health_fsm *verdict, const char *text);

/* Workers see what the last probes found: `enough` failures in a row then make DOWN, if
 * they are fewer than rules->fall. true: the state changed. */
bool health_fsm_agree(struct health_fsm *verdict, const struct health_fsm_rules *rules,
                      uint32_t enough, const char *text);

/* What held it DOWN is over: if it has risen meanwhile, it goes on trial. true: the state
 * changed. */
bool health_fsm_release(struct health_fsm *verdict, const struct health_fsm_rules *rules);

/* Did as many checks pass as end a suspicion? */
bool health_fsm_risen(const struct health_fsm *verdict, const struct health_fsm_rules *rules);

/* Sets the state whatever was counted; the counts start again. true: the state changed (the
 * reason did in any case). */
bool health_fsm_force(struct health_fsm *verdict, enum health_state state, const char *text);

#endif
