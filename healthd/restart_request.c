#include "healthd/restart_request.h"

#include <stdio.h>

#include "base/conf/conf.h"

/* Another process will serve there: what was seen before no longer counts. */
static bool restart_request_begin_anew(struct backend_health *w, uint64_t now_ms)
{
    enum health_state from = w->row.state;

    w->row.ejections = 0;
    w->verdict.penalty = w->verdict.penalty_ttl = 0;
    stall_init(&w->stall, &w->stall.view, now_ms);
    w->stale = w->running;
    backend_health_force(w, HEALTH_DOWN, "being restarted", now_ms);
    return from != HEALTH_DOWN;
}

bool restart_request_follow(struct backend_health *w, uint64_t now_ms)
{
    struct admin_row admin;
    uint8_t before = w->heal;

    if (!admin_read(&w->table->admin[w->slot], &admin))
        return false;
    w->override = admin.override;
    w->heal = admin.heal;
    if (w->heal == before)
        return false;
    if (w->heal == RECOVERY_RESTARTING)
        return restart_request_begin_anew(w, now_ms);
    if (w->heal != RECOVERY_VERIFYING && before != RECOVERY_RESTARTING)
        return false;
    /* A probe that was sent before may have met the old process. */
    w->stale = w->running;
    w->due_ms = now_ms;
    return before != RECOVERY_RESTARTING && restart_request_begin_anew(w, now_ms);
}

static bool may_be_restarted(const struct backend_health *w)
{
    return w->backend->restart_docker[0] != '\0' || w->backend->n_restart_command > 0;
}

/* DOWN for long enough because of failed checks, or ejected again and again. */
static bool stays_unhealthy(const struct backend_health *w, uint64_t now_ms,
                            char why[TABLE_REASON])
{
    uint64_t after = w->pool->heal_after_ms, down = now_ms - w->row.since_ms;

    if (w->row.state == HEALTH_EJECTED && w->row.ejections >= EJECT_HEAL) {
        snprintf(why, TABLE_REASON, "ejected %u times in a row; %.110s", w->row.ejections,
                 w->row.reason);
        return true;
    }
    if (w->row.state != HEALTH_DOWN || w->row.fall == 0 ||
        down < (w->was_up ? after : after * RECOVERY_BOOT))
        return false;
    snprintf(why, TABLE_REASON, "down for %llu s: %.110s", (unsigned long long)down / 1000,
             w->row.reason);
    return true;
}

bool restart_request_wanted(struct backend_health *w, uint64_t now_ms, char why[TABLE_REASON])
{
    if (w->heal != RECOVERY_NONE || w->override != ADMIN_READY || !may_be_restarted(w) ||
        (w->asked_ms && now_ms - w->asked_ms < RECOVERY_ASK_MS) ||
        !stays_unhealthy(w, now_ms, why))
        return false;
    w->asked_ms = now_ms;
    return true;
}
