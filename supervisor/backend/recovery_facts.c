/* The facts by which a restart is judged. */
#include <string.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "supervisor/backend/recovery_core.h"
#include "supervisor/supervise.h"

struct recovery *recovery_of(const struct supervisor *sup, int slot)
{
    return &sup->recoveries->slot[slot];
}

const struct conf_backend *recovery_backend(const struct supervisor *sup, int slot)
{
    const struct generation *g = sup->current;

    for (uint32_t i = 0; i < g->conf->n_backends; i++)
        if (g->backend_slot[i] == slot)
            return &g->conf->backends[i];
    return NULL;
}

const struct conf_pool *recovery_pool(const struct supervisor *sup,
                                      const struct conf_backend *b)
{
    return &sup->current->conf->pools[b->pool];
}

struct health_row recovery_health(const struct supervisor *sup, int slot)
{
    struct health_row row = {0};

    if (!health_read(&sup->table->health[slot], &row) || row.state >= HEALTH_STATES ||
        row.identity != backend_own(&sup->table->backend[slot])->identity)
        row = (struct health_row){.state = HEALTH_UNKNOWN};
    row.reason[sizeof row.reason - 1] = '\0';
    row.probe_text[sizeof row.probe_text - 1] = '\0';
    return row;
}

bool recovery_is_healthy(uint8_t health)
{
    return health == HEALTH_UP || health == HEALTH_DEGRADED;
}

bool recovery_is_busy(uint8_t state)
{
    return state == RECOVERY_DRAINING || state == RECOVERY_RESTARTING ||
           state == RECOVERY_VERIFYING;
}

/* Fills in the facts about the other backends of its pool. */
static void recovery_facts_look_at_others(const struct supervisor *sup,
                                          const struct conf_backend *b,
                                          struct recovery_facts *facts)
{
    const struct generation *g = sup->current;

    for (uint32_t i = 0; i < g->conf->n_backends; i++) {
        const struct conf_backend *other = &g->conf->backends[i];
        int slot = g->backend_slot[i];
        uint8_t state = recovery_of(sup, slot)->fsm.state;

        if (other == b || other->pool != b->pool)
            continue;
        if (recovery_is_busy(state))
            facts->other = other->name;
        else if (recovery_is_healthy(recovery_health(sup, slot).state) &&
                 admin_own(&sup->table->admin[slot])->override == ADMIN_READY)
            facts->healthy++;
    }
}

struct recovery_facts recovery_facts(const struct supervisor *sup, int slot,
                                     const struct conf_backend *b, bool by_operator, bool force)
{
    const struct conf_pool *pool = recovery_pool(sup, b);
    struct recovery *h = recovery_of(sup, slot);
    uint64_t now = clock_mono_ms();
    struct recovery_facts facts = {.by_operator = by_operator,
                                   .force = force,
                                   .has_action = *b->restart_docker || b->n_restart_command,
                                   .stopping = sup->stopping,
                                   .dry_run = pool->heal_dry_run,
                                   .state = h->fsm.state,
                                   .health = recovery_health(sup, slot).state,
                                   .override = admin_own(&sup->table->admin[slot])->override,
                                   .min_healthy = pool->min_healthy,
                                   .tries = recovery_fsm_tries(&h->fsm, now),
                                   .max_restarts = pool->max_restarts,
                                   .next_ms = h->fsm.next_ms,
                                   .now_ms = now};

    recovery_facts_look_at_others(sup, b, &facts);
    return facts;
}

void recovery_clean(char out[TABLE_REASON], const char *text)
{
    size_t n = 0;

    for (; n < TABLE_REASON - 1 && text[n]; n++)
        out[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    out[n] = '\0';
}
