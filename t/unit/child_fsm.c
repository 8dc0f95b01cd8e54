/* The supervision function: every state with every event, and whole lives. */
#include "supervisor/child_fsm.h"

#include "t/unit/tap.h"

#define EXIT(code) ((code) << 8) /* a wait status */
#define KILLED     9

static struct child_fsm fsm;
static uint64_t now, delay;

static unsigned step(enum child_fsm_event event, int status)
{
    struct child_fsm_input input = {.now_ms = now, .status = status, .limit_ms = 30000};

    return child_fsm_step(&fsm, event, &input, &delay);
}

static void begin(enum child_state state)
{
    fsm = (struct child_fsm){.state = (uint8_t)state};
    now = 1000000;
}

static void check(enum child_state from, enum child_fsm_event event, int status,
                  unsigned actions, enum child_state to)
{
    begin(from);
    unsigned got = step(event, status);
    ok(got == actions && fsm.state == to, "%s + %s: actions %u, %s", child_state_name(from),
       child_fsm_event_name(event), actions, child_state_name(to));
    if (got != actions || fsm.state != to)
        diag("got actions %u, %s", got, child_state_name(fsm.state));
}

static void test_steps(void)
{
    static const struct {
        enum child_state from;
        enum child_fsm_event event;
        int status;
        unsigned actions;
        enum child_state to;
    } wanted[] = {
        {CHILD_EMPTY, CHILD_FSM_START, 0, CHILD_FSM_FORK | CHILD_FSM_ARM, CHILD_STARTING},
        {CHILD_STARTING, CHILD_FSM_READY, 0, CHILD_FSM_DISARM | CHILD_FSM_SERVES,
         CHILD_RUNNING},
        {CHILD_STARTING, CHILD_FSM_EXITED, EXIT(1), CHILD_FSM_FORK | CHILD_FSM_ARM,
         CHILD_STARTING},
        {CHILD_STARTING, CHILD_FSM_EXITED, EXIT(78), CHILD_FSM_DISARM, CHILD_HELD},
        {CHILD_STARTING, CHILD_FSM_NOT_FORKED, 0, CHILD_FSM_ARM, CHILD_BACKOFF},
        {CHILD_STARTING, CHILD_FSM_TIMER, 0, CHILD_FSM_KILL, CHILD_STARTING},
        {CHILD_STARTING, CHILD_FSM_DRAIN, 0, CHILD_FSM_SEND_DRAIN | CHILD_FSM_ARM,
         CHILD_DRAINING},
        {CHILD_STARTING, CHILD_FSM_STOP, 0, CHILD_FSM_KILL | CHILD_FSM_DISARM, CHILD_DRAINING},
        {CHILD_RUNNING, CHILD_FSM_EXITED, KILLED, CHILD_FSM_FORK | CHILD_FSM_ARM,
         CHILD_STARTING},
        {CHILD_RUNNING, CHILD_FSM_EXITED, EXIT(0), CHILD_FSM_FORK | CHILD_FSM_ARM,
         CHILD_STARTING},
        {CHILD_RUNNING, CHILD_FSM_EXITED, EXIT(78), CHILD_FSM_DISARM, CHILD_HELD},
        {CHILD_RUNNING, CHILD_FSM_DRAIN, 0, CHILD_FSM_SEND_DRAIN | CHILD_FSM_ARM,
         CHILD_DRAINING},
        {CHILD_RUNNING, CHILD_FSM_STOP, 0, CHILD_FSM_KILL, CHILD_DRAINING},
        {CHILD_RUNNING, CHILD_FSM_LATE, 0, CHILD_FSM_KILL, CHILD_RUNNING},
        {CHILD_DRAINING, CHILD_FSM_EXITED, EXIT(0), CHILD_FSM_DISARM | CHILD_FSM_RELEASE,
         CHILD_EMPTY},
        {CHILD_DRAINING, CHILD_FSM_EXITED, EXIT(78), CHILD_FSM_DISARM | CHILD_FSM_RELEASE,
         CHILD_EMPTY},
        {CHILD_DRAINING, CHILD_FSM_EXITED, KILLED, CHILD_FSM_DISARM | CHILD_FSM_RELEASE,
         CHILD_EMPTY},
        {CHILD_DRAINING, CHILD_FSM_TIMER, 0, CHILD_FSM_KILL, CHILD_DRAINING},
        {CHILD_DRAINING, CHILD_FSM_LATE, 0, CHILD_FSM_KILL, CHILD_DRAINING},
        {CHILD_DRAINING, CHILD_FSM_STOP, 0, CHILD_FSM_KILL | CHILD_FSM_DISARM, CHILD_DRAINING},
        {CHILD_BACKOFF, CHILD_FSM_TIMER, 0, CHILD_FSM_FORK | CHILD_FSM_ARM, CHILD_STARTING},
        {CHILD_BACKOFF, CHILD_FSM_DRAIN, 0, CHILD_FSM_DISARM | CHILD_FSM_RELEASE, CHILD_EMPTY},
        {CHILD_BACKOFF, CHILD_FSM_STOP, 0, CHILD_FSM_DISARM | CHILD_FSM_RELEASE, CHILD_EMPTY},
        {CHILD_HELD, CHILD_FSM_START, 0, CHILD_FSM_FORK | CHILD_FSM_ARM, CHILD_STARTING},
        {CHILD_HELD, CHILD_FSM_DRAIN, 0, CHILD_FSM_RELEASE, CHILD_EMPTY},
        {CHILD_HELD, CHILD_FSM_STOP, 0, CHILD_FSM_RELEASE, CHILD_EMPTY},
    };
    bool named[CHILD_STATES][CHILD_FSM_EVENTS] = {{false}};

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        named[wanted[i].from][wanted[i].event] = true;
        check(wanted[i].from, wanted[i].event, wanted[i].status, wanted[i].actions,
              wanted[i].to);
    }
    for (int s = 0; s < CHILD_STATES; s++)
        for (int e = 0; e < CHILD_FSM_EVENTS; e++)
            if (!named[s][e])
                check((enum child_state)s, (enum child_fsm_event)e, 0, 0, (enum child_state)s);
}

