/* Once a second: whose heart beats, and are we ourselves to tell systemd so. */
#include <stddef.h>

#include "base/clock.h"
#include "base/log.h"
#include "supervisor/healing.h"
#include "supervisor/notify.h"
#include "supervisor/supervise.h"

enum {
    PULSE_MS = 1000,
    PULSE_LATE_MS = 3000, /* so late ourselves: the host was stopped, not a child */
};

static uint64_t heartbeat_of(const struct process *p)
{
    const struct table *table = p->sup->table;

    switch (p->kind) {
    case KIND_WORKER:
        return count_read(&table->worker[p->row].heartbeat_ms);
    case KIND_HEALTHD:
        return count_read(&table->healthd_heartbeat_ms);
    default:
        return count_read(&table->acmed_heartbeat_ms);
    }
}

/* What the row's earlier process left there does not count: a process has its
 * time from the moment it was ready. A beat from the future is one of now; a
 * child that lies here wins nothing but to hang undisturbed. */
static bool beats(const struct process *p, uint64_t now)
{
    uint64_t last = heartbeat_of(p);

    if (last < p->fsm.ready_ms)
        last = p->fsm.ready_ms;
    if (last < p->fsm.since_ms)
        last = p->fsm.since_ms;
    if (last < p->sup->grace_until_ms)
        last = p->sup->grace_until_ms;
    return last >= now || now - last < HEARTBEAT_LIMIT_MS;
}

static void check_hearts(struct supervisor *sup, uint64_t now)
{
    for (int r = 0; r < ROWS; r++) {
        struct process *p = &sup->process[r];

        if (p->pid && p->kind != KIND_RESTARTER && !beats(p, now))
            process_event(p, FSM_LATE, &(struct fsm_input){.now_ms = now});
    }
}

/* Does every role work? */
static bool all_well(const struct supervisor *sup, uint64_t now)
{
    bool role[KIND_COUNT] = {false};

    for (int r = 0; r < ROWS; r++) {
        const struct process *p = &sup->process[r];

        if (p->generation == sup->current && p->fsm.state == CHILD_RUNNING && beats(p, now))
            role[p->kind] = true;
    }
    return role[KIND_WORKER] && role[KIND_HEALTHD] && role[KIND_ACMED];
}

static void tell_watchdog(struct supervisor *sup, uint64_t now)
{
    if (sup->watchdog_ms == 0 || now < sup->watchdog_due_ms)
        return;
    if (!sup->stopping && sup->ready_told && !all_well(sup, now))
        return;
    notify_send("WATCHDOG=1");
    sup->watchdog_due_ms = now + sup->watchdog_ms / 2;
}

static void on_pulse(struct loop_timer *timer)
{
    struct supervisor *sup =
        (struct supervisor *)((char *)timer - offsetof(struct supervisor, pulse));
    uint64_t now = clock_mono_ms();

    /* After `docker pause` or a suspended machine all hearts seem to have
     * stopped: they get their time again. */
    if (now > sup->pulse_due_ms + PULSE_LATE_MS) {
        log_warn("the supervisor was stopped for %llu s",
                 (unsigned long long)(now - sup->pulse_due_ms) / 1000);
        sup->grace_until_ms = now;
    }
    check_hearts(sup, now);
    healing_pulse(sup);
    tell_watchdog(sup, now);
    sup->pulse_due_ms = now + PULSE_MS;
    loop_timer_set(&sup->loop, &sup->pulse, PULSE_MS);
}

void pulse_start(struct supervisor *sup)
{
    sup->pulse.fire = on_pulse;
    sup->pulse_due_ms = clock_mono_ms() + PULSE_MS;
    loop_timer_set(&sup->loop, &sup->pulse, PULSE_MS);
}
