/* `pasgate restart`: one backend, or all of a pool one after the other. Asks by signal; the
 * reply is in the admin row, the steps are in the backend's history. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/escape.h"
#include "shm/status/status.h"
#include "shm/table.h"
#include "supervisor/cli/cli.h"
#include "supervisor/signals.h"

enum {
    LOOK_US = 10000,        /* between two looks at the table */
    REPLY_LIMIT_MS = 30000, /* only to judge it; silence is noticed earlier */
    PROGRESS_MS = 500,
    GOES_ON = -1, /* not an exit code */
};

struct restart {
    const struct service *service;
    int slot;
    struct backend_row backend;
    uint32_t seen;    /* of the history */
    bool warm;        /* also wait for the end of the slow start */
    uint64_t told_ms; /* when progress was last shown */
    bool progress;    /* a progress line is on the screen */
};

static int cli_restart_lost(void)
{
    fprintf(stderr, "pasgate: the service ended meanwhile\n");
    return CLI_FAILURE;
}

/* 0, or -1 when the rows cannot be read, which is not expected. */
static int cli_restart_begin(struct restart *restart, const struct service *service, int slot,
                             struct admin_row *before)
{
    struct transition none[TABLE_HISTORY];

    *restart = (struct restart){.service = service, .slot = slot, .seen = UINT32_MAX};
    history_read_new(&service->table->admin_history[slot], &restart->seen, none);
    if (restart->seen != UINT32_MAX && admin_read(&service->table->admin[slot], before) &&
        backend_read(&service->table->backend[slot], &restart->backend))
        return 0;
    fprintf(stderr, "pasgate: the table cannot be read\n");
    return -1;
}

/* Sends the signal and waits for the reply. If two operators ask at the same moment, one may
 * see the other's reply. */
static int cli_restart_ask(struct restart *restart, bool force, const struct admin_row *before)
{
    const struct service *service = restart->service;
    uint64_t limit = clock_mono_ms() + REPLY_LIMIT_MS;
    union sigval number = {.sival_int = restart->slot + 1 + (force ? RESTART_FORCE : 0)};
    struct admin_row now;

    if (sigqueue(service->pid, SIGRTMIN + SIGNAL_RESTART, number) < 0) {
        fprintf(stderr, "pasgate: cannot signal process %d: %s\n", (int)service->pid,
                strerror(errno));
        return CLI_FAILURE;
    }
    while (clock_mono_ms() < limit) {
        if (admin_read(&service->table->admin[restart->slot], &now) &&
            now.requests != before->requests) {
            if (!*now.reply)
                return CLI_OK;
            escape_print(stderr, "pasgate: %s is not restarted: %s\n", restart->backend.name,
                         now.reply);
            return CLI_FAILURE;
        }
        if (!service_alive(service))
            return cli_restart_lost();
        if (service_silent(service))
            return CLI_FAILURE;
        usleep(LOOK_US);
    }
    fprintf(stderr, "pasgate: the service did not respond in time: see its log\n");
    return CLI_FAILURE;
}

/* Prints one step. Returns GOES_ON, or the exit code if it was the last one. */
static int step(const struct restart *restart, const struct transition *t)
{
    char when[CLOCK_ISO_SIZE];

    if (restart->progress)
        fputs("\r\033[K", stdout);
    escape_print(stdout, "%s  %s: %s: %s\n", clock_iso(when, t->wall_ms), restart->backend.name,
                 recovery_state_name(t->to), t->reason);
    fflush(stdout);
    if (restart->warm ? t->from == RECOVERY_SLOWSTART && t->to == RECOVERY_NONE
                      : t->to == RECOVERY_SLOWSTART)
        return CLI_OK;
    if (t->to != RECOVERY_NONE && t->to != RECOVERY_HOLD)
        return GOES_ON;
    escape_print(stderr, "pasgate: %s was not restarted, or did not recover: %s\n",
                 restart->backend.name, t->reason);
    return CLI_FAILURE;
}

