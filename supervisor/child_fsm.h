/* What to do with a child when something happens: a pure function, so that it
 * is tested without forking. Supervisor only; one struct child_fsm per row of
 * children, embedded in struct process.
 *
 *              START             READY
 *     EMPTY ---------> STARTING --------> RUNNING
 *       ^               |  ^   \            /  \
 *       |         EXITED|  |    \ DRAIN    /    \EXITED
 *       |               v  |TIMER\        v      \
 *       +----------- BACKOFF      +-> DRAINING <-+- (to BACKOFF, or at once to STARTING)
 *          DRAIN                          |
 *       +---------------------------------+ EXITED
 *
 * EXITED with code 78 while STARTING or RUNNING leads to HELD: not started
 * again until START (a reload). A child with `once` goes from EMPTY to RUNNING and back.
 * Times are milliseconds, monotonic. */
#ifndef SUPERVISOR_CHILD_FSM_H
#define SUPERVISOR_CHILD_FSM_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

enum {
    CHILD_FSM_EXIT_CONFIG = 78,     /* EX_CONFIG: "do not restart me" */
    CHILD_FSM_DELAY_FIRST_MS = 100, /* after the second death in a row */
    CHILD_FSM_DELAY_MAX_MS = 10000, /* doubled up to this */
    CHILD_FSM_DELAY_LAST_MS = 250,  /* but of the last worker: nobody serves until it is back */
    CHILD_FSM_GOOD_LIFE_MS = 10000, /* lived so long: its death begins a new row of deaths */
    CHILD_FSM_START_LIMIT_MS = 30000, /* a child that is not ready by then hangs */
};

enum child_fsm_event {
    CHILD_FSM_START,      /* the row is wanted */
    CHILD_FSM_READY,      /* the child said so */
    CHILD_FSM_EXITED,     /* reaped; its wait status comes along */
    CHILD_FSM_NOT_FORKED, /* the host would not give a process */
    CHILD_FSM_TIMER,      /* the one that CHILD_FSM_ARM asked for */
    CHILD_FSM_DRAIN,      /* finish and leave, within limit_ms */
    CHILD_FSM_STOP,       /* leave now */
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
    CHILD_FSM_SERVES = 32,    /* it is ready: replace its predecessor, tell the world */
    CHILD_FSM_RELEASE = 64,   /* the row is free */
};

struct child_fsm {
    uint8_t state;     /* enum child_state */
    bool once;         /* it has one thing to do: RUNNING from its start, for at most limit_ms
                          of START, and not started again, however it ends */
    uint32_t deaths;   /* in a row, none of them after a good life */
    uint64_t since_ms; /* the last fork */
    uint64_t ready_ms; /* the last READY */
};

struct child_fsm_input {
    uint64_t now_ms;
    int status;        /* EXITED: from waitpid */
    uint64_t limit_ms; /* DRAIN; START of one with `once` */
    bool last;         /* EXITED, NOT_FORKED: no other child does its work meanwhile */
};

/* Takes one event; returns the actions, and in *delay_ms the time of CHILD_FSM_ARM.
 * An event that means nothing in a state does nothing. */
unsigned child_fsm_step(struct child_fsm *fsm, enum child_fsm_event event,
                        const struct child_fsm_input *input, uint64_t *delay_ms);

const char *child_fsm_event_name(enum child_fsm_event event);

#endif
