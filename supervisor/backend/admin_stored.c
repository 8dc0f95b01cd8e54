#include "supervisor/backend/admin_stored.h"

#include <stdio.h>

#include "base/log.h"
#include "supervisor/publish.h"
#include "supervisor/supervise.h"

void admin_stored_save(struct supervisor *sup)
{
    const struct generation *g = sup->current;

    sup->header.saved =
        admin_overrides_save(&sup->overrides, g->conf->acme.store, &g->identity);
    sup->header.saves++;
    publish_header(sup);
}

void admin_stored_keep(struct supervisor *sup, int slot)
{
    const char *name = backend_own(&sup->table->backend[slot])->name;
    struct admin_row row = *admin_own(&sup->table->admin[slot]);
    struct admin_override override = {
        .override = row.override, .drained = row.drained, .since_wall_ms = row.since_wall_ms};

    snprintf(override.backend, sizeof override.backend, "%s", name);
    snprintf(override.who, sizeof override.who, "%s", row.who);
    snprintf(override.reason, sizeof override.reason, "%s", row.reason);
    if (!row.by_operator)
        admin_overrides_drop(&sup->overrides, name);
    else if (!admin_overrides_put(&sup->overrides, &override))
        log_warn("too many admin overrides: that of %s is lost at a restart of the service",
                 name);
}

void admin_stored_update(struct supervisor *sup, int slot)
{
    admin_stored_keep(sup, slot);
    admin_stored_save(sup);
}

void admin_stored_drain_ended(struct supervisor *sup, int slot)
{
    const struct admin_row *row = admin_own(&sup->table->admin[slot]);

    if (row->override == ADMIN_DRAIN && row->by_operator)
        admin_stored_update(sup, slot);
}
