#include "supervisor/healing.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "healthd/restarter.h"
#include "supervisor/drain.h"
#include "supervisor/heal.h"
#include "supervisor/incident.h"
#include "supervisor/signals.h"
#include "supervisor/supervise.h"

enum {
    LOOK_MS = 100, /* between two looks while a heal is under way */
    TOLD_MAX = 50, /* lines that one restarter gets into our log */
    NOBODY = -1,   /* no slot */
};

struct healing {
    struct heal heal;
    bool force;
    bool wanted;               /* healthd asked for it, and it is still down */
    bool dry_told;             /* that it would be restarted, in this outage */
    uint64_t since_ms;         /* of the state */
    uint64_t deadline_ms;      /* of the state; 0: none */
    char wish[TABLE_REASON];   /* why healthd asks */
    char told[TABLE_REASON];   /* why healthd's ask was refused last */
    char reason[TABLE_REASON]; /* of the restart under way */
    char incident[TABLE_INCIDENT];
};

struct healer {
    struct supervisor *sup;
    struct loop_timer timer;
    struct healing slot[TABLE_BACKENDS];
    int acting;                   /* slot that has the restarter, or is about to; NOBODY */
    bool launched;                /* it runs */
    uint32_t seen[TABLE_WORKERS]; /* verdicts_seen before the acting one was taken out */
    char folder[HERITAGE_FOLDER]; /* of its evidence */
    char text[TABLE_REASON];      /* what the restarter told last */
    uint32_t ntexts, incidents;
};

/* ---- what is known */

static struct healing *healing_of(const struct supervisor *sup, int slot)
{
    return &sup->healer->slot[slot];
}

static const struct conf_backend *configured(const struct supervisor *sup, int slot)
{
    const struct generation *g = sup->current;

    for (uint32_t i = 0; i < g->conf->n_backends; i++)
        if (g->backend_slot[i] == slot)
            return &g->conf->backends[i];
    return NULL;
}

static const struct conf_pool *pool_of(const struct supervisor *sup,
                                       const struct conf_backend *b)
{
    return &sup->current->conf->pools[b->pool];
}

static struct heal_limits limits_of(const struct supervisor *sup, const struct conf_backend *b)
{
    const struct conf_pool *pool = b ? pool_of(sup, b) : NULL;

    return (struct heal_limits){.max_restarts = pool ? pool->max_restarts : UINT32_MAX,
                                .hold_down_ms = pool ? pool->heal_hold_down_ms : 0};
}

/* healthd's row, as far as it is about this backend. */
static struct health_row health_of(const struct supervisor *sup, int slot)
{
    struct health_row row = {0};

    if (!health_read(&sup->table->health[slot], &row) || row.state >= HEALTH_STATES ||
        row.identity != sup->table->backend[slot].row.identity)
        row = (struct health_row){.state = HEALTH_UNKNOWN};
    row.reason[sizeof row.reason - 1] = '\0';
    return row;
}

static bool is_well(uint8_t health)
{
    return health == HEALTH_UP || health == HEALTH_SATURATED;
}

static bool is_busy(uint8_t state)
{
    return state == HEAL_DRAINING || state == HEAL_RESTARTING || state == HEAL_VERIFYING;
}

/* Fills what the others of its pool say. */
static void look_at_others(const struct supervisor *sup, const struct conf_backend *b,
                           struct heal_facts *facts)
{
    const struct generation *g = sup->current;

    for (uint32_t i = 0; i < g->conf->n_backends; i++) {
        const struct conf_backend *other = &g->conf->backends[i];
        int slot = g->backend_slot[i];
        uint8_t state = healing_of(sup, slot)->heal.state;

        if (other == b || other->pool != b->pool)
            continue;
        if (is_busy(state))
            facts->other = other->name;
        else if (is_well(health_of(sup, slot).state) &&
                 sup->table->admin[slot].row.wish == ADMIN_READY)
            facts->well++;
    }
}

static struct heal_facts facts_of(const struct supervisor *sup, int slot,
                                  const struct conf_backend *b, bool by_operator, bool force)
{
    const struct conf_pool *pool = pool_of(sup, b);
    struct healing *h = healing_of(sup, slot);
    uint64_t now = clock_mono_ms();
    struct heal_facts facts = {.by_operator = by_operator,
                               .force = force,
                               .has_action = *b->restart_docker || b->n_restart_command,
                               .stopping = sup->stopping,
                               .dry_run = pool->heal_dry_run,
                               .state = h->heal.state,
                               .health = health_of(sup, slot).state,
                               .wish = sup->table->admin[slot].row.wish,
                               .min_healthy = pool->min_healthy,
                               .tries = heal_tries(&h->heal, now),
                               .max_restarts = pool->max_restarts,
                               .next_ms = h->heal.next_ms,
                               .now_ms = now};

    look_at_others(sup, b, &facts);
    return facts;
}

