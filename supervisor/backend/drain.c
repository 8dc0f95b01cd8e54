#include "supervisor/backend/drain.h"

#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "shm/admission.h"
#include "shm/sessions.h"
#include "supervisor/backend/admin_stored.h"
#include "supervisor/publish.h"
#include "supervisor/supervise.h"

/* ---- pure */

uint64_t drain_deadline(const struct drain_view *v)
{
    return v->timeout_ms ? v->since_ms + v->timeout_ms : 0;
}

enum drain_end drain_decide(const struct drain_view *v, char out[DRAIN_REASON])
{
    uint64_t deadline = drain_deadline(v),
             took = v->now_ms > v->since_ms ? v->now_ms - v->since_ms : 0;

    if (v->in_flight == 0 && v->sessions == 0 && v->now_ms >= v->blind_until_ms) {
        snprintf(out, DRAIN_REASON, "drained: empty after %llu s",
                 (unsigned long long)took / 1000);
        return DRAIN_EMPTY;
    }
    if (deadline == 0 || v->now_ms < deadline)
        return DRAIN_GOES_ON;
    if (v->sessions == SESSIONS_UNCOUNTED)
        snprintf(out, DRAIN_REASON,
                 "drain_timeout: %u request%s and sessions cut (not counted: /dev/shm is too "
                 "small)",
                 v->in_flight, str_plural(v->in_flight));
    else if (v->in_flight || v->sessions)
        snprintf(out, DRAIN_REASON, "drain_timeout: %u request%s and %u session%s cut",
                 v->in_flight, str_plural(v->in_flight), v->sessions, str_plural(v->sessions));
    else
        snprintf(out, DRAIN_REASON,
                 "drain_timeout: sessions from before the restart are unknown");
    return DRAIN_CUT;
}

/* ---- the rows */

static const struct conf_pool *drain_pool_of(const struct supervisor *sup, int slot)
{
    const struct generation *g = sup->current;

    for (uint32_t i = 0; i < g->conf->n_backends; i++)
        if (g->backend_slot[i] == slot)
            return &g->conf->pools[g->conf->backends[i].pool];
    return NULL;
}

static uint64_t since_of(const struct admin_row *row)
{
    return row->override == ADMIN_DRAIN ? row->since_ms : row->recovery_since_ms;
}

void drain_begin(const struct supervisor *sup, int slot, struct admin_row *row)
{
    const struct conf_pool *pool = drain_pool_of(sup, slot);
    struct drain_view view = {.since_ms = since_of(row)};

    row->drained = DRAIN_GOES_ON;
    row->deadline_ms = 0;
    if (!pool || !admission_drains(row))
        return;
    view.timeout_ms = pool->drain_timeout_ms;
    row->deadline_ms = drain_deadline(&view);
}

/* With a key from before this start, or with the backends' own tags (sticky = "route"), there
 * may be sessions that no worker has seen since. */
static uint64_t blind_until(const struct supervisor *sup, const struct conf_pool *pool)
{
    if (pool->sticky == CONF_STICKY_NONE ||
        (pool->sticky != CONF_STICKY_ROUTE && !sup->affinity_loaded))
        return 0;
    return sup->header.started_ms + pool->session_idle_ms;
}

static void publish_end(struct supervisor *sup, int slot, struct admin_row *row,
                        const char *reason)
{
    admin_publish(&sup->table->admin[slot], row);
    history_add(&sup->table->admin_history[slot], ADMIN_DRAIN, ADMIN_DRAINED, "supervisor",
                reason);
    log_line(row->drained == DRAIN_CUT ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "backend %d %s: %s",
             slot + 1, backend_own(&sup->table->backend[slot])->name, reason);
    publish_ring_workers(sup);
    admin_stored_drain_ended(sup, slot);
}

/* false: no drain is running there. */
static bool find_drain(const struct supervisor *sup, int slot, struct admin_row *row,
                       struct drain_view *view)
{
    const struct conf_pool *pool = drain_pool_of(sup, slot);

    *row = *admin_own(&sup->table->admin[slot]);
    if (!pool || !admission_drains(row) || row->drained != DRAIN_GOES_ON)
        return false;
    *view = (struct drain_view){
        .now_ms = clock_mono_ms(),
        .since_ms = since_of(row),
        .blind_until_ms = blind_until(sup, pool),
        .timeout_ms = pool->drain_timeout_ms,
    };
    /* Sessions are read before in_flight: a session's request is noted before it is in flight.
     * During a restart the sessions are lost already, and whoever stops the backend for it may
     * set a drain; in maintenance, other backends serve the sessions. */
    if (row->heal == RECOVERY_RESTARTING || row->heal == RECOVERY_VERIFYING ||
        row->override == ADMIN_MAINT)
        view->blind_until_ms = 0;
    else
        view->sessions = sessions_live(sup->table, slot, view->now_ms, pool->session_idle_ms);
    view->in_flight = backend_in_flight(sup->table, slot);
    return true;
}

/* A reload may have changed the timeout. */
static void keep_deadline(struct supervisor *sup, int slot, struct admin_row *row,
                          const struct drain_view *view)
{
    if (row->deadline_ms == drain_deadline(view))
        return;
    row->deadline_ms = drain_deadline(view);
    admin_publish(&sup->table->admin[slot], row);
}

/* true: the drain goes on. */
static bool drain_look_at(struct supervisor *sup, int slot)
{
    struct drain_view view;
    struct admin_row row;
    char reason[DRAIN_REASON];

    if (!find_drain(sup, slot, &row, &view))
        return false;
    row.drained = (uint8_t)drain_decide(&view, reason);
    if (row.drained == DRAIN_GOES_ON)
        keep_deadline(sup, slot, &row, &view);
    else
        publish_end(sup, slot, &row, reason);
    return row.drained == DRAIN_GOES_ON;
}

static void on_tick(struct loop_timer *timer)
{
    struct supervisor *sup = container_of(timer, struct supervisor, drains);
    bool any = false;

    for (int slot = 0; slot < (int)sup->header.nbackends; slot++)
        any |= drain_look_at(sup, slot);
    if (any)
        loop_timer_set(&sup->loop, &sup->drains, DRAIN_TICK_MS);
}

void drains_watch(struct supervisor *sup)
{
    struct drain_view view;
    struct admin_row row;

    for (int slot = 0; slot < (int)sup->header.nbackends; slot++)
        if (find_drain(sup, slot, &row, &view))
            keep_deadline(sup, slot, &row, &view);
    sup->drains.fire = on_tick;
    loop_timer_set(&sup->loop, &sup->drains, DRAIN_TICK_MS);
}
