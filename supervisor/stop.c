#include "supervisor/stop.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/backend/recovery.h"
#include "supervisor/notify.h"
#include "supervisor/publish.h"
#include "supervisor/supervise.h"

/* For reaping children that have to be killed, workers and then the others. */
enum { END_MARGIN_MS = 2 * (KILL_GRACE_MS + CHILD_FSM_STUCK_MS) };

/* systemd may be configured with less than our stop_timeout, and would kill what we let
 * finish. */
static uint64_t longest_end_us(const struct supervisor *sup)
{
    return ((uint64_t)sup->current->conf->stop_timeout_ms + SINGLE_DRAIN_MS + END_MARGIN_MS) *
           1000;
}

void stop_begin(struct supervisor *sup, bool now)
{
    struct child_fsm_input input = {.now_ms = clock_mono_ms()};

    if (!sup->stopping) {
        sup->stopping = true;
        sup->header.stopping = 1;
        reload_forget(sup);
        publish_header(sup);
        notify_send("STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64, longest_end_us(sup));
        watch_set(&sup->watch, false);
    }
    sup->restarter_until_ms = input.now_ms + (now ? 0 : sup->current->conf->stop_timeout_ms);
    /* First, so that the workers' copies are the last ones; they accept what waits. */
    listeners_close_all(&sup->listeners);
    for (int r = 0; r < ROW_RESTARTER; r++) {
        if (now)
            process_event(&sup->process[r], CHILD_FSM_STOP, &input);
        else if (r < TABLE_WORKERS)
            process_drain(&sup->process[r], sup->current->conf->stop_timeout_ms);
    }
}

/* Is there one that may end yet? */
static bool any_left(const struct supervisor *sup, int from, int to)
{
    uint64_t now = clock_mono_ms();

    for (int r = from; r < to; r++)
        if (sup->process[r].fsm.state != CHILD_EMPTY &&
            !child_fsm_stuck(&sup->process[r].fsm, now))
            return true;
    return false;
}

static void log_stuck(const struct supervisor *sup)
{
    char who[PROCESS_NAME];

    for (int r = 0; r < ROW_RESTARTER; r++)
        if (sup->process[r].fsm.state != CHILD_EMPTY)
            log_error("%s was killed %d s ago and has not ended, because it hangs in the "
                      "kernel: the service ends without it. Until it ends, what it holds stays "
                      "in use, and a new service may find its addresses taken",
                      process_describe(&sup->process[r], who), CHILD_FSM_STUCK_MS / 1000);
}

void stop_continue(struct supervisor *sup)
{
    if (any_left(sup, 0, TABLE_WORKERS))
        return;
    /* healthd and acmed work until the last exchange has ended. */
    for (int r = ROW_HEALTHD; r <= ROW_ACMED; r++)
        process_drain(&sup->process[r], SINGLE_DRAIN_MS);
    bool restarts = any_left(sup, ROW_RESTARTER, ROWS);
    if (any_left(sup, ROW_HEALTHD, ROW_RESTARTER) ||
        (restarts && clock_mono_ms() < sup->restarter_until_ms))
        return;
    if (restarts)
        log_warn(
            "the restart of backend %s has not ended: the service ends without it, and the "
            "restart goes on by itself, unless a container or systemd ends what is left",
            recovery_acting(sup));
    log_stuck(sup);
    sup->loop.stop = true;
}
