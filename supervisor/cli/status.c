/* `pasgate status`, which is also the HEALTHCHECK of the container. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/escape.h"
#include "shm/status/status.h"
#include "shm/status/summary.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/status_text.h"

enum { WATCH_S = 1 };

static bool print_json(const struct table *table)
{
    char *text = malloc(STATUS_JSON_MAX);
    ssize_t n = text ? status_json(table, text, STATUS_JSON_MAX) : -1;

    if (n >= 0)
        fwrite(text, 1, (size_t)n, stdout);
    free(text);
    return n >= 0;
}

/* 0 when requests are served: a worker takes new connections and, unless --live was given, each
 * pool has a backend that gets new requests, no certificate was revoked, the store can be used,
 * so that the next worker can read the certificates, and the supervisor is not silent. */
static int status_verdict(const struct table *table, const struct cli *cli)
{
    struct status_service service;
    struct summary summary;

    if (!status_service_read(table, &service)) {
        fprintf(stderr, "pasgate: the table cannot be read\n");
        return CLI_FAILURE;
    }
    unsigned silent = header_silent_s(&table->header);
    if (silent && !cli->live) {
        if (!cli->json)
            fprintf(stderr,
                    "pasgate: the supervisor has not responded for %u s: nothing is restarted, "
                    "and commands have no effect\n",
                    silent);
        return CLI_FAILURE;
    }
    summary_read(table, &service, &summary);
    if (cli->live ? service.workers_running > 0
                  : summary.ready && !summary.revoked && !summary.unstored)
        return CLI_OK;
    if (!cli->json) /* the JSON has it under "health" */
        escape_print(stderr, "pasgate: %s\n",
                     service.workers_running ? summary.text : "no worker serves");
    return CLI_FAILURE;
}

static int status_show(const struct cli *cli)
{
    struct service service;
    int code = service_find(&service, cli->conf_file);

    if (code != CLI_OK)
        return code;
    if (cli->sandbox) {
        code = cli_sandbox(&service) ? CLI_OK : CLI_FAILURE;
        service_close(&service);
        return code;
    }
    bool shown = cli->json ? print_json(service.table)
                           : status_text(service.table, stdout, isatty(STDOUT_FILENO));
    code = shown ? status_verdict(service.table, cli) : CLI_FAILURE;
    service_close(&service);
    return code;
}

int cli_status(const struct cli *cli)
{
    int code = CLI_OK;

    if (!cli->watch)
        return status_show(cli);
    /* The service is looked up each time, so that it goes on after a restart of the service. */
    while (!ferror(stdout)) {
        printf("\033[H\033[2J");
        code = status_show(cli);
        fflush(stdout);
        sleep(WATCH_S);
    }
    return code;
}
