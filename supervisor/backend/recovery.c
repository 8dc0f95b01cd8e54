#include "supervisor/backend/recovery.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/container.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "healthd/restarter/restarter.h"
#include "supervisor/backend/drain.h"
#include "supervisor/backend/incident.h"
#include "supervisor/backend/recovery_core.h"
#include "supervisor/backend/recovery_fsm.h"
#include "supervisor/publish.h"
#include "supervisor/supervise.h"

enum {
    LOOK_MS = 100, /* between two checks while a recovery is under way */
    TOLD_MAX = 50, /* lines of one restarter that are logged */
};

static struct recovery_limits limits_of(const struct supervisor *sup,
                                        const struct conf_backend *b)
{
    const struct conf_pool *pool = b ? recovery_pool(sup, b) : NULL;

    return (struct recovery_limits){.max_restarts = pool ? pool->max_restarts : UINT32_MAX,
                                    .hold_down_ms = pool ? pool->heal_hold_down_ms : 0};
}

/* ---- what is reported */

void recovery_publish(struct supervisor *sup, int slot, struct admin_row *row)
{
    struct recovery *h = recovery_of(sup, slot);
    uint64_t now = clock_mono_ms();

    row->heal = h->fsm.state;
    row->attempts = recovery_fsm_tries(&h->fsm, now);
    row->next_try_ms = h->fsm.next_ms > now ? h->fsm.next_ms : 0;
    snprintf(row->incident, sizeof row->incident, "%s", h->incident);
    admin_publish(&sup->table->admin[slot], row);
}

static void ring_all(struct supervisor *sup)
{
    publish_ring_workers(sup);
    fd_ring(sup->heritage.doorbell_healthd);
}

void recovery_tell(struct supervisor *sup, int slot, uint8_t from, const char *actor,
                   const char *reason, bool drains)
{
    struct recovery *h = recovery_of(sup, slot);
    struct admin_row row = *admin_own(&sup->table->admin[slot]);
    uint8_t to = h->fsm.state;

    h->since_ms = row.recovery_since_ms = clock_mono_ms();
    row.recovery_since_wall_ms = clock_wall_ms();
    h->deadline_ms = 0;
    snprintf(row.recovery_reason, sizeof row.recovery_reason, "%s", reason);
    row.heal = to;                             /* before drain_begin(), which reads it */
    if (drains && row.override != ADMIN_DRAIN) /* else there is one, perhaps ended */
        drain_begin(sup, slot, &row);
    recovery_publish(sup, slot, &row);
    ring_all(sup);
    history_add_recovery(&sup->table->admin_history[slot], from, to, actor, reason);
    log_line(to == RECOVERY_HOLD ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
             "backend %d %s: recovery %s -> %s by %s: %s", slot + 1,
             backend_own(&sup->table->backend[slot])->name, recovery_state_name(from),
             recovery_state_name(to), actor, reason);
}

/* ---- what is done */

static void launch(struct supervisor *sup, int slot, const struct conf_backend *b);

void recovery_event(struct supervisor *sup, int slot, enum recovery_event what,
                    const char *actor, const char *reason)
{
    struct recovery_table *recoveries = sup->recoveries;
    struct recovery *h = recovery_of(sup, slot);
    const struct conf_backend *b = recovery_backend(sup, slot);
    struct recovery_limits limits = limits_of(sup, b);
    uint8_t from = h->fsm.state;
    uint64_t now = clock_mono_ms();
    unsigned actions = recovery_fsm_step(&h->fsm, what, &limits, now);

    if (actions == 0)
        return;
    if (actions & RECOVERY_TELL)
        recovery_tell(sup, slot, from, actor, reason, actions & RECOVERY_DRAIN);
    if (actions & RECOVERY_DRAIN)
        drains_watch(sup);
    if (actions & RECOVERY_SETTLE)
        h->deadline_ms = now + RECOVERY_SETTLE_MS;
    if (actions & RECOVERY_VERIFY)
        h->deadline_ms = now + (b ? recovery_pool(sup, b)->heal_verify_ms : 0);
    if (actions & RECOVERY_SLOW)
        h->deadline_ms = now + (b ? recovery_pool(sup, b)->slow_start_ms : 0);
    if (actions & RECOVERY_LAUNCH)
        launch(sup, slot, b);
    if (recovery_is_busy(h->fsm.state) || h->fsm.state == RECOVERY_SLOWSTART)
        loop_timer_set(&sup->loop, &recoveries->timer, LOOK_MS);
}

