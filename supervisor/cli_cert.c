/* `pasgate cert list`, and what can be asked of a certificate or of the account that it is
 * ordered with. A request is a signal with the certificate's number; its result is watched in
 * the table.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/certs.h"
#include "shm/message.h"
#include "shm/status.h"
#include "supervisor/cli.h"
#include "supervisor/grid.h"
#include "supervisor/signals.h"
#include "supervisor/status_text.h"

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
    cert_notes(grid, c);
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

/* Of an order: what is live now. */
static int tell_order(const struct cert_row *before, const struct cert_row *now, int which)
{
    char until[CLOCK_ISO_SIZE];
    const char *done = which == CERT_REVOKE ? "revoked; " : "";

    if (now->generation == before->generation) {
        fprintf(stderr, "pasgate: certificate %s: %s%s; generation %u goes on\n", now->name,
                done, now->error[0] ? now->error : "nothing came", now->generation);
        return CLI_FAILURE;
    }
    printf("certificate %s: %sgeneration %u is live%s, until %.10s\n", now->name, done,
           now->generation, which == CERT_ROLLBACK ? " again" : "",
           clock_iso(until, now->not_after_wall_ms));
    return CLI_OK;
}

static int tell(const struct cert_row *before, const struct cert_row *now, int which)
{
    if (now->answer[0]) {
        fprintf(stderr, "pasgate: certificate %s: %s\n", now->name, now->answer);
        return CLI_FAILURE;
    }
    if (which == CERT_ROLLOVER)
        printf("the account has a new key\n");
    else if (which == CERT_DEACTIVATE)
        printf("the account is closed; the next order makes another one\n");
    else
        return tell_order(before, now, which);
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

/* A certificate of which the account is meant, when none was named: the first that has one. */
static int find_ordered(const struct service *service, struct cert_row *row)
{
    for (int i = 0; i < TABLE_CERTS; i++)
        if (status_cert_read(service->table, i, row) && row->source == CERT_ACME)
            return i;
    return -1;
}

static int request(const struct cli *cli, const struct service *service, int which, int reason)
{
    struct cert_row before, now;
    int index = cli->name ? find(service, cli->name, &before) : find_ordered(service, &before);
    union sigval value = {.sival_int = (index + 1) | reason << REASON_SHIFT};

    if (index < 0 && cli->name)
        return no_such(cli->name);
    if (index < 0) {
        fprintf(stderr, "pasgate: no certificate was ordered, so there is no account\n");
        return CLI_FAILURE;
    }
    if (sigqueue(service->pid, SIGRTMIN + SIGNAL_CERT + which - CERT_RENEW, value) < 0) {
        fprintf(stderr, "pasgate: cannot signal process %d: %s\n", (int)service->pid,
                strerror(errno));
        return CLI_FAILURE;
    }
    return watch(service, index, &before, &now) ? tell(&before, &now, which) : CLI_FAILURE;
}

static int usage(const char *what)
{
    fprintf(
        stderr,
        "pasgate: cert: %s\n"
        "  cert list | renew NAME [--force] | rollback NAME | revoke NAME [--reason REASON] |\n"
        "  import [FOLDER] [--dry-run] | rollover [NAME] | deactivate [NAME] --force\n",
        what);
    return CLI_USAGE;
}

/* RFC 5280 section 5.3.1, as far as the holder of a certificate may give them; -1: none. */
static int reason_number(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } reasons[] = {
        {"unspecified", 0}, {"keyCompromise", 1},        {"affiliationChanged", 3},
        {"superseded", 4},  {"cessationOfOperation", 5},
    };

    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcasecmp(reasons[i].name, name) == 0)
            return reasons[i].number;
    return -1;
}

/* enum cert_request of a verb; 0: none. */
static int verb_request(const char *verb, bool force)
{
    static const struct {
        const char *verb;
        int which;
    } verbs[] = {
        {"renew", CERT_RENEW},       {"rollback", CERT_ROLLBACK},     {"revoke", CERT_REVOKE},
        {"rollover", CERT_ROLLOVER}, {"deactivate", CERT_DEACTIVATE},
    };

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verb, verbs[i].verb) == 0)
            return verbs[i].which == CERT_RENEW && force ? CERT_RENEW_FORCE : verbs[i].which;
    return 0;
}

/* What was used wrongly, or NULL. */
static const char *wrong(const struct cli *cli, const char *verb, int which, int reason)
{
    if (!which && strcmp(verb, "list") != 0)
        return "what shall be done?";
    if (which && which < CERT_ROLLOVER && !cli->name)
        return "which certificate?";
    if (!which && cli->name)
        return "too much";
    if (reason < 0)
        return "a reason is unspecified, keyCompromise, affiliationChanged, superseded or "
               "cessationOfOperation";
    if (which == CERT_DEACTIVATE && !cli->force)
        return "an account that is closed stays so: if you are sure, add --force";
    return NULL;
}

int cli_cert(const struct cli *cli)
{
    const char *verb = cli->verb ? cli->verb : "list";
    int which = verb_request(verb, cli->force);
    int reason = cli->reason ? reason_number(cli->reason) : 0;
    const char *why = wrong(cli, verb, which, reason);
    struct service service;
    int code;

    if (strcmp(verb, "import") == 0)
        return cli_cert_import(cli);
    if (why)
        return usage(why);
    code = service_find(&service, cli->conf_file);
    if (code != CLI_OK)
        return code;
    code = which ? request(cli, &service, which, reason) : list(&service);
    service_close(&service);
    return code;
}
