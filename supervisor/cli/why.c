/* `pasgate why B`: how a backend came to its present state. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/escape.h"
#include "shm/sessions.h"
#include "shm/status/status.h"
#include "shm/table.h"
#include "supervisor/cli/cli.h"

static const char *cli_why_state_name(const struct transition *t, uint8_t state, bool health)
{
    return health    ? health_state_name(state)
           : t->heal ? recovery_state_name(state)
                     : admin_state_name(state);
}

static void print_one(const struct transition *t, bool health)
{
    char when[CLOCK_ISO_SIZE];

    escape_print(stdout, "%s  %-10s  %-10s -> %-10s  %s\n", clock_iso(when, t->wall_ms),
                 t->actor, cli_why_state_name(t, t->from, health),
                 cli_why_state_name(t, t->to, health), t->reason);
}

/* Merges the two rings, each of which is in order of time. */
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
        escape_print(stdout, "nothing has happened to it yet\n");
}

static void print_recovery(const struct admin_row *admin)
{
    uint64_t now = clock_mono_ms();

    if (admin->heal != RECOVERY_NONE || *admin->recovery_reason)
        escape_print(stdout, "recovery: %s: %s\n", recovery_state_name(admin->heal),
                     admin->recovery_reason);
    if (admin->attempts)
        escape_print(stdout, "restarts in the last hour: %u", admin->attempts);
    if (admin->attempts && admin->next_try_ms > now)
        escape_print(stdout, "; next one in %llu s at the earliest",
                     (unsigned long long)(admin->next_try_ms - now + 999) / 1000);
    if (admin->attempts)
        escape_print(stdout, "\n");
    if (*admin->incident)
        escape_print(stdout, "last incident: %s\n", admin->incident);
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
    char port[8] = "";

    if (backend.port)
        snprintf(port, sizeof port, ":%u", backend.port);
    escape_print(stdout, "backend %d %s (%s%s in pool %s) is %s, %s\n", slot + 1, backend.name,
                 backend.host, port, backend.pool, health_state_phrase(health.state),
                 admin_state_name(admin.override));
    print_recovery(&admin);
    if (sessions_live(service.table, slot, clock_mono_ms(), backend.session_idle_ms) ==
        SESSIONS_UNCOUNTED)
        escape_print(stdout, "%s; there are some\n", STATUS_UNCOUNTED);
    print_history(service.table, slot);
out:
    service_close(&service);
    return code;
}
