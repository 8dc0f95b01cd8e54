/* What to do with a child when something happens: a pure function, so that it
 * is tested without forking. Supervisor only; one struct fsm per row of
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
#ifndef SUPERVISOR_FSM_H
#define SUPERVISOR_FSM_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

enum {
    FSM_EXIT_CONFIG = 78,       /* EX_CONFIG: "do not restart me" */
    FSM_DELAY_FIRST_MS = 100,   /* after the second death in a row */
    FSM_DELAY_MAX_MS = 10000,   /* doubled up to this */
    FSM_GOOD_LIFE_MS = 10000,   /* lived so long: its death begins a new row of deaths */
    FSM_START_LIMIT_MS = 30000, /* a child that is not ready by then hangs */
};

enum fsm_event {
    FSM_START,      /* the row is wanted */
    FSM_READY,      /* the child said so */
    FSM_EXITED,     /* reaped; its wait status comes along */
    FSM_NOT_FORKED, /* the host would not give a process */
    FSM_TIMER,      /* the one that FSM_ARM asked for */
    FSM_DRAIN,      /* finish and leave, within limit_ms */
    FSM_STOP,       /* leave now */
    FSM_LATE,       /* the heartbeat is overdue */
    FSM_EVENTS
};

/* Actions, a set of bits; carried out in this order. */
enum fsm_action {
    FSM_SEND_DRAIN = 1, /* tell it to finish */
    FSM_KILL = 2,       /* SIGKILL */
    FSM_DISARM = 4,     /* cancel the timer */
    FSM_ARM = 8,        /* set the timer to delay_ms */
    FSM_FORK = 16,      /* launch it; when that fails: NOT_FORKED */
    FSM_SERVES = 32,    /* it is ready: replace its predecessor, tell the world */
    FSM_RELEASE = 64,   /* the row is free */
};

struct fsm {
    uint8_t state;     /* enum child_state */
    bool once;         /* it has one thing to do: RUNNING from its start, for at most limit_ms
                          of START, and not started again, however it ends */
    uint32_t deaths;   /* in a row, none of them after a good life */
    uint64_t since_ms; /* the last fork */
    uint64_t ready_ms; /* the last READY */
};

struct fsm_input {
    uint64_t now_ms;
    int status;        /* EXITED: from waitpid */
    uint64_t limit_ms; /* DRAIN; START of one with `once` */
};

/* Takes one event; returns the actions, and in *delay_ms the time of FSM_ARM.
 * An event that means nothing in a state does nothing. */
unsigned fsm_step(struct fsm *fsm, enum fsm_event event, const struct fsm_input *input,
                  uint64_t *delay_ms);

const char *fsm_event_name(enum fsm_event event);

#endif
