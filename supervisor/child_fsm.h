/* What to do with a child when something happens: a pure function, so that it is tested without
 * forking. Supervisor only; one struct child_fsm per row of children, embedded in struct
 * process.
 *
 *              START            READY
 *     EMPTY ---------> STARTING -------> RUNNING
 *       ^               ^  |                |
 *       |          TIMER|  |EXITED          |EXITED      (after the first death in a row:
 *       |  DRAIN, STOP  |  v                |             STARTING again at once)
 *       +------------ BACKOFF <-------------+
 *       |
 *       |  EXITED               DRAIN, STOP
 *       +---------- DRAINING <-------------- STARTING, RUNNING
 *
 * EXITED with code 78 while STARTING or RUNNING leads to HELD: the child is not started again
 * until START (a reload). A child with `once` goes from EMPTY to RUNNING and back.
 *
 * Times are milliseconds, monotonic. */
#ifndef SUPERVISOR_CHILD_FSM_H
#define SUPERVISOR_CHILD_FSM_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

enum {
    CHILD_FSM_EXIT_CONFIG = 78,       /* EX_CONFIG: "do not restart me" */
    CHILD_FSM_DELAY_FIRST_MS = 100,   /* after the second death in a row */
    CHILD_FSM_DELAY_MAX_MS = 10000,   /* doubled up to this */
    CHILD_FSM_DELAY_LAST_MS = 250,    /* at most, for the last worker: nobody serves */
    CHILD_FSM_GOOD_LIFE_MS = 10000,   /* ready for so long: resets the crash counter */
    CHILD_FSM_START_LIMIT_MS = 30000, /* a child that is not ready by then has hung */
    CHILD_FSM_STUCK_MS = 5000,        /* SIGKILL has not ended it by then: it is stuck */
};

enum child_fsm_event {
    CHILD_FSM_START,      /* the row is wanted */
    CHILD_FSM_READY,      /* the child has said so */
    CHILD_FSM_EXITED,     /* reaped; its wait status is in the input */
    CHILD_FSM_NOT_FORKED, /* the host could not create a process */
    CHILD_FSM_TIMER,      /* the one that CHILD_FSM_ARM asked for */
    CHILD_FSM_DRAIN,      /* finish and exit, within limit_ms */
    CHILD_FSM_STOP,       /* exit now */
    CHILD_FSM_LATE,       /* the heartbeat is overdue */
    CHILD_FSM_EVENTS
};

/* Actions, a set of bits; carried out in this order. */
enum child_fsm_action {
    CHILD_FSM_SEND_DRAIN = 1, /* tell it to finish */
    CHILD_FSM_KILL = 2,       /* SIGKILL */
    CHILD_FSM_DISARM = 4,     /* cancel the timer */
    CHILD_FSM_ARM = 8,        /* set the timer to delay_ms */
    CHILD_FSM_FORK = 16,      /* launch it; when that fails: NOT_FORKED */
    CHILD_FSM_SERVES = 32,    /* it is ready: it replaces its predecessor */
    CHILD_FSM_RELEASE = 64,   /* the row is free */
};

struct child_fsm {
    uint8_t state; /* enum child_state */
    bool once; /* it performs one action: RUNNING from its start, for at most limit_ms of START,
                  and never started again, however it ends */
    bool killed;        /* and not reaped yet: it may hang in the kernel */
    uint64_t killed_ms; /* since when */
    uint32_t deaths;    /* in a row, since the last child that was ready for GOOD_LIFE_MS */
    uint64_t since_ms;  /* the last fork */
    uint64_t ready_ms;  /* the last READY */
};

struct child_fsm_input {
    uint64_t now_ms;
    int status;        /* EXITED: from waitpid */
    uint64_t limit_ms; /* DRAIN; START of one with `once` */
    bool last;         /* EXITED, NOT_FORKED: no other child does its work meanwhile */
};

/* Takes one event; returns the actions, and in *delay_ms the time for CHILD_FSM_ARM. An event
 * that has no meaning in a state does nothing. */
unsigned child_fsm_step(struct child_fsm *fsm, enum child_fsm_event event,
                        const struct child_fsm_input *input, uint64_t *delay_ms);

/* Was it killed CHILD_FSM_STUCK_MS ago, and has not ended? It hangs in the kernel (a file
 * system or a device that does not answer), or is traced; nobody knows for how long. */
bool child_fsm_stuck(const struct child_fsm *fsm, uint64_t now_ms);

const char *child_fsm_event_name(enum child_fsm_event event);

#endif