static void recovery_failed(struct supervisor *sup, int slot, const char *why)
{
    struct recovery *h = recovery_of(sup, slot);
    const struct conf_backend *b = recovery_backend(sup, slot);
    struct recovery_limits limits = limits_of(sup, b);
    char reason[TABLE_REASON];

    /* Find out first whether it will be held, because the reason says so. */
    struct recovery_fsm after = h->fsm;
    recovery_fsm_step(&after,
                      h->fsm.state == RECOVERY_RESTARTING ? RECOVERY_FAILED : RECOVERY_TIMER,
                      &limits, clock_mono_ms());
    snprintf(reason, sizeof reason, "%.120s%s", why,
             after.state == RECOVERY_HOLD ? "; needs a human" : "");
    recovery_event(sup, slot,
                   h->fsm.state == RECOVERY_RESTARTING ? RECOVERY_FAILED : RECOVERY_TIMER,
                   "supervisor", reason);
}

/* ---- the restarter */

static void recovery_prepare(struct supervisor *sup, int slot)
{
    struct recovery_table *recoveries = sup->recoveries;
    const struct generation *g = sup->current;

    recoveries->acting = slot;
    recoveries->launched = false;
    recoveries->text[0] = '\0';
    recoveries->ntexts = 0;
    for (int r = 0; r < TABLE_WORKERS; r++)
        recoveries->seen[r] = table_row_used(sup->table, r)
                                  ? atomic_load(&sup->table->worker[r].verdicts_seen)
                                  : 0;
    incident_id(recovery_of(sup, slot)->incident, backend_own(&sup->table->backend[slot])->name,
                ++recoveries->incidents);
    incident_dir(recoveries->dir, recovery_of(sup, slot)->incident, g->conf->acme.store,
                 &g->identity);
}

static void launch(struct supervisor *sup, int slot, const struct conf_backend *b)
{
    struct recovery *h = recovery_of(sup, slot);
    struct heritage_action action = {0};

    sup->recoveries->launched = true;
    if (!b) {
        sup->recoveries->acting = RECOVERY_NOBODY;
        recovery_failed(sup, slot, "no longer in the configuration");
        return;
    }
    action.backend = b->index;
    memcpy(action.incident, h->incident, sizeof action.incident);
    memcpy(action.reason, h->reason, sizeof action.reason);
    memcpy(action.evidence, sup->recoveries->dir, sizeof action.evidence);
    struct admin_row row = *admin_own(&sup->table->admin[slot]);
    recovery_publish(sup, slot, &row); /* the try counts from now on */
    /* The restarter keeps to the time limits itself; this limit is for one that hangs. */
    process_start_restarter(sup, &action,
                            RESTARTER_DIAGNOSTICS_MS + b->restart_timeout_ms +
                                b->restart_stop_ms + RESTARTER_GRACE_MS);
}

const char *recovery_acting(const struct supervisor *sup)
{
    int slot = sup->recoveries->acting;

    return slot == RECOVERY_NOBODY ? "another" : backend_own(&sup->table->backend[slot])->name;
}

void recovery_told(struct supervisor *sup, const char *text)
{
    struct recovery_table *recoveries = sup->recoveries;

    recovery_clean(recoveries->text, text);
    if (recoveries->ntexts++ < TOLD_MAX)
        log_debug("restarter: %s", recoveries->text);
}

