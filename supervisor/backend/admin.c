/* The supervisor's rows about backends: what the configuration says about them, and the admin
 * overrides. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "shm/counters.h"
#include "supervisor/backend/admin_stored.h"
#include "supervisor/backend/affinity_key.h"
#include "supervisor/backend/drain.h"
#include "supervisor/backend/recovery.h"
#include "supervisor/publish.h"
#include "supervisor/supervise.h"

static uint64_t identity_of(const struct conf_backend *b)
{
    uint64_t hash = hash_name(hash_name(HASH_START, b->name), b->host);

    hash = hash_bytes(hash, &b->port, sizeof b->port);
    return *b->socket ? hash_name(hash, b->socket) : hash;
}

static enum admin_state state_of(const struct conf_backend *b)
{
    return b->state == CONF_STATE_DRAIN   ? ADMIN_DRAIN
           : b->state == CONF_STATE_MAINT ? ADMIN_MAINT
                                          : ADMIN_READY;
}

/* The rows are read back from the supervisor's copy: only it writes them. */
static struct backend_row backend_now(const struct supervisor *sup, int slot)
{
    return *backend_own(&sup->table->backend[slot]);
}

static void set_override(struct supervisor *sup, int slot, enum admin_state override,
                         bool by_operator, const char *who, const char *reason)
{
    struct admin_row row = *admin_own(&sup->table->admin[slot]);
    enum admin_state from = row.override;

    if (from == override && row.by_operator == by_operator)
        return;
    row.override = (uint8_t) override;
    row.by_operator = by_operator;
    if (from != override) { /* a change of who set it does not restart a drain */
        row.since_ms = clock_mono_ms();
        row.since_wall_ms = clock_wall_ms();
        drain_begin(sup, slot, &row);
    }
    snprintf(row.who, sizeof row.who, "%s", who);
    snprintf(row.reason, sizeof row.reason, "%s", reason);
    admin_publish(&sup->table->admin[slot], &row);
    if (from == override)
        return;
    history_add(&sup->table->admin_history[slot], (uint8_t)from, (uint8_t) override,
                by_operator || strncmp(who, "uid", 3) == 0 ? "operator" : "config", reason);
    log_info("backend %d %s: %s -> %s by %s: %s", slot + 1, backend_now(sup, slot).name,
             admin_state_name(from), admin_state_name(override), who, reason);
}

/* Applies an override from before a restart of the service, or from before another name had the
 * slot. */
static void restore_override(struct supervisor *sup, int slot, const char *name)
{
    const struct admin_override *override = admin_overrides_find(&sup->overrides, name);

    if (!override)
        return;
    set_override(sup, slot, override->override, true, override->who, override->reason);
    struct admin_row row = *admin_own(&sup->table->admin[slot]);
    if (override->since_wall_ms < row.since_wall_ms) {
        uint64_t age_ms = row.since_wall_ms - override->since_wall_ms;

        row.since_wall_ms = override->since_wall_ms;
        row.since_ms = row.since_ms > age_ms ? row.since_ms - age_ms : 1;
    }
    row.drained = override->drained;
    admin_publish(&sup->table->admin[slot], &row);
}

/* The slot belonged to another name: nothing of that one stays. */
static void clear_slot(struct supervisor *sup, int slot)
{
    struct history *history = &sup->table->admin_history[slot];
    struct admin_row fresh = {.since_ms = clock_mono_ms(), .since_wall_ms = clock_wall_ms()};

    snprintf(fresh.who, sizeof fresh.who, "config");
    admin_publish(&sup->table->admin[slot], &fresh);
    recovery_forget(sup, slot);
    seq_write_begin(&history->seq);
    history->count = 0;
    seq_write_end(&history->seq);
}

/* The name has another host or port now: its counters start at 0. What older workers still
 * finish for the former one is counted; stop_timeout bounds that. */
static void clear_counters(struct supervisor *sup, int slot, const struct generation *g)
{
    uint32_t old[TABLE_WORKERS] = {0};

    for (int r = 0; r < TABLE_WORKERS; r++)
        if (sup->process[r].pid && sup->process[r].generation != g)
            old[r] = sup->process[r].incarnation;
    counters_clear(sup->table, slot, old, sup->header.nbackends);
}

static void publish_backend(struct supervisor *sup, const struct generation *g, uint32_t i)
{
    const struct conf_backend *b = &g->conf->backends[i];
    int slot = g->backend_slot[i];
    struct backend_row old = backend_now(sup, slot), row = {0};

    bool fresh = strcmp(old.name, b->name) != 0;
    if (fresh)
        clear_slot(sup, slot);
    row.used = row.configured = 1;
    snprintf(row.name, sizeof row.name, "%s", b->name);
    snprintf(row.pool, sizeof row.pool, "%s", g->conf->pools[b->pool].name);
    if (*b->socket)
        snprintf(row.host, sizeof row.host, "unix:%s", b->socket);
    else
        snprintf(row.host, sizeof row.host, "%s", b->host);
    row.port = *b->socket ? 0 : b->port;
    row.weight = (uint16_t)b->weight;
    row.max_in_flight = b->max_in_flight;
    row.generation = g->number;
    row.identity = identity_of(b);
    row.session_idle_ms = g->conf->pools[b->pool].session_idle_ms;
    row.slow_start_ms = g->conf->pools[b->pool].slow_start_ms;
    if (old.used && old.identity != row.identity)
        clear_counters(sup, slot, g);
    backend_publish(&sup->table->backend[slot], &row);
    if ((uint32_t)slot >= sup->header.nbackends)
        sup->header.nbackends = (uint32_t)slot + 1;
    if (fresh)
        restore_override(sup, slot, b->name);
    if (!admin_own(&sup->table->admin[slot])->by_operator)
        set_override(sup, slot, state_of(b), false, "config", "as configured");
}

