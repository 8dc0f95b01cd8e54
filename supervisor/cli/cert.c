/* `pasgate cert list`, and requests about a certificate or the account that it is ordered with.
 * A request is a signal with the certificate's number; its result is read from the table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/escape.h"
#include "shm/certs.h"
#include "shm/message.h"
#include "shm/status/status.h"
#include "supervisor/cli/cert_renew_all.h"
#include "supervisor/cli/cert_request.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/status_text.h"
#include "supervisor/cli/text_table.h"

enum { LIST_MS = 1000 }; /* a list is wanted now */

/* ---- list */

static void list_row(struct text_table *text_table, const struct table *table, int index,
                     const struct cert_row *c)
{
    char until[CLOCK_ISO_SIZE] = "-", next[CLOCK_ISO_SIZE];
    uint32_t loaded, workers;

    if (c->not_after_wall_ms)
        clock_iso(until, c->not_after_wall_ms);
    cert_loaded(table, (uint32_t)index, c->generation, &loaded, &workers);
    text_table_row(text_table);
    text_table_cell(text_table, NULL, "%.60s", c->name);
    text_table_cell(text_table, NULL, "%s", status_cert_source(c));
    text_table_cell(text_table, NULL, "%s", *c->key ? c->key : "-");
    text_table_cell(text_table, NULL, "%u", c->generation);
    text_table_cell(text_table, NULL, "%u of %u", loaded, workers);
    text_table_cell(text_table, NULL, "%.16s", until);
    text_table_cell(text_table, NULL, "%s", status_cert_next(c, next));
    text_table_cell(text_table, NULL, "%.60s", c->issuer);
}

static int no_such(const char *name)
{
    escape_print(stderr,
                 "pasgate: there is no certificate \"%s\"; `pasgate cert list` lists them\n",
                 name);
    return CLI_USAGE;
}

/* Does the name mean this one? By number (1..), name in the configuration or directory. */
static bool is_named(const char *name, int index, const struct cert_row *row)
{
    char dir[CERT_DIR_SIZE], *end;
    long number = strtol(name, &end, 10);

    return strcmp(row->name, cert_dir(dir, name)) == 0 || strcmp(row->name, name) == 0 ||
           (*end == '\0' && number == index + 1);
}

/* name NULL: all of them, with only the beginning of each error. */
static int cli_cert_list(const struct service *service, const char *name)
{
    static const struct text_table_column columns[] = {
        {"CERTIFICATE", TEXT_TABLE_ELASTIC},
        {"SOURCE", TEXT_TABLE_LEFT},
        {"KEY", TEXT_TABLE_LEFT},
        {"GEN", TEXT_TABLE_RIGHT},
        {"IN WORKERS", TEXT_TABLE_LEFT},
        {"NOT AFTER", TEXT_TABLE_LEFT},
        {"NEXT TRY", TEXT_TABLE_LEFT},
        {"ISSUER", TEXT_TABLE_ELASTIC},
    };
    struct text_table text_table = text_table_new(columns, sizeof columns / sizeof *columns);
    struct cert_row cert;

    cert_request_settle(service, LIST_MS);
    for (int i = 0; i < (int)table_certs(service->table); i++)
        if (status_cert_read(service->table, i, &cert) && (!name || is_named(name, i, &cert))) {
            list_row(&text_table, service->table, i, &cert);
            cert_notes(&text_table, &cert, name != NULL);
        }
    int rows = text_table.nrows;
    if (rows > 0)
        text_table_print(&text_table, stdout, isatty(STDOUT_FILENO));
    else if (!name)
        printf("there are no certificates\n");
    text_table_release(&text_table);
    return rows == 0 && name ? no_such(name) : CLI_OK;
}

/* ---- requests */

/* -1: not found. */
static int cli_cert_find(const struct service *service, const char *name, struct cert_row *row)
{
    for (int i = 0; i < (int)table_certs(service->table); i++)
        if (status_cert_read(service->table, i, row) && is_named(name, i, row))
            return i;
    return -1;
}

/* NULL: the service has ended, or does not respond. */
static const struct cert_reply *cli_cert_watch(const struct service *service, int index,
                                               const struct cert_row *before,
                                               struct cert_row *now)
{
    uint64_t start = clock_mono_ms(), limit = start + CERT_REQUEST_HEARD_MS;
    const struct cert_reply *reply = NULL;