/* A text of a child, for people: printable ASCII only. */
static void clean(char out[TABLE_REASON], const char *text)
{
    size_t n = 0;

    for (; text[n] && n < TABLE_REASON - 1; n++)
        out[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    out[n] = '\0';
}

/* ---- what is told */

static void publish(struct supervisor *sup, int slot, struct admin_row *row)
{
    struct healing *h = healing_of(sup, slot);
    uint64_t now = clock_mono_ms();

    row->heal = h->heal.state;
    row->attempts = heal_tries(&h->heal, now);
    row->next_try_ms = h->heal.next_ms > now ? h->heal.next_ms : 0;
    snprintf(row->incident, sizeof row->incident, "%s", h->incident);
    admin_publish(&sup->table->admin[slot], row);
}

static void ring_all(struct supervisor *sup)
{
    processes_ring_workers(sup);
    fd_ring(sup->heritage.doorbell_healthd);
}

static void tell(struct supervisor *sup, int slot, uint8_t from, const char *actor,
                 const char *reason, bool drains)
{
    struct healing *h = healing_of(sup, slot);
    struct admin_row row = sup->table->admin[slot].row;
    uint8_t to = h->heal.state;

    h->since_ms = row.heal_since_ms = clock_mono_ms();
    row.heal_since_wall_ms = clock_wall_ms();
    h->deadline_ms = 0;
    snprintf(row.heal_reason, sizeof row.heal_reason, "%s", reason);
    if (drains && row.wish != ADMIN_DRAIN) /* else there is one, which may even have ended */
        drain_begin(&row);
    publish(sup, slot, &row);
    ring_all(sup);
    history_add_heal(&sup->table->admin_history[slot], from, to, actor, reason);
    log_line(to == HEAL_HOLD ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
             "backend %d %s: heal %s -> %s by %s: %s", slot + 1,
             sup->table->backend[slot].row.name, heal_state_name(from), heal_state_name(to),
             actor, reason);
}

/* ---- what is done */

static void launch(struct supervisor *sup, int slot, const struct conf_backend *b);

/* Takes one event; reason: what it is about, for people. */
static void event(struct supervisor *sup, int slot, enum heal_event what, const char *actor,
                  const char *reason)
{
    struct healer *healer = sup->healer;
    struct healing *h = healing_of(sup, slot);
    const struct conf_backend *b = configured(sup, slot);
    struct heal_limits limits = limits_of(sup, b);
    uint8_t from = h->heal.state;
    uint64_t now = clock_mono_ms();
    unsigned actions = heal_step(&h->heal, what, &limits, now);

    if (actions == 0)
        return;
    if (actions & HEAL_TELL)
        tell(sup, slot, from, actor, reason, actions & HEAL_DRAIN);
    if (actions & HEAL_DRAIN)
        drains_watch(sup);
    if (actions & HEAL_SETTLE)
        h->deadline_ms = now + HEAL_SETTLE_MS;
    if (actions & HEAL_VERIFY)
        h->deadline_ms = now + (b ? pool_of(sup, b)->heal_verify_ms : 0);
    if (actions & HEAL_SLOW)
        h->deadline_ms = now + (b ? pool_of(sup, b)->slow_start_ms : 0);
    if (actions & HEAL_LAUNCH)
        launch(sup, slot, b);
    if (is_busy(h->heal.state) || h->heal.state == HEAL_SLOWSTART)
        loop_timer_set(&sup->loop, &healer->timer, LOOK_MS);
}

static void failed(struct supervisor *sup, int slot, const char *why)
{
    struct healing *h = healing_of(sup, slot);
    const struct conf_backend *b = configured(sup, slot);
    struct heal_limits limits = limits_of(sup, b);
    char reason[TABLE_REASON];

    /* Whether it will be held is known before it is told. */
    struct heal after = h->heal;
    heal_step(&after, h->heal.state == HEAL_RESTARTING ? HEAL_FAILED : HEAL_TIMER, &limits,
              clock_mono_ms());
    snprintf(reason, sizeof reason, "%.120s%s", why,
             after.state == HEAL_HOLD ? "; needs a human" : "");
    event(sup, slot, h->heal.state == HEAL_RESTARTING ? HEAL_FAILED : HEAL_TIMER, "supervisor",
          reason);
}

/* ---- the restarter */

static void prepare(struct supervisor *sup, int slot)
{
    struct healer *healer = sup->healer;
    const struct generation *g = sup->current;

    healer->acting = slot;
    healer->launched = false;
    healer->text[0] = '\0';
    healer->ntexts = 0;
    for (int r = 0; r < TABLE_WORKERS; r++)
        healer->seen[r] = atomic_load(&sup->table->worker[r].verdicts_seen);
    incident_id(healing_of(sup, slot)->incident, sup->table->backend[slot].row.name,
                ++healer->incidents);
    incident_folder(healer->folder, healing_of(sup, slot)->incident, g->conf->acme.store,
                    &g->identity);
}

static void launch(struct supervisor *sup, int slot, const struct conf_backend *b)
{
    struct healing *h = healing_of(sup, slot);
    struct heritage_action action = {0};

    sup->healer->launched = true;
    if (!b) {
        sup->healer->acting = NOBODY;
        failed(sup, slot, "no longer in the configuration");
        return;
    }
    action.backend = b->index;
    memcpy(action.incident, h->incident, sizeof action.incident);
    memcpy(action.reason, h->reason, sizeof action.reason);
    memcpy(action.evidence, sup->healer->folder, sizeof action.evidence);
    struct admin_row row = sup->table->admin[slot].row;
    publish(sup, slot, &row); /* the try counts from now on */
    /* It keeps to its own time; this is for one that hangs. */
    process_start_restarter(sup, &action,
                            RESTARTER_EVIDENCE_MS + b->restart_timeout_ms + b->restart_stop_ms +
                                RESTARTER_GRACE_MS);
}

void healing_told(struct supervisor *sup, const char *text)
{
    struct healer *healer = sup->healer;

    clean(healer->text, text);
    if (healer->ntexts++ < TOLD_MAX)
        log_debug("restarter: %s", healer->text);
}

void healing_restarter_ended(struct supervisor *sup, int status)
{
    struct healer *healer = sup->healer;
    int slot = healer->acting;
    char why[TABLE_REASON];

    healer->acting = NOBODY;
    if (slot == NOBODY)
        return; /* its slot was given away meanwhile */
    if (status == 0) {
        event(sup, slot, HEAL_RESTARTED, "supervisor",
              *healer->text ? healer->text : "it was restarted");
        return;
    }
    if (status == -1)
        snprintf(why, sizeof why, "the restarter could not be started");
    else if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "the restarter was ended by signal %d", WTERMSIG(status));
    else if (*healer->text)
        snprintf(why, sizeof why, "%s", healer->text);
    else
        snprintf(why, sizeof why, "the restarter ended with exit code %d", WEXITSTATUS(status));
    failed(sup, slot, why);
}

