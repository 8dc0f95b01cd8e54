/* The supervision function: every state with every event, and whole lives. */
#include "supervisor/fsm.h"

#include "t/unit/tap.h"

#define EXIT(code) ((code) << 8) /* a wait status */
#define KILLED     9

static struct fsm fsm;
static uint64_t now, delay;

static unsigned step(enum fsm_event event, int status)
{
    struct fsm_input input = {.now_ms = now, .status = status, .limit_ms = 30000};

    return fsm_step(&fsm, event, &input, &delay);
}

static void begin(enum child_state state)
{
    fsm = (struct fsm){.state = (uint8_t)state};
    now = 1000000;
}

static void check(enum child_state from, enum fsm_event event, int status, unsigned actions,
                  enum child_state to)
{
    begin(from);
    unsigned got = step(event, status);
    ok(got == actions && fsm.state == to, "%s + %s: actions %u, %s", child_state_name(from),
       fsm_event_name(event), actions, child_state_name(to));
    if (got != actions || fsm.state != to)
        diag("got actions %u, %s", got, child_state_name(fsm.state));
}

static void test_steps(void)
{
    static const struct {
        enum child_state from;
        enum fsm_event event;
        int status;
        unsigned actions;
        enum child_state to;
    } wanted[] = {
        {CHILD_EMPTY, FSM_START, 0, FSM_FORK | FSM_ARM, CHILD_STARTING},
        {CHILD_STARTING, FSM_READY, 0, FSM_DISARM | FSM_SERVES, CHILD_RUNNING},
        {CHILD_STARTING, FSM_EXITED, EXIT(1), FSM_FORK | FSM_ARM, CHILD_STARTING},
        {CHILD_STARTING, FSM_EXITED, EXIT(78), FSM_DISARM, CHILD_HELD},
        {CHILD_STARTING, FSM_NOT_FORKED, 0, FSM_ARM, CHILD_BACKOFF},
        {CHILD_STARTING, FSM_TIMER, 0, FSM_KILL, CHILD_STARTING},
        {CHILD_STARTING, FSM_DRAIN, 0, FSM_SEND_DRAIN | FSM_ARM, CHILD_DRAINING},
        {CHILD_STARTING, FSM_STOP, 0, FSM_KILL | FSM_DISARM, CHILD_DRAINING},
        {CHILD_RUNNING, FSM_EXITED, KILLED, FSM_FORK | FSM_ARM, CHILD_STARTING},
        {CHILD_RUNNING, FSM_EXITED, EXIT(0), FSM_FORK | FSM_ARM, CHILD_STARTING},
        {CHILD_RUNNING, FSM_EXITED, EXIT(78), FSM_DISARM, CHILD_HELD},
        {CHILD_RUNNING, FSM_DRAIN, 0, FSM_SEND_DRAIN | FSM_ARM, CHILD_DRAINING},
        {CHILD_RUNNING, FSM_STOP, 0, FSM_KILL, CHILD_DRAINING},
        {CHILD_RUNNING, FSM_LATE, 0, FSM_KILL, CHILD_RUNNING},
        {CHILD_DRAINING, FSM_EXITED, EXIT(0), FSM_DISARM | FSM_RELEASE, CHILD_EMPTY},
        {CHILD_DRAINING, FSM_EXITED, EXIT(78), FSM_DISARM | FSM_RELEASE, CHILD_EMPTY},
        {CHILD_DRAINING, FSM_EXITED, KILLED, FSM_DISARM | FSM_RELEASE, CHILD_EMPTY},
        {CHILD_DRAINING, FSM_TIMER, 0, FSM_KILL, CHILD_DRAINING},
        {CHILD_DRAINING, FSM_LATE, 0, FSM_KILL, CHILD_DRAINING},
        {CHILD_DRAINING, FSM_STOP, 0, FSM_KILL | FSM_DISARM, CHILD_DRAINING},
        {CHILD_BACKOFF, FSM_TIMER, 0, FSM_FORK | FSM_ARM, CHILD_STARTING},
        {CHILD_BACKOFF, FSM_DRAIN, 0, FSM_DISARM | FSM_RELEASE, CHILD_EMPTY},
        {CHILD_BACKOFF, FSM_STOP, 0, FSM_DISARM | FSM_RELEASE, CHILD_EMPTY},
        {CHILD_HELD, FSM_START, 0, FSM_FORK | FSM_ARM, CHILD_STARTING},
        {CHILD_HELD, FSM_DRAIN, 0, FSM_RELEASE, CHILD_EMPTY},
        {CHILD_HELD, FSM_STOP, 0, FSM_RELEASE, CHILD_EMPTY},
    };
    bool named[CHILD_STATES][FSM_EVENTS] = {{false}};

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        named[wanted[i].from][wanted[i].event] = true;
        check(wanted[i].from, wanted[i].event, wanted[i].status, wanted[i].actions,
              wanted[i].to);
    }
    for (int s = 0; s < CHILD_STATES; s++)
        for (int e = 0; e < FSM_EVENTS; e++)
            if (!named[s][e])
                check((enum child_state)s, (enum fsm_event)e, 0, 0, (enum child_state)s);
}

