#include "supervisor/fsm.h"

#include <stdbool.h>
#include <sys/wait.h>

#include "base/check.h"

/* CHILD_STATES as the next state means: stay. RETRY is worked out below. */
enum { STAY = CHILD_STATES, RETRY };

struct step {
    uint8_t actions;
    uint8_t next;
};

#define IGNORE  \
    {           \
        0, STAY \
    }

static const struct step steps[CHILD_STATES][FSM_EVENTS] =
    {
        [CHILD_EMPTY] =
            {
                [FSM_START] = {FSM_FORK | FSM_ARM, CHILD_STARTING},
                [FSM_READY] = IGNORE,
                [FSM_EXITED] = IGNORE,
                [FSM_NOT_FORKED] = IGNORE,
                [FSM_TIMER] = IGNORE,
                [FSM_DRAIN] = IGNORE,
                [FSM_STOP] = IGNORE,
                [FSM_LATE] = IGNORE,
            },
        [CHILD_STARTING] =
            {
                [FSM_START] = IGNORE,
                [FSM_READY] = {FSM_DISARM | FSM_SERVES, CHILD_RUNNING},
                [FSM_EXITED] = {0, RETRY},
                [FSM_NOT_FORKED] = {0, RETRY},
                [FSM_TIMER] = {FSM_KILL, STAY},
                [FSM_DRAIN] = {FSM_SEND_DRAIN | FSM_ARM, CHILD_DRAINING},
                [FSM_STOP] = {FSM_KILL | FSM_DISARM, CHILD_DRAINING},
                [FSM_LATE] = IGNORE, /* its timer looks after it */
            },
        [CHILD_RUNNING] =
            {
                [FSM_START] = IGNORE,
                [FSM_READY] = IGNORE,
                [FSM_EXITED] = {0, RETRY},
                [FSM_NOT_FORKED] = IGNORE,
                [FSM_TIMER] = IGNORE,
                [FSM_DRAIN] = {FSM_SEND_DRAIN | FSM_ARM, CHILD_DRAINING},
                [FSM_STOP] = {FSM_KILL, CHILD_DRAINING},
                [FSM_LATE] = {FSM_KILL, STAY},
            },
        [CHILD_DRAINING] =
            {
                [FSM_START] = IGNORE,
                [FSM_READY] = IGNORE,
                [FSM_EXITED] = {FSM_DISARM | FSM_RELEASE, CHILD_EMPTY},
                [FSM_NOT_FORKED] = IGNORE,
                [FSM_TIMER] = {FSM_KILL, STAY},
                [FSM_DRAIN] = IGNORE,
                [FSM_STOP] = {FSM_KILL | FSM_DISARM, STAY},
                [FSM_LATE] = {FSM_KILL, STAY},
            },
        [CHILD_BACKOFF] =
            {
                [FSM_START] = IGNORE,
                [FSM_READY] = IGNORE,
                [FSM_EXITED] = IGNORE,
                [FSM_NOT_FORKED] = IGNORE,
                [FSM_TIMER] = {FSM_FORK | FSM_ARM, CHILD_STARTING},
                [FSM_DRAIN] = {FSM_DISARM | FSM_RELEASE, CHILD_EMPTY},
                [FSM_STOP] = {FSM_DISARM | FSM_RELEASE, CHILD_EMPTY},
                [FSM_LATE] = IGNORE,
            },
        [CHILD_HELD] =
            {
                [FSM_START] = {FSM_FORK | FSM_ARM, CHILD_STARTING},
                [FSM_READY] = IGNORE,
                [FSM_EXITED] = IGNORE,
                [FSM_NOT_FORKED] = IGNORE,
                [FSM_TIMER] = IGNORE,
                [FSM_DRAIN] = {FSM_RELEASE, CHILD_EMPTY},
                [FSM_STOP] = {FSM_RELEASE, CHILD_EMPTY},
                [FSM_LATE] = IGNORE,
            },
};

/* 0 for the first death in a row, then 100 ms, doubled up to 10 s. */
static uint64_t delay_after(uint32_t deaths)
{
    uint64_t delay = FSM_DELAY_FIRST_MS;

    if (deaths <= 1)
        return 0;
    for (uint32_t i = 2; i < deaths && delay < FSM_DELAY_MAX_MS; i++)
        delay *= 2;
    return delay < FSM_DELAY_MAX_MS ? delay : FSM_DELAY_MAX_MS;
}

/* A child that was wanted is gone: when does the next one come? */
static struct step retry(struct fsm *fsm, enum fsm_event event, const struct fsm_input *input,
                         uint64_t *delay_ms)
{
    bool good_life = fsm->state == CHILD_RUNNING && fsm->ready_ms >= fsm->since_ms &&
                     input->now_ms - fsm->ready_ms >= FSM_GOOD_LIFE_MS;

    if (event == FSM_EXITED && WIFEXITED(input->status) &&
        WEXITSTATUS(input->status) == FSM_EXIT_CONFIG)
        return (struct step){FSM_DISARM, CHILD_HELD};
    fsm->deaths = good_life ? 1 : fsm->deaths + 1;
    *delay_ms = delay_after(fsm->deaths);
    if (event == FSM_NOT_FORKED && *delay_ms == 0)
        *delay_ms = FSM_DELAY_FIRST_MS; /* the host needs a moment */
    if (*delay_ms == 0)
        return (struct step){FSM_FORK | FSM_ARM, CHILD_STARTING};
    return (struct step){FSM_ARM, CHILD_BACKOFF};
}

/* What differs for a child that lives for one action. */
static struct step step_once(const struct fsm *fsm, enum fsm_event event, struct step step)
{
    if (event == FSM_START && fsm->state == CHILD_EMPTY)
        return (struct step){FSM_FORK | FSM_ARM, CHILD_RUNNING};
    if (fsm->state != CHILD_RUNNING)
        return step;
    if (event == FSM_EXITED || event == FSM_NOT_FORKED)
        return (struct step){FSM_DISARM | FSM_RELEASE, CHILD_EMPTY};
    if (event == FSM_TIMER)
        return (struct step){FSM_KILL, STAY};
    if (event == FSM_STOP)
        return (struct step){FSM_KILL | FSM_DISARM, CHILD_DRAINING};
    return step;
}

unsigned fsm_step(struct fsm *fsm, enum fsm_event event, const struct fsm_input *input,
                  uint64_t *delay_ms)
{
    CHECK(fsm->state < CHILD_STATES && event < FSM_EVENTS);
    struct step step = steps[fsm->state][event];

    *delay_ms = event == FSM_DRAIN ? input->limit_ms : 0;
    if (fsm->once)
        step = step_once(fsm, event, step);
    if (step.next == RETRY)
        step = retry(fsm, event, input, delay_ms);
    if (step.next != STAY)
        fsm->state = step.next;
    if (step.actions & FSM_FORK) {
        fsm->since_ms = input->now_ms;
        *delay_ms = fsm->once ? input->limit_ms : FSM_START_LIMIT_MS;
    }
    if (step.actions & FSM_SERVES)
        fsm->ready_ms = input->now_ms;
    if (step.actions & FSM_RELEASE)
        fsm->deaths = 0;
    return step.actions;
}

const char *fsm_event_name(enum fsm_event event)
{
    static const char *const names[] = {"start", "ready", "exited", "not forked",
                                        "timer", "drain", "stop",   "late"};

    _Static_assert(sizeof names / sizeof *names == FSM_EVENTS, "a name for each event");
    return event < FSM_EVENTS ? names[event] : "?";
}