/* ---- looks */

/* A drain of one that answers ends as any other (drain.c); nobody waits long for one that
 * is down. true: it is over. */
static bool drain_over(struct supervisor *sup, int slot, const struct conf_backend *b)
{
    const struct healing *h = healing_of(sup, slot);
    struct admin_row row = sup->table->admin[slot].row;
    uint32_t limit = pool_of(sup, b)->drain_timeout_ms;
    uint64_t now = clock_mono_ms();
    bool empty = backend_in_flight(sup->table, slot) == 0;

    if (row.drained == DRAIN_EMPTY)
        return true;
    if (row.drained == DRAIN_CUT) /* workers end what is left there */
        return empty || now >= row.deadline_ms + HEAL_SETTLE_MS;
    if (health_of(sup, slot).state != HEALTH_DOWN)
        return false;
    if (empty && now >= h->since_ms + DRAIN_TICK_MS)
        return true;
    if (limit == 0 || limit > HEAL_DOWN_DRAIN_MS)
        limit = HEAL_DOWN_DRAIN_MS;
    if (now >= h->since_ms + limit) {
        row.drained = DRAIN_CUT;
        row.deadline_ms = now;
        admin_publish(&sup->table->admin[slot], &row);
        processes_ring_workers(sup);
    }
    return false;
}

