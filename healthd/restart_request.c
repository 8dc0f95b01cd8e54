#include "healthd/restart_request.h"

#include <stdio.h>

#include "base/conf/conf.h"
#include "healthd/outlier/outlier.h"

/* Another process will serve there: what was seen before no longer counts. */
static void begin_anew(struct backend_health *w, uint64_t now_ms)
{
    w->row.ejections = w->penalty = w->penalty_ttl = 0;
    w->row.rise = w->row.fall = w->row.cause = 0;
    evidence_init(&w->seen, w->table, w->slot, now_ms);
    backend_health_turn(w, HEALTH_DOWN, CAUSE_NONE, now_ms, "being restarted");
}

void restart_request_follow(struct backend_health *w, uint64_t now_ms)
{
    struct admin_row admin;
    uint8_t before = w->heal;

    if (!admin_read(&w->table->admin[w->slot], &admin))
        return;
    w->override = admin.override;
    w->heal = admin.heal;
    if (w->heal == before || (w->heal != RECOVERY_RESTARTING && w->heal != RECOVERY_VERIFYING &&
                              before != RECOVERY_RESTARTING))
        return;
    /* A probe that was sent before may have met the old process. */
    w->stale = w->running;
    if (w->heal != RECOVERY_RESTARTING)
        w->due_ms = now_ms;
    if (before != RECOVERY_RESTARTING)
        begin_anew(w, now_ms);
}

/* DOWN for long enough because of failed checks, or ejected again and again. One that was never
 * UP may be booting. */
static bool stays_unhealthy(const struct backend_health *w, uint64_t now_ms,
                            char why[TABLE_REASON])
{
    const struct health_row *row = &w->row;
    uint64_t down_ms = now_ms - row->since_ms;

    if (row->state == HEALTH_EJECTED && row->ejections >= OUTLIER_RESTART) {
        snprintf(why, TABLE_REASON, "ejected %u times in a row; %.110s", row->ejections,
                 row->reason);
        return true;
    }
    snprintf(why, TABLE_REASON, "down for %llu s: %.110s", (unsigned long long)down_ms / 1000,
             row->reason);
    return row->state == HEALTH_DOWN && row->fall > 0 &&
           down_ms >= (uint64_t)w->pool->conf->heal_after_ms *
                          (row->was_up ? 1 : RESTART_REQUEST_BOOT);
}

bool restart_request_wanted(struct backend_health *w, uint64_t now_ms, char why[TABLE_REASON])
{
    const struct conf_backend *b = w->backend;

    if (w->heal != RECOVERY_NONE || w->override != ADMIN_READY ||
        (b->restart_docker[0] == '\0' && b->n_restart_command == 0) ||
        (w->asked_ms && now_ms - w->asked_ms < RESTART_REQUEST_AGAIN_MS) ||
        !stays_unhealthy(w, now_ms, why))
        return false;
    w->asked_ms = now_ms;
    return true;
}
