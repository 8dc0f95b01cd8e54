/* How one backend is restarted: pure functions, so that all of it is tested without a process.
 * Supervisor only; supervisor/backend/recovery.c does what they say.
 *
 *            GO            DRAINED              RESTARTED              UP
 *     NONE -----> DRAINING -------> RESTARTING -----------> VERIFYING ----> SLOWSTART
 *                     | HEALTHY,         | FAILED               | TIMER         | TIMER
 *                     | UNSAFE,          |                      |               |
 *                     | READY, GONE      +----------+-----------+               v
 *                     v                             v                         NONE
 *                   NONE         NONE, or after too many tries HOLD
 *
 * An operator's restart and one that healthd asks for take the same way; they differ in what
 * may stop them (recovery_fsm_judge()). HOLD means "needs a human": only READY or GO of an
 * operator leads out of it. GONE, for a backend that is no longer configured, ends what is
 * under way, except for a restart that is running: half a restart is worse than none.
 *
 * Times are milliseconds, monotonic. */
#ifndef SUPERVISOR_BACKEND_RECOVERY_FSM_H
#define SUPERVISOR_BACKEND_RECOVERY_FSM_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

enum {
    RECOVERY_HOUR_MS = 3600 * 1000, /* the period in which max_restarts counts */
    RECOVERY_TRIES_MAX = 100,       /* the largest max_restarts */
    RECOVERY_HOLD_DOWN_MAX_MS = 3600 * 1000,
    RECOVERY_DOWN_DRAIN_MS = 10000, /* the longest drain of a backend that is down */
    RECOVERY_SETTLE_MS = 2000,      /* the longest wait for workers to take it out */
};

enum recovery_event {
    RECOVERY_GO,        /* a restart was asked for, and recovery_fsm_judge() allowed it */
    RECOVERY_DRAINED,   /* nothing is left there, or the drain was cut; the restarter is free */
    RECOVERY_SETTLED,   /* no worker sends it anything any more */
    RECOVERY_RESTARTED, /* the restarter succeeded */
    RECOVERY_FAILED,    /* the restarter failed, or could not be started */
    RECOVERY_UP,        /* healthd found it healthy, by checks from after the restart */
    RECOVERY_TIMER,     /* time is over: not healthy yet, or end of the slow start */
    RECOVERY_HEALTHY,   /* it recovered by itself, and no operator had asked for the restart */
    RECOVERY_UNSAFE,    /* others became unhealthy: too few would be left without this one */
    RECOVERY_EXHAUSTED, /* healthd asked once more than max_restarts allows */
    RECOVERY_READY,     /* the operator's `ready`: takes back a drain, ends HOLD */
    RECOVERY_GONE,      /* it is no longer configured */
    RECOVERY_EVENTS
};

/* Actions, a set of bits; carried out in this order. */
enum recovery_action {
    RECOVERY_TELL =
        1, /* the state has changed: update row, history and log, ring the doorbells */
    RECOVERY_DRAIN = 2,   /* begin the drain */
    RECOVERY_SETTLE = 4,  /* wait until workers have taken it out */
    RECOVERY_LAUNCH = 8,  /* start the restarter; when that fails: FAILED */
    RECOVERY_VERIFY = 16, /* wait until it is healthy, with a deadline */
    RECOVERY_SLOW = 32,   /* wait for the end of the slow start */
};

/* Restarts of one backend that count: all of healthd's, and those of operators that failed. */
struct recovery_tries {
    uint64_t at_ms[RECOVERY_TRIES_MAX]; /* the oldest first */
    uint32_t n;
};

struct recovery_fsm {
    uint8_t state; /* enum recovery_state */
    bool by_operator;
    struct recovery_tries tries;
    uint64_t next_ms; /* no restart by healthd before this time; 0: at any time */
};

struct recovery_limits {
    uint32_t max_restarts, hold_down_ms;
};

/* Takes one event and returns the actions. An event that has no meaning in a state does
 * nothing. It also keeps the tries and next_ms: the hold-down begins at the end of a try, and
 * doubles with each try of the last hour. */
unsigned recovery_fsm_step(struct recovery_fsm *fsm, enum recovery_event event,
                           const struct recovery_limits *limits, uint64_t now_ms);

/* The number of tries in the last hour; older ones are dropped. */
uint32_t recovery_fsm_tries(struct recovery_fsm *fsm, uint64_t now_ms);

/* Everything that speaks for or against a restart now. */
struct recovery_facts {
    bool by_operator, force;
    bool has_action; /* a restart is configured */
    bool stopping;   /* the service is stopping */
    bool dry_run;
    uint8_t state;    /* enum recovery_state of this backend */
    uint8_t health;   /* enum health_state */
    uint8_t override; /* enum admin_state */
    uint32_t healthy; /* other backends of its pool that are up and ready */
    uint32_t min_healthy;
    const char *other; /* another backend of its pool that is being restarted; NULL: none */
    uint32_t tries, max_restarts;
    uint64_t next_ms, now_ms;
};

enum recovery_verdict {
    RECOVERY_MAY,
    RECOVERY_DRY,   /* allowed, except for dry_run */
    RECOVERY_LATER, /* not now; may be allowed later */
    RECOVERY_NEVER, /* refused */
    RECOVERY_TOO_MANY,
};

/* out: the reason of every verdict except RECOVERY_MAY and RECOVERY_DRY, else "". */
enum recovery_verdict recovery_fsm_judge(const struct recovery_facts *facts,
                                         char out[TABLE_REASON]);

/* Would too few be left if it were taken out? Checked again when its drain is over. */
bool recovery_fsm_unsafe(const struct recovery_facts *facts);

const char *recovery_fsm_event_name(enum recovery_event event);

#endif