static void look_draining(struct supervisor *sup, int slot, const struct conf_backend *b)
{
    struct healing *h = healing_of(sup, slot);
    struct heal_facts facts = facts_of(sup, slot, b, h->heal.by_operator, h->force);
    char reason[TABLE_REASON];

    if (!h->heal.by_operator && is_well(facts.health)) {
        event(sup, slot, HEAL_WELL, "supervisor", "it came back by itself");
        return;
    }
    if (heal_unsafe(&facts)) {
        snprintf(reason, sizeof reason, "not restarted: only %u of the others are up now",
                 facts.well);
        event(sup, slot, HEAL_UNSAFE, "supervisor", reason);
        return;
    }
    if (sup->healer->acting != NOBODY || sup->process[ROW_RESTARTER].fsm.state != CHILD_EMPTY ||
        !drain_over(sup, slot, b))
        return;
    prepare(sup, slot);
    if (*sup->healer->folder && strlen(sup->healer->folder) < sizeof reason - 20)
        snprintf(reason, sizeof reason, "evidence in %s", sup->healer->folder);
    else
        snprintf(reason, sizeof reason, "incident %s", h->incident);
    event(sup, slot, HEAL_DRAINED, "supervisor", reason);
}

/* Has every worker seen that it is taken out, and let go of it? */
static bool is_settled(const struct supervisor *sup, int slot)
{
    for (int r = 0; r < TABLE_WORKERS; r++)
        if (worker_row_live(sup->table, r) &&
            atomic_load(&sup->table->worker[r].verdicts_seen) == sup->healer->seen[r])
            return false;
    return backend_in_flight(sup->table, slot) == 0;
}

static void look_verifying(struct supervisor *sup, int slot)
{
    struct healing *h = healing_of(sup, slot);
    struct health_row health = health_of(sup, slot);
    uint64_t now = clock_mono_ms();
    char reason[TABLE_REASON], last[TABLE_REASON];

    if (is_well(health.state) && health.since_ms >= h->since_ms) {
        snprintf(reason, sizeof reason, "well again, %llu s after its restart",
                 (unsigned long long)(now - h->since_ms) / 1000);
        h->wanted = false;
        event(sup, slot, HEAL_UP, "supervisor", reason);
    } else if (now >= h->deadline_ms) {
        clean(last, health.reason);
        snprintf(reason, sizeof reason, "not well %llu s after its restart: %.100s",
                 (unsigned long long)(now - h->since_ms) / 1000, last);
        failed(sup, slot, reason);
    }
}

static void look(struct supervisor *sup, int slot)
{
    const struct healing *h = healing_of(sup, slot);
    const struct conf_backend *b = configured(sup, slot);
    uint64_t now = clock_mono_ms();

    if (!b)
        event(sup, slot, HEAL_GONE, "supervisor", "no longer in the configuration");
    switch (h->heal.state) {
    case HEAL_DRAINING:
        look_draining(sup, slot, b);
        break;
    case HEAL_RESTARTING:
        if (!sup->healer->launched && (is_settled(sup, slot) || now >= h->deadline_ms))
            event(sup, slot, HEAL_SETTLED, "supervisor", "");
        break;
    case HEAL_VERIFYING:
        look_verifying(sup, slot);
        break;
    case HEAL_SLOWSTART:
        if (now >= h->deadline_ms)
            event(sup, slot, HEAL_TIMER, "supervisor", "it has its full share again");
        break;
    default:
        break;
    }
}

static void on_timer(struct loop_timer *timer)
{
    struct healer *healer = (struct healer *)((char *)timer - offsetof(struct healer, timer));
    struct supervisor *sup = healer->sup;
    bool any = false;

    for (int slot = 0; slot < (int)sup->header.nbackends && !sup->stopping; slot++) {
        uint8_t *state = &healer->slot[slot].heal.state;

        if (is_busy(*state) || *state == HEAL_SLOWSTART)
            look(sup, slot);
        any |= is_busy(*state) || *state == HEAL_SLOWSTART;
    }
    if (any)
        loop_timer_set(&sup->loop, &healer->timer, LOOK_MS);
}

/* ---- asks */

static void answer(struct supervisor *sup, int slot, const char *text)
{
    struct admin_row row = sup->table->admin[slot].row;

    row.requests++;
    snprintf(row.answer, sizeof row.answer, "%s", text);
    admin_publish(&sup->table->admin[slot], &row);
}

void healing_request(struct supervisor *sup, int value, uid_t uid)
{
    bool force = value > 0 && (value & RESTART_FORCE);
    int slot = (force ? value - RESTART_FORCE : value) - 1;
    const struct conf_backend *b =
        slot >= 0 && slot < TABLE_BACKENDS ? configured(sup, slot) : NULL;
    char why[TABLE_REASON];

    if (!b) {
        log_warn("restart of backend number %d by uid %u: refused, there is no such backend",
                 slot + 1, uid);
        return;
    }
    struct healing *h = healing_of(sup, slot);
    struct heal_facts facts = facts_of(sup, slot, b, true, force);
    if (heal_judge(&facts, why) != HEAL_MAY) {
        log_warn("restart of backend %d %s by uid %u: refused: %s", slot + 1, b->name, uid,
                 why);
        answer(sup, slot, why);
        return;
    }
    h->heal.by_operator = true;
    h->force = force;
    h->wanted = false;
    snprintf(h->reason, sizeof h->reason, "asked for by uid %u%s", uid,
             force ? " with --force" : "");
    event(sup, slot, HEAL_GO, "operator", h->reason);
    answer(sup, slot, "");
}