/* On a terminal: shows the drain's progress in one line, which is rewritten. */
static void progress(struct restart *restart)
{
    char line[STATUS_PROGRESS];
    struct status_backend b;

    if (!isatty(STDOUT_FILENO) || clock_mono_ms() < restart->told_ms + PROGRESS_MS ||
        !status_backend_read(restart->service->table, restart->slot, &b) ||
        b.admin.heal != RECOVERY_DRAINING)
        return;
    fputs("\r\033[K", stdout);
    escape_print(stdout, "%s: %s", restart->backend.name, status_backend_progress(&b, line));
    fflush(stdout);
    restart->progress = true;
    restart->told_ms = clock_mono_ms();
}

/* Prints the steps as they come, until the backend is healthy again or the restart is given
 * up. */
static int follow(struct restart *restart)
{
    const struct history *history = &restart->service->table->admin_history[restart->slot];
    struct transition t[TABLE_HISTORY];

    for (;;) {
        int n = history_read_new(history, &restart->seen, t);

        for (int i = 0; i < n; i++) {
            int code = t[i].heal ? step(restart, &t[i]) : GOES_ON;

            if (code != GOES_ON)
                return code;
        }
        progress(restart);
        if (!service_alive(restart->service))
            return cli_restart_lost();
        if (service_silent(restart->service))
            return CLI_FAILURE;
        usleep(LOOK_US);
    }
}

enum until { BEGUN, BACK, WARM };

static int restart_one(const struct service *service, int slot, bool force, enum until until)
{
    struct restart restart;
    struct admin_row before;

    if (!service_backend_in_force(service, slot) ||
        cli_restart_begin(&restart, service, slot, &before) < 0)
        return CLI_FAILURE;
    restart.warm = until == WARM;
    int code = cli_restart_ask(&restart, force, &before);
    if (code == CLI_OK && until != BEGUN)
        code = follow(&restart);
    else if (code == CLI_OK)
        escape_print(stdout, "backend %d %s: restart begun\n", slot + 1, restart.backend.name);
    return code;
}

/* ---- a whole pool */

static int members(const struct service *service, const char *pool, int slot[TABLE_BACKENDS])
{
    struct backend_row row;
    int n = 0;

    for (int s = 0; s < TABLE_BACKENDS; s++)
        if (backend_read(&service->table->backend[s], &row) && row.configured &&
            strcmp(row.pool, pool) == 0)
            slot[n++] = s;
    return n;
}

static void cli_restart_list(const struct service *service, const char *what, const int *slot,
                             int n, FILE *out)
{
    struct backend_row row;

    if (n == 0)
        return;
    fprintf(out, "%s:", what);
    for (int i = 0; i < n; i++)
        if (backend_read(&service->table->backend[slot[i]], &row))
            escape_print(out, " %s", row.name);
    fprintf(out, "\n");
}

static int rolling(const struct service *service, const char *pool, bool force)
{
    int slot[TABLE_BACKENDS], done = 0, code = CLI_OK;
    int n = members(service, pool, slot);

    if (n == 0) {
        escape_print(stderr, "pasgate: there is no pool \"%s\"; `pasgate status` lists them\n",
                     pool);
        return CLI_USAGE;
    }
    /* Wait for the slow start before the next one: in a pool of two, a cold backend would
     * otherwise get all of the load at once. */
    while (done < n && code == CLI_OK) {
        code = restart_one(service, slot[done], force, done + 1 < n ? WARM : BACK);
        done += code == CLI_OK;
    }
    cli_restart_list(service, "restarted", slot, done, stdout);
    cli_restart_list(service, "not restarted", slot + done, n - done, stderr);
    return code;
}

int cli_restart(const struct cli *cli)
{
    struct service service;

    if (!cli->pool == !cli->backend) {
        fprintf(stderr, "pasgate: restart: write restart B [--wait] [--force], or restart "
                        "--rolling POOL [--force]\n");
        return CLI_USAGE;
    }
    int code = service_find(&service, cli->conf_file);
    if (code != CLI_OK)
        return code;
    int slot = cli->pool ? -1 : service_backend(&service, cli->backend);
    if (cli->pool)
        code = rolling(&service, cli->pool, cli->force);
    else
        code = slot < 0 ? CLI_USAGE
                        : restart_one(&service, slot, cli->force, cli->wait ? BACK : BEGUN);
    service_close(&service);
    return code;
}
