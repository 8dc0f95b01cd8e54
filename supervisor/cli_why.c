/* `pasgate why B`: how a backend came to be what it is. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "shm/table.h"
#include "supervisor/cli.h"

static void print_one(const struct transition *t, bool health)
{
    char when[CLOCK_ISO_SIZE];

    printf("%s  %-8s  %-9s -> %-9s  %s\n", clock_iso(when, t->wall_ms), t->actor,
           health ? health_state_name(t->from) : admin_state_name(t->from),
           health ? health_state_name(t->to) : admin_state_name(t->to), t->reason);
}

/* Both rings are in order of time: a merge. */
static void print_history(const struct table *table, int slot)
{
    struct transition health[TABLE_HISTORY], admin[TABLE_HISTORY];
    int nh = history_read(&table->health_history[slot], health);
    int na = history_read(&table->admin_history[slot], admin);

    for (int h = 0, a = 0; h < nh || a < na;) {
        if (a >= na || (h < nh && health[h].wall_ms <= admin[a].wall_ms))
            print_one(&health[h++], true);
        else
            print_one(&admin[a++], false);
    }
    if (nh + na == 0)
        printf("nothing has happened to it yet\n");
}

int cli_why(const struct cli *cli)
{
    struct service service;
    struct backend_row backend;
    struct admin_row admin;
    struct health_row health = {0};
    int code = service_find(&service, cli->conf_file);

    if (code != CLI_OK)
        return code;
    int slot = service_backend(&service, cli->backend);
    if (slot < 0 || !backend_read(&service.table->backend[slot], &backend) ||
        !admin_read(&service.table->admin[slot], &admin)) {
        code = slot < 0 ? CLI_USAGE : CLI_FAILURE;
        goto out;
    }
    if (!health_read(&service.table->health[slot], &health) ||
        health.identity != backend.identity)
        health.state = HEALTH_UNKNOWN;
    printf("backend %d %s (%s:%u in pool %s) is %s, %s\n", slot + 1, backend.name, backend.host,
           backend.port, backend.pool, health_state_name(health.state),
           admin_state_name(admin.wish));
    print_history(service.table, slot);
out:
    service_close(&service);
    return code;
}