void recovery_restarter_ended(struct supervisor *sup, int status)
{
    struct recovery_table *recoveries = sup->recoveries;
    int slot = recoveries->acting;
    char why[TABLE_REASON];

    recoveries->acting = RECOVERY_NOBODY;
    if (slot == RECOVERY_NOBODY)
        return; /* its slot was given to another backend meanwhile */
    if (status == 0) {
        recovery_event(sup, slot, RECOVERY_RESTARTED, "supervisor",
                       *recoveries->text ? recoveries->text : "restarted");
        return;
    }
    if (status == -1)
        snprintf(why, sizeof why, "the restarter could not be started");
    else if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "the restarter was ended by signal %d", WTERMSIG(status));
    else if (*recoveries->text)
        snprintf(why, sizeof why, "%s", recoveries->text);
    else
        snprintf(why, sizeof why, "the restarter ended with exit code %d", WEXITSTATUS(status));
    recovery_failed(sup, slot, why);
}

/* ---- checks while a recovery is under way */

/* A drain of a backend that responds ends as any other (backend/drain.c); one of a backend that
 * is down is cut early. true: it is over. */
static bool recovery_drain_over(struct supervisor *sup, int slot, const struct conf_backend *b)
{
    const struct recovery *h = recovery_of(sup, slot);
    struct admin_row row = *admin_own(&sup->table->admin[slot]);
    uint32_t limit = recovery_pool(sup, b)->drain_timeout_ms;
    uint64_t now = clock_mono_ms();
    bool empty = backend_in_flight(sup->table, slot) == 0;

    if (row.drained == DRAIN_EMPTY)
        return true;
    if (row.drained == DRAIN_CUT) /* workers end what is left there */
        return empty || now >= row.deadline_ms + RECOVERY_SETTLE_MS;
    if (!health_is_out(recovery_health(sup, slot).state))
        return false;
    if (empty && now >= h->since_ms + DRAIN_TICK_MS)
        return true;
    if (limit == 0 || limit > RECOVERY_DOWN_DRAIN_MS)
        limit = RECOVERY_DOWN_DRAIN_MS;
    if (now >= h->since_ms + limit) {
        row.drained = DRAIN_CUT;
        row.deadline_ms = now;
        admin_publish(&sup->table->admin[slot], &row);
        publish_ring_workers(sup);
    }
    return false;
}

static void look_draining(struct supervisor *sup, int slot, const struct conf_backend *b)
{
    struct recovery *h = recovery_of(sup, slot);
    struct recovery_facts facts = recovery_facts(sup, slot, b, h->fsm.by_operator, h->force);
    char reason[TABLE_REASON];

    if (!h->fsm.by_operator && recovery_is_healthy(facts.health)) {
        recovery_event(sup, slot, RECOVERY_HEALTHY, "supervisor", "came back by itself");
        return;
    }
    if (recovery_fsm_unsafe(&facts)) {
        snprintf(reason, sizeof reason, "not restarted: only %u other%s of its pool %s up now",
                 facts.healthy, str_plural(facts.healthy), facts.healthy == 1 ? "is" : "are");
        recovery_event(sup, slot, RECOVERY_UNSAFE, "supervisor", reason);
        return;
    }
    if (sup->recoveries->acting != RECOVERY_NOBODY ||
        sup->process[ROW_RESTARTER].fsm.state != CHILD_EMPTY ||
        !recovery_drain_over(sup, slot, b))
        return;
    recovery_prepare(sup, slot);
    if (*sup->recoveries->dir && strlen(sup->recoveries->dir) < sizeof reason - 20)
        snprintf(reason, sizeof reason, "diagnostics in %s", sup->recoveries->dir);
    else
        snprintf(reason, sizeof reason, "incident %s", h->incident);
    recovery_event(sup, slot, RECOVERY_DRAINED, "supervisor", reason);
}