    while (clock_mono_ms() < limit && service_alive(service)) {
        if (cert_read(&service->table->cert[index], now)) {
            if (strcmp(now->name, before->name) != 0) {
                escape_print(stderr,
                             "pasgate: certificate %s: the configuration was reloaded "
                             "meanwhile; see `pasgate cert list` for the result\n",
                             before->name);
                return NULL;
            }
            reply = cert_request_reply(before, now);
            if (reply && cert_request_ended(reply))
                return reply;
        }
        if (reply) /* acmed, or its successor, completes the order */
            limit = start + CERT_REQUEST_ORDER_MS;
        if (service_silent(service))
            return NULL;
        usleep(CERT_REQUEST_LOOK_US);
    }
    fprintf(stderr, "pasgate: %s\n",
            !service_alive(service) ? "the service ended meanwhile: see its log"
            : reply                 ? "still in progress; see `pasgate cert list`"
                                    : "the service did not respond in time: see its log");
    return NULL;
}

/* When no certificate was named and an account is meant: the first one that is ordered. */
static int find_ordered(const struct service *service, struct cert_row *row)
{
    for (int i = 0; i < (int)table_certs(service->table); i++)
        if (status_cert_read(service->table, i, row) && row->source == CERT_ACME)
            return i;
    for (int i = 0; i < (int)table_certs(service->table); i++)
        if (status_cert_read(service->table, i, row) && row->wanted == CERT_ACME)
            return i;
    return -1;
}

static int request(const struct cli *cli, const struct service *service, int which, int reason)
{
    struct cert_row before, now;
    const struct cert_reply *reply;
    int index =
        cli->name ? cli_cert_find(service, cli->name, &before) : find_ordered(service, &before);

    if (index < 0) {
        cert_request_settle(service, CERT_REQUEST_SETTLE_MS);
        index = cli->name ? cli_cert_find(service, cli->name, &before)
                          : find_ordered(service, &before);
    }
    if (index < 0 && cli->name)
        return no_such(cli->name);
    if (index < 0) {
        fprintf(stderr, "pasgate: no certificate was ordered, so there is no account\n");
        return CLI_FAILURE;
    }
    if (cert_request_send(service, index, which, reason) != CLI_OK)
        return CLI_FAILURE;
    reply = cli_cert_watch(service, index, &before, &now);
    return reply ? cert_request_tell(now.name, reply) : CLI_FAILURE;
}

static int cli_cert_usage(const char *what)
{
    fprintf(stderr,
            "pasgate: cert: %s\n"
            "  cert list [NAME] | renew NAME|--all [--force] | rollback NAME |\n"
            "  revoke NAME [--reason REASON] | rollover [NAME] | import [DIR] [--dry-run] |\n"
            "  import FILE [NAME] [--key FILE] [--password-file FILE] [--dry-run] [--force] |\n"
            "  deactivate [NAME] --force | delete NAME --force\n",
            what);
    return CLI_USAGE;
}

/* RFC 5280 section 5.3.1: the reasons that the holder of a certificate may give; -1: none of
 * them. */
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

/* enum cert_request for a verb; 0: none. */
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

/* What is wrong with the usage, or NULL. */
static const char *wrong(const struct cli *cli, const char *verb, int which, int reason)
{
    if (!which && strcmp(verb, "list") != 0)
        return "which verb?";
    if (cli->all && which != CERT_RENEW && which != CERT_RENEW_FORCE)
        return "--all works with renew only";
    if (cli->all && cli->name)
        return "write a name or --all, not both";
    if (which && which < CERT_ROLLOVER && !cli->name && !cli->all)
        return "which certificate?";
    if (reason < 0)
        return "a reason is one of unspecified, keyCompromise, affiliationChanged, superseded "
               "or cessationOfOperation";
    if (which == CERT_DEACTIVATE && !cli->force)
        return "closing an account cannot be undone: if you are sure, add --force";
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
    if (strcmp(verb, "delete") == 0)
        return cli_cert_delete(cli);
    if (why)
        return cli_cert_usage(why);
    code = service_find(&service, cli->conf_file);
    if (code != CLI_OK)
        return code;
    code = cli->all ? cert_renew_all(&service, which)
           : which  ? request(cli, &service, which, reason)
                    : cli_cert_list(&service, cli->name);
    service_close(&service);
    return code;
}