/* Dies again and again right after its start. */
static void test_delays(void)
{
    static const uint64_t wanted[] = {0,    100,  200,   400,   800,  1600,
                                      3200, 6400, 10000, 10000, 10000};

    begin(CHILD_EMPTY);
    step(CHILD_FSM_START, 0);
    is_int(delay, CHILD_FSM_START_LIMIT_MS, "a start has its limit");
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        now += 5;
        step(CHILD_FSM_EXITED, KILLED);
        if (wanted[i] == 0) {
            is_int(fsm.state, CHILD_STARTING, "death %zu: at once", i + 1);
            continue;
        }
        is_int(fsm.state, CHILD_BACKOFF, "death %zu: waits", i + 1);
        is_int(delay, wanted[i], "death %zu: for %d ms", i + 1, (int)wanted[i]);
        now += delay;
        step(CHILD_FSM_TIMER, 0);
    }
}

static void test_last(void)
{
    struct child_fsm_input input = {.status = KILLED, .last = true};

    begin(CHILD_EMPTY);
    step(CHILD_FSM_START, 0);
    for (int i = 0; i < 12; i++) {
        input.now_ms = now += 5;
        child_fsm_step(&fsm, CHILD_FSM_EXITED, &input, &delay);
        if (fsm.state == CHILD_BACKOFF)
            step(CHILD_FSM_TIMER, 0);
    }
    is_int(fsm.deaths, 12, "the last one died twelve times");
    input.now_ms = now += 5;
    child_fsm_step(&fsm, CHILD_FSM_EXITED, &input, &delay);
    is_int(delay, CHILD_FSM_DELAY_LAST_MS, "and comes back soon nevertheless");
}

static void test_good_life(void)
{
    begin(CHILD_EMPTY);
    step(CHILD_FSM_START, 0);
    for (int i = 0; i < 5; i++) {
        step(CHILD_FSM_EXITED, KILLED);
        if (fsm.state == CHILD_BACKOFF)
            step(CHILD_FSM_TIMER, 0);
    }
    now += 50;
    step(CHILD_FSM_READY, 0);
    now += CHILD_FSM_GOOD_LIFE_MS - 1;
    step(CHILD_FSM_EXITED, KILLED);
    is_int(delay, 1600, "a life of nearly 10 s is not yet a good one");
    now += delay;
    step(CHILD_FSM_TIMER, 0);
    step(CHILD_FSM_READY, 0);
    now += CHILD_FSM_GOOD_LIFE_MS;
    step(CHILD_FSM_EXITED, KILLED);
    is_int(fsm.state, CHILD_STARTING, "after a good life it is back at once");
    is_int(fsm.deaths, 1, "and the row of deaths is a new one");
    /* Now it hangs in its start for longer than a good life. */
    now += CHILD_FSM_START_LIMIT_MS;
    ok(step(CHILD_FSM_TIMER, 0) == CHILD_FSM_KILL, "it is killed when it is not ready in time");
    step(CHILD_FSM_EXITED, KILLED);
    is_int(delay, CHILD_FSM_DELAY_FIRST_MS, "time spent in starting is no good life");
}

static void test_drain(void)
{
    begin(CHILD_RUNNING);
    step(CHILD_FSM_DRAIN, 0);
    is_int(delay, 30000, "drain: the timer is the limit that was given");
    is_int(step(CHILD_FSM_DRAIN, 0), 0, "a second drain changes nothing");
    is_int(step(CHILD_FSM_READY, 0), 0, "nor does a late ready");
    step(CHILD_FSM_EXITED, KILLED);
    is_int(fsm.deaths, 0, "a row that is free has no deaths");
}