/* Has every worker seen that it is taken out, and is nothing in flight there? */
static bool is_settled(const struct supervisor *sup, int slot)
{
    for (int r = 0; r < TABLE_WORKERS; r++)
        if (worker_row_live(sup->table, r) &&
            atomic_load(&sup->table->worker[r].verdicts_seen) == sup->recoveries->seen[r])
            return false;
    return backend_in_flight(sup->table, slot) == 0;
}

static void look_verifying(struct supervisor *sup, int slot)
{
    struct recovery *h = recovery_of(sup, slot);
    struct health_row health = recovery_health(sup, slot);
    uint64_t now = clock_mono_ms();
    char reason[TABLE_REASON], last[TABLE_REASON];

    if (recovery_is_healthy(health.state) && health.since_ms >= h->since_ms) {
        snprintf(reason, sizeof reason, "healthy again, %llu s after its restart",
                 (unsigned long long)(now - h->since_ms) / 1000);
        h->wanted = false;
        recovery_event(sup, slot, RECOVERY_UP, "supervisor", reason);
    } else if (now >= h->deadline_ms) {
        recovery_clean(last, *health.probe_text ? health.probe_text : health.reason);
        snprintf(reason, sizeof reason, "not healthy %llu s after its restart: %.100s",
                 (unsigned long long)(now - h->since_ms) / 1000, last);
        recovery_failed(sup, slot, reason);
    }
}

static void recovery_look(struct supervisor *sup, int slot)
{
    const struct recovery *h = recovery_of(sup, slot);
    const struct conf_backend *b = recovery_backend(sup, slot);
    uint64_t now = clock_mono_ms();

    if (!b)
        recovery_event(sup, slot, RECOVERY_GONE, "supervisor",
                       "no longer in the configuration");
    switch (h->fsm.state) {
    case RECOVERY_DRAINING:
        look_draining(sup, slot, b);
        break;
    case RECOVERY_RESTARTING:
        if (!sup->recoveries->launched && (is_settled(sup, slot) || now >= h->deadline_ms))
            recovery_event(sup, slot, RECOVERY_SETTLED, "supervisor", "");
        break;
    case RECOVERY_VERIFYING:
        look_verifying(sup, slot);
        break;
    case RECOVERY_SLOWSTART:
        if (now >= h->deadline_ms)
            recovery_event(sup, slot, RECOVERY_TIMER, "supervisor", "back at its full weight");
        break;
    default:
        break;
    }
}

static void recovery_on_timer(struct loop_timer *timer)
{
    struct recovery_table *recoveries = container_of(timer, struct recovery_table, timer);
    struct supervisor *sup = recoveries->sup;
    bool any = false;

    for (int slot = 0; slot < (int)sup->header.nbackends && !sup->stopping; slot++) {
        uint8_t *state = &recoveries->slot[slot].fsm.state;

        if (recovery_is_busy(*state) || *state == RECOVERY_SLOWSTART)
            recovery_look(sup, slot);
        any |= recovery_is_busy(*state) || *state == RECOVERY_SLOWSTART;
    }
    if (any)
        loop_timer_set(&sup->loop, &recoveries->timer, LOOK_MS);
}

/* ---- life */

struct recovery_table *recovery_new(struct supervisor *sup)
{
    struct recovery_table *recoveries = calloc(1, sizeof *recoveries);

    if (!recoveries)
        return NULL;
    recoveries->sup = sup;
    recoveries->acting = RECOVERY_NOBODY;
    recoveries->timer.fire = recovery_on_timer;
    return recoveries;
}

void recovery_adopt(struct recovery_table *recoveries, const struct recovery_table *from)
{
    struct supervisor *sup = recoveries->sup;

    *recoveries = *from;
    recoveries->sup = sup;
    recoveries->timer = (struct loop_timer){.fire = recovery_on_timer};
    if (loop_timer_armed(&from->timer))
        loop_timer_set(&sup->loop, &recoveries->timer, 0);
}

void recovery_free(struct recovery_table *recoveries)
{
    free(recoveries);
}