void admin_prepare(struct supervisor *sup, const struct generation *g)
{
    for (uint32_t i = 0; i < g->conf->n_backends; i++) {
        struct backend_row row = backend_now(sup, g->backend_slot[i]);

        /* A name that has a row keeps it unchanged until the commit. */
        if (!row.configured || strcmp(row.name, g->conf->backends[i].name) != 0)
            publish_backend(sup, g, i);
    }
    publish_header(sup);
}

/* Do clients hold tags that must be understood after a restart? */
static bool makes_tags(const struct conf *conf)
{
    for (size_t i = 0; i < conf->n_pools; i++)
        if (conf->pools[i].sticky == CONF_STICKY_AUTO ||
            conf->pools[i].sticky == CONF_STICKY_COOKIE)
            return true;
    return false;
}

void admin_commit(struct supervisor *sup, const struct generation *g)
{
    bool named[TABLE_BACKENDS] = {false};

    for (uint32_t i = 0; i < g->conf->n_backends; i++) {
        named[g->backend_slot[i]] = true;
        publish_backend(sup, g, i);
    }
    for (int slot = 0; slot < (int)sup->header.nbackends; slot++) {
        struct backend_row row = backend_now(sup, slot);

        if (named[slot] || !row.configured)
            continue;
        row.configured = 0;
        backend_publish(&sup->table->backend[slot], &row);
    }
    publish_header(sup);
    publish_ring_workers(sup);
    drains_watch(sup);
    admin_stored_save(sup);
    if (makes_tags(g->conf))
        affinity_key_save(sup->affinity, g->conf->acme.store, &g->identity);
}

void admin_load(struct supervisor *sup)
{
    const struct generation *g = sup->current;

    admin_overrides_load(&sup->overrides, g->conf->acme.store, &g->identity);
    sup->affinity_loaded = affinity_key_load(sup->affinity, g->conf->acme.store, &g->identity);
}

static const struct conf_backend *configured_backend(const struct supervisor *sup, int slot)
{
    const struct generation *g = sup->current;

    for (uint32_t i = 0; i < g->conf->n_backends; i++)
        if (g->backend_slot[i] == slot)
            return &g->conf->backends[i];
    return NULL;
}

/* The same for overrides that are read only now. Meanwhile its backend was in use: a drain,
 * also one that had ended, begins now and has its whole time. Backends of a generation on
 * trial, and those that the configuration does not name at present, have rows too. */
static void read_late(struct supervisor *sup)
{
    if (!admin_overrides_load_again(&sup->overrides))
        return;
    for (int slot = 0; slot < (int)sup->header.nbackends; slot++) {
        const char *name = backend_own(&sup->table->backend[slot])->name;
        const struct admin_override *stored = admin_overrides_find(&sup->overrides, name);

        if (!stored)
            continue;
        if (stored->override != ADMIN_DRAIN) {
            restore_override(sup, slot, name);
        } else {
            set_override(sup, slot, ADMIN_DRAIN, true, stored->who, stored->reason);
            admin_stored_keep(sup, slot);
        }
    }
    drains_watch(sup);
    publish_ring_workers(sup);
    fd_ring(sup->heritage.doorbell_healthd);
}

void admin_override(struct supervisor *sup, enum admin_state override, int number, uid_t uid)
{
    char who[TABLE_NAME];
    const struct conf_backend *b = NULL;

    if (number >= 1 && number <= TABLE_BACKENDS)
        b = configured_backend(sup, number - 1);
    if (!b) {
        log_warn("%s of backend number %d by uid %u: refused, no such backend",
                 admin_state_name(override), number, uid);
        return;
    }
    snprintf(who, sizeof who, "uid %u", uid);
    read_late(sup); /* what is stored is older */
    /* It is kept over reloads until it is taken back, that is, until it is the same as the
     * configuration. */
    set_override(sup, number - 1, override, override != state_of(b), who,
                 "asked for by an operator");
    drains_watch(sup);
    publish_ring_workers(sup);
    fd_ring(sup->heritage.doorbell_healthd);
    if (override == ADMIN_READY)
        recovery_ready(sup, number - 1, uid);
    admin_stored_update(sup, number - 1); /* last, because it waits for the disk */
}

void admin_retry(struct supervisor *sup)
{
    read_late(sup);
    if (sup->overrides.changed)
        admin_stored_save(sup);
}