/* A hung child that SIGKILL does not end yet: its heartbeat is overdue each second. */
static void test_hung(void)
{
    begin(CHILD_RUNNING);
    ok(step(CHILD_FSM_LATE, 0) == CHILD_FSM_KILL, "a hung child is killed");
    is_int(step(CHILD_FSM_LATE, 0), 0, "once");
    is_int(fsm.state, CHILD_RUNNING, "until it ends, it has its row");
    step(CHILD_FSM_EXITED, KILLED);
    step(CHILD_FSM_READY, 0);
    ok(step(CHILD_FSM_LATE, 0) == CHILD_FSM_KILL, "so is the next one");
    step(CHILD_FSM_DRAIN, 0);
    is_int(step(CHILD_FSM_LATE, 0), 0, "nor again while it drains");
    ok(step(CHILD_FSM_TIMER, 0) == CHILD_FSM_KILL, "but at the end of its time");
    ok(step(CHILD_FSM_STOP, 0) & CHILD_FSM_KILL, "and at a stop");
}

/* SIGKILL does not end it: the end of the service does not wait for it any longer. */
static void test_stuck(void)
{
    begin(CHILD_RUNNING);
    ok(!child_fsm_stuck(&fsm, now + CHILD_FSM_STUCK_MS), "one that runs is not stuck");
    step(CHILD_FSM_DRAIN, 0);
    step(CHILD_FSM_TIMER, 0);
    ok(!child_fsm_stuck(&fsm, now + CHILD_FSM_STUCK_MS - 1), "one that was killed may end yet");
    ok(child_fsm_stuck(&fsm, now + CHILD_FSM_STUCK_MS), "later it is stuck");
    now += CHILD_FSM_STUCK_MS - 1;
    step(CHILD_FSM_STOP, 0);
    ok(child_fsm_stuck(&fsm, now + 1), "to kill it again gives it no more time");
    step(CHILD_FSM_EXITED, KILLED);
    ok(!child_fsm_stuck(&fsm, now + 1), "when it has ended, it is no more");
    step(CHILD_FSM_START, 0);
    step(CHILD_FSM_READY, 0);
    ok(step(CHILD_FSM_LATE, 0) == CHILD_FSM_KILL, "the next one is killed when it hangs");
    ok(!child_fsm_stuck(&fsm, now + 1), "and has its own time");
    step(CHILD_FSM_EXITED, KILLED);
    step(CHILD_FSM_EXITED, KILLED);
    ok(fsm.state == CHILD_BACKOFF && !child_fsm_stuck(&fsm, now + CHILD_FSM_STUCK_MS),
       "one that waits for its next start is not stuck");
}

/* A child that lives for one action. */
static void test_once(void)
{
    static const struct {
        enum child_state from;
        enum child_fsm_event event;
        unsigned actions;
        enum child_state to;
    } wanted[] = {
        {CHILD_EMPTY, CHILD_FSM_START, CHILD_FSM_FORK | CHILD_FSM_ARM, CHILD_RUNNING},
        {CHILD_RUNNING, CHILD_FSM_EXITED, CHILD_FSM_DISARM | CHILD_FSM_RELEASE, CHILD_EMPTY},
        {CHILD_RUNNING, CHILD_FSM_NOT_FORKED, CHILD_FSM_DISARM | CHILD_FSM_RELEASE,
         CHILD_EMPTY},
        {CHILD_RUNNING, CHILD_FSM_TIMER, CHILD_FSM_KILL, CHILD_RUNNING},
        {CHILD_RUNNING, CHILD_FSM_READY, 0, CHILD_RUNNING},
        {CHILD_RUNNING, CHILD_FSM_START, 0, CHILD_RUNNING},
        {CHILD_RUNNING, CHILD_FSM_DRAIN, CHILD_FSM_SEND_DRAIN | CHILD_FSM_ARM, CHILD_DRAINING},
        {CHILD_RUNNING, CHILD_FSM_STOP, CHILD_FSM_KILL | CHILD_FSM_DISARM, CHILD_DRAINING},
        {CHILD_DRAINING, CHILD_FSM_EXITED, CHILD_FSM_DISARM | CHILD_FSM_RELEASE, CHILD_EMPTY},
        {CHILD_DRAINING, CHILD_FSM_TIMER, CHILD_FSM_KILL, CHILD_DRAINING},
        {CHILD_DRAINING, CHILD_FSM_STOP, CHILD_FSM_KILL | CHILD_FSM_DISARM, CHILD_DRAINING},
    };

    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        begin(wanted[i].from);
        fsm.once = true;
        unsigned got = step(wanted[i].event, 0);
        ok(got == wanted[i].actions && fsm.state == wanted[i].to, "once, %s + %s: %u, %s",
           child_state_name(wanted[i].from), child_fsm_event_name(wanted[i].event),
           wanted[i].actions, child_state_name(wanted[i].to));
    }
    begin(CHILD_EMPTY);
    fsm.once = true;
    step(CHILD_FSM_START, 0);
    is_int(delay, 30000, "once: its time is what START says");
    step(CHILD_FSM_EXITED, EXIT(78));
    is_int(fsm.state, CHILD_EMPTY, "whatever it ends with");
}

int main(void)
{
    test_hung();
    test_stuck();
    test_once();
    test_steps();
    test_delays();
    test_last();
    test_good_life();
    test_drain();
    return done();
}