/* Dies again and again right after its start. */
static void test_delays(void)
{
    static const uint64_t wanted[] = {0,    100,  200,   400,   800,  1600,
                                      3200, 6400, 10000, 10000, 10000};

    begin(CHILD_EMPTY);
    step(FSM_START, 0);
    is_int(delay, FSM_START_LIMIT_MS, "a start has its limit");
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        now += 5;
        step(FSM_EXITED, KILLED);
        if (wanted[i] == 0) {
            is_int(fsm.state, CHILD_STARTING, "death %zu: at once", i + 1);
            continue;
        }
        is_int(fsm.state, CHILD_BACKOFF, "death %zu: waits", i + 1);
        is_int(delay, wanted[i], "death %zu: for %d ms", i + 1, (int)wanted[i]);
        now += delay;
        step(FSM_TIMER, 0);
    }
}

static void test_good_life(void)
{
    begin(CHILD_EMPTY);
    step(FSM_START, 0);
    for (int i = 0; i < 5; i++) {
        step(FSM_EXITED, KILLED);
        if (fsm.state == CHILD_BACKOFF)
            step(FSM_TIMER, 0);
    }
    now += 50;
    step(FSM_READY, 0);
    now += FSM_GOOD_LIFE_MS - 1;
    step(FSM_EXITED, KILLED);
    is_int(delay, 1600, "a life of nearly 10 s is not yet a good one");
    now += delay;
    step(FSM_TIMER, 0);
    step(FSM_READY, 0);
    now += FSM_GOOD_LIFE_MS;
    step(FSM_EXITED, KILLED);
    is_int(fsm.state, CHILD_STARTING, "after a good life it is back at once");
    is_int(fsm.deaths, 1, "and the row of deaths is a new one");
    /* Now it hangs in its start for longer than a good life. */
    now += FSM_START_LIMIT_MS;
    ok(step(FSM_TIMER, 0) == FSM_KILL, "it is killed when it is not ready in time");
    step(FSM_EXITED, KILLED);
    is_int(delay, FSM_DELAY_FIRST_MS, "time spent in starting is no good life");
}

static void test_drain(void)
{
    begin(CHILD_RUNNING);
    step(FSM_DRAIN, 0);
    is_int(delay, 30000, "drain: the timer is the limit that was given");
    is_int(step(FSM_DRAIN, 0), 0, "a second drain changes nothing");
    is_int(step(FSM_READY, 0), 0, "nor does a late ready");
    step(FSM_EXITED, KILLED);
    is_int(fsm.deaths, 0, "a row that is free has no deaths");
}

/* A child that lives for one action. */
static void test_once(void)
{
    static const struct {
        enum child_state from;
        enum fsm_event event;
        unsigned actions;
        enum child_state to;
    } wanted[] = {
        {CHILD_EMPTY, FSM_START, FSM_FORK | FSM_ARM, CHILD_RUNNING},
        {CHILD_RUNNING, FSM_EXITED, FSM_DISARM | FSM_RELEASE, CHILD_EMPTY},
        {CHILD_RUNNING, FSM_NOT_FORKED, FSM_DISARM | FSM_RELEASE, CHILD_EMPTY},
        {CHILD_RUNNING, FSM_TIMER, FSM_KILL, CHILD_RUNNING},
        {CHILD_RUNNING, FSM_READY, 0, CHILD_RUNNING},
        {CHILD_RUNNING, FSM_START, 0, CHILD_RUNNING},
        {CHILD_RUNNING, FSM_DRAIN, FSM_SEND_DRAIN | FSM_ARM, CHILD_DRAINING},
        {CHILD_RUNNING, FSM_STOP, FSM_KILL | FSM_DISARM, CHILD_DRAINING},
        {CHILD_DRAINING, FSM_EXITED, FSM_DISARM | FSM_RELEASE, CHILD_EMPTY},
        {CHILD_DRAINING, FSM_TIMER, FSM_KILL, CHILD_DRAINING},
        {CHILD_DRAINING, FSM_STOP, FSM_KILL | FSM_DISARM, CHILD_DRAINING},
    };

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        begin(wanted[i].from);
        fsm.once = true;
        unsigned got = step(wanted[i].event, 0);
        ok(got == wanted[i].actions && fsm.state == wanted[i].to, "once, %s + %s: %u, %s",
           child_state_name(wanted[i].from), fsm_event_name(wanted[i].event), wanted[i].actions,
           child_state_name(wanted[i].to));
    }
    begin(CHILD_EMPTY);
    fsm.once = true;
    step(FSM_START, 0);
    is_int(delay, 30000, "once: its time is what START says");
    step(FSM_EXITED, EXIT(78));
    is_int(fsm.state, CHILD_EMPTY, "whatever it ends with");
}

int main(void)
{
    test_once();
    test_steps();
    test_delays();
    test_good_life();
    test_drain();
    return done();
}
