#include "supervisor/child_fsm.h"

#include <stdbool.h>
#include <sys/wait.h>

#include "base/check.h"
#include "base/doubling.h"

/* As the next state, CHILD_STATES means: stay. RETRY is resolved by child_fsm_retry(). */
enum { STAY = CHILD_STATES, RETRY };

struct step {
    uint8_t actions;
    uint8_t next;
};

#define IGNORE  \
    {           \
        0, STAY \
    }

static const struct step steps[CHILD_STATES][CHILD_FSM_EVENTS] =
    {
        [CHILD_EMPTY] =
            {
                [CHILD_FSM_START] = {CHILD_FSM_FORK | CHILD_FSM_ARM, CHILD_STARTING},
                [CHILD_FSM_READY] = IGNORE,
                [CHILD_FSM_EXITED] = IGNORE,
                [CHILD_FSM_NOT_FORKED] = IGNORE,
                [CHILD_FSM_TIMER] = IGNORE,
                [CHILD_FSM_DRAIN] = IGNORE,
                [CHILD_FSM_STOP] = IGNORE,
                [CHILD_FSM_LATE] = IGNORE,
            },
        [CHILD_STARTING] =
            {
                [CHILD_FSM_START] = IGNORE,
                [CHILD_FSM_READY] = {CHILD_FSM_DISARM | CHILD_FSM_SERVES, CHILD_RUNNING},
                [CHILD_FSM_EXITED] = {0, RETRY},
                [CHILD_FSM_NOT_FORKED] = {0, RETRY},
                [CHILD_FSM_TIMER] = {CHILD_FSM_KILL, STAY},
                [CHILD_FSM_DRAIN] = {CHILD_FSM_SEND_DRAIN | CHILD_FSM_ARM, CHILD_DRAINING},
                [CHILD_FSM_STOP] = {CHILD_FSM_KILL | CHILD_FSM_DISARM, CHILD_DRAINING},
                [CHILD_FSM_LATE] = IGNORE, /* covered by the start timer */
            },
        [CHILD_RUNNING] =
            {
                [CHILD_FSM_START] = IGNORE,
                [CHILD_FSM_READY] = IGNORE,
                [CHILD_FSM_EXITED] = {0, RETRY},
                [CHILD_FSM_NOT_FORKED] = IGNORE,
                [CHILD_FSM_TIMER] = IGNORE,
                [CHILD_FSM_DRAIN] = {CHILD_FSM_SEND_DRAIN | CHILD_FSM_ARM, CHILD_DRAINING},
                [CHILD_FSM_STOP] = {CHILD_FSM_KILL, CHILD_DRAINING},
                [CHILD_FSM_LATE] = {CHILD_FSM_KILL, STAY},
            },
        [CHILD_DRAINING] =
            {
                [CHILD_FSM_START] = IGNORE,
                [CHILD_FSM_READY] = IGNORE,
                [CHILD_FSM_EXITED] = {CHILD_FSM_DISARM | CHILD_FSM_RELEASE, CHILD_EMPTY},
                [CHILD_FSM_NOT_FORKED] = IGNORE,
                [CHILD_FSM_TIMER] = {CHILD_FSM_KILL, STAY},
                [CHILD_FSM_DRAIN] = IGNORE,
                [CHILD_FSM_STOP] = {CHILD_FSM_KILL | CHILD_FSM_DISARM, STAY},
                [CHILD_FSM_LATE] = {CHILD_FSM_KILL, STAY},
            },
        [CHILD_BACKOFF] =
            {
                [CHILD_FSM_START] = IGNORE,
                [CHILD_FSM_READY] = IGNORE,
                [CHILD_FSM_EXITED] = IGNORE,
                [CHILD_FSM_NOT_FORKED] = IGNORE,
                [CHILD_FSM_TIMER] = {CHILD_FSM_FORK | CHILD_FSM_ARM, CHILD_STARTING},
                [CHILD_FSM_DRAIN] = {CHILD_FSM_DISARM | CHILD_FSM_RELEASE, CHILD_EMPTY},
                [CHILD_FSM_STOP] = {CHILD_FSM_DISARM | CHILD_FSM_RELEASE, CHILD_EMPTY},
                [CHILD_FSM_LATE] = IGNORE,
            },
        [CHILD_HELD] =
            {
                [CHILD_FSM_START] = {CHILD_FSM_FORK | CHILD_FSM_ARM, CHILD_STARTING},
                [CHILD_FSM_READY] = IGNORE,
                [CHILD_FSM_EXITED] = IGNORE,
                [CHILD_FSM_NOT_FORKED] = IGNORE,
                [CHILD_FSM_TIMER] = IGNORE,
                [CHILD_FSM_DRAIN] = {CHILD_FSM_RELEASE, CHILD_EMPTY},
                [CHILD_FSM_STOP] = {CHILD_FSM_RELEASE, CHILD_EMPTY},
                [CHILD_FSM_LATE] = IGNORE,
            },
};