/* Why healthd's ask is not followed, once for each reason. */
static void tell_refusal(struct supervisor *sup, int slot, const char *why)
{
    struct healing *h = healing_of(sup, slot);
    struct admin_row row = sup->table->admin[slot].row;

    if (strcmp(h->told, why) == 0)
        return;
    snprintf(h->told, sizeof h->told, "%s", why);
    log_info("backend %d %s: healthd asks for a restart (%s): not now: %s", slot + 1,
             sup->table->backend[slot].row.name, h->wish, why);
    if (h->heal.state != HEAL_NONE)
        return;
    snprintf(row.heal_reason, sizeof row.heal_reason, "not restarted: %.140s", why);
    publish(sup, slot, &row);
}

static void tell_dry(struct supervisor *sup, int slot)
{
    struct healing *h = healing_of(sup, slot);
    char reason[TABLE_REASON];

    if (h->dry_told)
        return;
    h->dry_told = true;
    snprintf(reason, sizeof reason, "dry run, it would be restarted: %.120s", h->wish);
    tell(sup, slot, h->heal.state, "supervisor", reason, false);
}

static void consider(struct supervisor *sup, int slot, const struct conf_backend *b)
{
    struct healing *h = healing_of(sup, slot);
    struct heal_facts facts = facts_of(sup, slot, b, false, false);
    char why[TABLE_REASON];

    switch (heal_judge(&facts, why)) {
    case HEAL_MAY:
        h->heal.by_operator = h->force = false;
        h->told[0] = '\0';
        memcpy(h->reason, h->wish, sizeof h->reason);
        event(sup, slot, HEAL_GO, "healthd", h->reason);
        break;
    case HEAL_DRY:
        tell_dry(sup, slot);
        break;
    case HEAL_TOO_MANY:
        event(sup, slot, HEAL_EXHAUSTED, "supervisor", why);
        break;
    default:
        if (!is_busy(h->heal.state))
            tell_refusal(sup, slot, why);
    }
}

void healing_please(struct supervisor *sup, uint64_t slot, const char *text)
{
    const struct conf_backend *b = slot < TABLE_BACKENDS ? configured(sup, (int)slot) : NULL;

    if (!b)
        return; /* a reload may have overtaken it */
    struct healing *h = healing_of(sup, (int)slot);
    clean(h->wish, text);
    h->wanted = true;
    consider(sup, (int)slot, b);
}

void healing_pulse(struct supervisor *sup)
{
    for (int slot = 0; slot < (int)sup->header.nbackends; slot++) {
        struct healing *h = healing_of(sup, slot);
        const struct conf_backend *b = h->wanted ? configured(sup, slot) : NULL;
        struct admin_row row = sup->table->admin[slot].row;

        if (row.attempts != heal_tries(&h->heal, clock_mono_ms()))
            publish(sup, slot, &row);
        if (!b)
            continue;
        if (health_of(sup, slot).state != HEALTH_DOWN && !is_busy(h->heal.state)) {
            h->wanted = h->dry_told = false;
            h->told[0] = '\0';
        } else if (!is_busy(h->heal.state)) {
            consider(sup, slot, b);
        }
    }
}

void healing_ready(struct supervisor *sup, int slot, uid_t uid)
{
    char reason[TABLE_REASON];

    snprintf(reason, sizeof reason, "ready, by uid %u", uid);
    event(sup, slot, HEAL_READY, "operator", reason);
}

void healing_forget(struct supervisor *sup, int slot)
{
    if (sup->healer->acting == slot)
        sup->healer->acting = NOBODY;
    *healing_of(sup, slot) = (struct healing){0};
}

/* ---- life */

struct healer *healer_new(struct supervisor *sup)
{
    struct healer *healer = calloc(1, sizeof *healer);

    if (!healer)
        return NULL;
    healer->sup = sup;
    healer->acting = NOBODY;
    healer->timer.fire = on_timer;
    return healer;
}

void healer_free(struct healer *healer)
{
    free(healer);
}
