/* `pasgate cert list | renew NAME [--force] | rollback NAME`. A request is a signal with the
 * certificate's number; its result is watched in the table. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/certs.h"
#include "shm/message.h"
#include "shm/status.h"
#include "supervisor/cli.h"
#include "supervisor/grid.h"
#include "supervisor/signals.h"

enum {
    LOOK_US = 20000,                 /* between two looks at the table */
    HEARD_LIMIT_MS = 10000,          /* acmed only has to look at it */
    ORDER_LIMIT_MS = 20 * 60 * 1000, /* a CA may take its time */
};

/* ---- list */

static void list_row(struct grid *grid, const struct table *table, int index,
                     const struct cert_row *c)
{
    char until[CLOCK_ISO_SIZE] = "-", next[CLOCK_ISO_SIZE] = "-";
    uint32_t loaded, workers;

    if (c->generation)
        clock_iso(until, c->not_after_wall_ms);
    if (c->next_try_wall_ms)
        clock_iso(next, c->next_try_wall_ms);
    cert_loaded(table, (uint32_t)index, c->generation, &loaded, &workers);
    grid_row(grid);
    grid_cell(grid, NULL, "%.60s", c->name);
    grid_cell(grid, NULL, "%s", status_cert_source(c));
    grid_cell(grid, NULL, "%u", c->generation);
    grid_cell(grid, NULL, "%u of %u", loaded, workers);
    grid_cell(grid, NULL, "%.16s", until);
    grid_cell(grid, NULL, "%.16s", c->busy ? "now" : next);
    grid_cell(grid, NULL, "%.60s", c->issuer);
    if (c->candidate)
        grid_note(grid, "generation %u is being proved", c->candidate);
    else
        grid_note(grid, "%s%s", *c->error ? "error: " : "", c->error);
}

static int list(const struct service *service)
{
    static const struct grid_column columns[] = {
        {"CERTIFICATE", GRID_ELASTIC}, {"SOURCE", GRID_LEFT},    {"GEN", GRID_RIGHT},
        {"IN WORKERS", GRID_LEFT},     {"NOT AFTER", GRID_LEFT}, {"NEXT TRY", GRID_LEFT},
        {"ISSUER", GRID_ELASTIC},
    };
    struct grid grid = grid_new(columns, sizeof columns / sizeof *columns);
    struct cert_row cert;

    for (int i = 0; i < TABLE_CERTS; i++)
        if (status_cert_read(service->table, i, &cert))
            list_row(&grid, service->table, i, &cert);
    if (grid.nrows > 0)
        grid_print(&grid, stdout, isatty(STDOUT_FILENO));
    else
        printf("there is no certificate\n");
    grid_release(&grid);
    return CLI_OK;
}

/* ---- requests */

static int no_such(const char *name)
{
    fprintf(stderr, "pasgate: there is no certificate \"%s\"; `pasgate cert list` has them\n",
            name);
    return CLI_USAGE;
}

/* Its index, by number (1..), name in the configuration or folder; -1. */
static int find(const struct service *service, const char *name, struct cert_row *row)
{
    char folder[CERT_FOLDER_SIZE], *end;
    long number = strtol(name, &end, 10);

    cert_folder(folder, name);
    for (int i = 0; i < TABLE_CERTS; i++)
        if (status_cert_read(service->table, i, row) &&
            (strcmp(row->name, folder) == 0 || strcmp(row->name, name) == 0 ||
             (*end == '\0' && number == i + 1)))
            return i;
    return -1;
}

static int tell(const struct cert_row *before, const struct cert_row *now, int which)
{
    char until[CLOCK_ISO_SIZE];

    if (now->answer[0]) {
        fprintf(stderr, "pasgate: certificate %s: %s\n", now->name, now->answer);
        return CLI_FAILURE;
    }
    if (now->generation == before->generation) {
        fprintf(stderr, "pasgate: certificate %s: %s; generation %u goes on\n", now->name,
                now->error[0] ? now->error : "nothing came", now->generation);
        return CLI_FAILURE;
    }
    printf("certificate %s: generation %u is live%s, until %.10s\n", now->name, now->generation,
           which == CERT_ROLLBACK ? " again" : "", clock_iso(until, now->not_after_wall_ms));
    return CLI_OK;
}

/* false: the service has gone, or does not answer. */
static bool watch(const struct service *service, int index, const struct cert_row *before,
                  struct cert_row *now)
{
    uint64_t start = clock_mono_ms(), limit = start + HEARD_LIMIT_MS;

    while (clock_mono_ms() < limit && service_alive(service)) {
        if (cert_read(&service->table->cert[index], now) && now->requests != before->requests) {
            if (!now->busy && !now->candidate)
                return true;
            limit = start + ORDER_LIMIT_MS;
        }
        usleep(LOOK_US);
    }
    fprintf(stderr, "pasgate: %s: see its log\n",
            service_alive(service) ? "the service gave no answer in time"
                                   : "the service ended meanwhile");
    return false;
}

static int request(const struct cli *cli, const struct service *service, int which)
{
    struct cert_row before, now;
    int index = find(service, cli->name, &before);
    union sigval number = {.sival_int = index + 1};

    if (index < 0)
        return no_such(cli->name);
    if (sigqueue(service->pid, SIGRTMIN + SIGNAL_CERT + which - CERT_RENEW, number) < 0) {
        fprintf(stderr, "pasgate: cannot signal process %d: %s\n", (int)service->pid,
                strerror(errno));
        return CLI_FAILURE;
    }
    return watch(service, index, &before, &now) ? tell(&before, &now, which) : CLI_FAILURE;
}

static int usage(const char *what)
{
    fprintf(stderr, "pasgate: cert: %s: cert list | renew NAME [--force] | rollback NAME\n",
            what);
    return CLI_USAGE;
}

int cli_cert(const struct cli *cli)
{
    const char *verb = cli->verb ? cli->verb : "list";
    int which = strcmp(verb, "rollback") == 0 ? CERT_ROLLBACK
                : strcmp(verb, "renew") == 0  ? cli->force ? CERT_RENEW_FORCE : CERT_RENEW
                                              : 0;
    struct service service;
    int code;

    if (strcmp(verb, "import") == 0)
        return cli_cert_import(cli);
    if (!which && strcmp(verb, "list") != 0)
        return usage("what shall be done");
    if (which && !cli->name)
        return usage("which certificate");
    if (!which && cli->name)
        return usage("too much");
    code = service_find(&service, cli->conf_file);
    if (code != CLI_OK)
        return code;
    code = which ? request(cli, &service, which) : list(&service);
    service_close(&service);
    return code;
}
