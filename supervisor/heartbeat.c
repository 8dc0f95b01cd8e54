/* Once a second: checks the heartbeats of children, tells systemd's watchdog, repairs rows. */
#include <stddef.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/fd.h"
#include "base/log.h"
#include "supervisor/backend/recovery.h"
#include "supervisor/notify.h"
#include "supervisor/publish.h"
#include "supervisor/supervise.h"

enum {
    HEARTBEAT_MS = 1000,
    HEARTBEAT_LATE_MS = 3000, /* so late ourselves: the host was stopped, not a child */
};

static void check_heartbeats(struct supervisor *sup, uint64_t now)
{
    for (int r = 0; r < ROWS; r++) {
        struct process *p = &sup->process[r];

        if (p->pid && p->kind != KIND_RESTARTER &&
            !process_is_alive(p, now, HEARTBEAT_LIMIT_MS))
            process_event(p, CHILD_FSM_LATE, &(struct child_fsm_input){.now_ms = now});
    }
}

/* Is at least one process of each role running and alive? */
static bool all_healthy(const struct supervisor *sup, uint64_t now)
{
    bool role[KIND_COUNT] = {false};

    for (int r = 0; r < ROWS; r++) {
        const struct process *p = &sup->process[r];

        if (p->generation == sup->current && p->fsm.state == CHILD_RUNNING &&
            process_is_alive(p, now, HEARTBEAT_LIMIT_MS))
            role[p->kind] = true;
    }
    return role[KIND_WORKER] && role[KIND_HEALTHD] && role[KIND_ACMED];
}

static void tell_watchdog(struct supervisor *sup, uint64_t now)
{
    if (sup->watchdog_ms == 0 || now < sup->watchdog_due_ms)
        return;
    if (!sup->stopping && sup->ready_told && !all_healthy(sup, now))
        return;
    notify_send("WATCHDOG=1");
    sup->watchdog_due_ms = now + sup->watchdog_ms / 2;
}

/* Something else wrote into our rows: after the repair, all readers are told to read them
 * again. */
static void heartbeat_repair_rows(struct supervisor *sup)
{
    table_repair_certs(sup->table);
    if (rows_repair() == 0)
        return;
    publish_ring_workers(sup);
    fd_ring(sup->heritage.doorbell_healthd);
    fd_ring(sup->heritage.doorbell_acmed);
}

/* An object without a name cannot get its name back: only a restart of the service helps. */
static void look_for_object(struct supervisor *sup)
{
    if (sup->unnamed || object_is_named(&sup->object))
        return;
    sup->unnamed = true;
    log_error("the table /dev/shm%s was removed: the service keeps running, but `pasgate "
              "status` and all other commands cannot reach it until it is restarted (RemoveIPC "
              "of logind.conf(5) removes such files of a user who logs out)",
              sup->object.name);
}

static void on_heartbeat(struct loop_timer *timer)
{
    struct supervisor *sup = container_of(timer, struct supervisor, heartbeat);
    uint64_t now = clock_mono_ms();

    /* After `docker pause` or a suspend, all heartbeats look overdue: every child gets its full
     * time again. */
    if (now > sup->heartbeat_due_ms + HEARTBEAT_LATE_MS) {
        log_warn("the supervisor was stopped for %llu s",
                 (unsigned long long)(now - sup->heartbeat_due_ms) / 1000);
        sup->grace_until_ms = now;
    }
    count_add(&sup->table->supervisor_log_lost, log_lost_since());
    atomic_store(&sup->table->header.heartbeat_ms, now);
    check_heartbeats(sup, now);
    heartbeat_repair_rows(sup);
    look_for_object(sup);
    lend_sockets(sup);
    recovery_heartbeat(sup);
    if (now >= sup->overrides_retry_ms) {
        sup->overrides_retry_ms = now + ADMIN_OVERRIDES_RETRY_MS;
        admin_retry(sup);
    }
    tell_watchdog(sup, now);
    sup->heartbeat_due_ms = now + HEARTBEAT_MS;
    loop_timer_set(&sup->loop, &sup->heartbeat, HEARTBEAT_MS);
}

void heartbeat_start(struct supervisor *sup)
{
    sup->heartbeat.fire = on_heartbeat;
    atomic_store(&sup->table->header.heartbeat_ms, clock_mono_ms());
    sup->heartbeat_due_ms = clock_mono_ms() + HEARTBEAT_MS;
    loop_timer_set(&sup->loop, &sup->heartbeat, HEARTBEAT_MS);
}