/* 0 for the first death in a row, then 100 ms, doubled up to 10 s. */
static uint64_t delay_after(uint32_t deaths)
{
    return deaths <= 1
               ? 0
               : doubling_ms(CHILD_FSM_DELAY_FIRST_MS, CHILD_FSM_DELAY_MAX_MS, deaths - 1);
}

/* A child that was wanted has ended: when is the next one started? */
static struct step child_fsm_retry(struct child_fsm *fsm, enum child_fsm_event event,
                                   const struct child_fsm_input *input, uint64_t *delay_ms)
{
    bool good_life = fsm->state == CHILD_RUNNING && fsm->ready_ms >= fsm->since_ms &&
                     input->now_ms - fsm->ready_ms >= CHILD_FSM_GOOD_LIFE_MS;

    if (event == CHILD_FSM_EXITED && WIFEXITED(input->status) &&
        WEXITSTATUS(input->status) == CHILD_FSM_EXIT_CONFIG)
        return (struct step){CHILD_FSM_DISARM, CHILD_HELD};
    fsm->deaths = good_life ? 1 : fsm->deaths + 1;
    *delay_ms = delay_after(fsm->deaths);
    if (input->last && *delay_ms > CHILD_FSM_DELAY_LAST_MS)
        *delay_ms = CHILD_FSM_DELAY_LAST_MS;
    if (event == CHILD_FSM_NOT_FORKED && *delay_ms == 0)
        *delay_ms = CHILD_FSM_DELAY_FIRST_MS; /* give the host a moment */
    if (*delay_ms == 0)
        return (struct step){CHILD_FSM_FORK | CHILD_FSM_ARM, CHILD_STARTING};
    return (struct step){CHILD_FSM_ARM, CHILD_BACKOFF};
}

/* Exceptions for a child that performs one action. */
static struct step step_once(const struct child_fsm *fsm, enum child_fsm_event event,
                             struct step step)
{
    if (event == CHILD_FSM_START && fsm->state == CHILD_EMPTY)
        return (struct step){CHILD_FSM_FORK | CHILD_FSM_ARM, CHILD_RUNNING};
    if (fsm->state != CHILD_RUNNING)
        return step;
    if (event == CHILD_FSM_EXITED || event == CHILD_FSM_NOT_FORKED)
        return (struct step){CHILD_FSM_DISARM | CHILD_FSM_RELEASE, CHILD_EMPTY};
    if (event == CHILD_FSM_TIMER)
        return (struct step){CHILD_FSM_KILL, STAY};
    if (event == CHILD_FSM_STOP)
        return (struct step){CHILD_FSM_KILL | CHILD_FSM_DISARM, CHILD_DRAINING};
    return step;
}

unsigned child_fsm_step(struct child_fsm *fsm, enum child_fsm_event event,
                        const struct child_fsm_input *input, uint64_t *delay_ms)
{
    CHECK(fsm->state < CHILD_STATES && event < CHILD_FSM_EVENTS);
    struct step step = steps[fsm->state][event];

    *delay_ms = event == CHILD_FSM_DRAIN ? input->limit_ms : 0;
    if (event == CHILD_FSM_LATE && fsm->killed) /* comes each second: once is enough */
        return 0;
    if (fsm->once)
        step = step_once(fsm, event, step);
    if (step.next == RETRY)
        step = child_fsm_retry(fsm, event, input, delay_ms);
    if (step.next != STAY)
        fsm->state = step.next;
    if ((step.actions & CHILD_FSM_KILL) && !fsm->killed)
        fsm->killed_ms = input->now_ms;
    if (step.actions & CHILD_FSM_KILL)
        fsm->killed = true;
    if (event == CHILD_FSM_EXITED)
        fsm->killed = false;
    if (step.actions & CHILD_FSM_FORK) {
        fsm->since_ms = input->now_ms;
        *delay_ms = fsm->once ? input->limit_ms : CHILD_FSM_START_LIMIT_MS;
    }
    if (step.actions & CHILD_FSM_SERVES)
        fsm->ready_ms = input->now_ms;
    if (step.actions & CHILD_FSM_RELEASE)
        fsm->deaths = 0;
    return step.actions;
}

bool child_fsm_stuck(const struct child_fsm *fsm, uint64_t now_ms)
{
    return fsm->killed && now_ms >= fsm->killed_ms + CHILD_FSM_STUCK_MS;
}

const char *child_fsm_event_name(enum child_fsm_event event)
{
    static const char *const names[] = {"start", "ready", "exited", "not forked",
                                        "timer", "drain", "stop",   "late"};

    _Static_assert(sizeof names / sizeof *names == CHILD_FSM_EVENTS, "a name for each event");
    return event < CHILD_FSM_EVENTS ? names[event] : "?";
}
