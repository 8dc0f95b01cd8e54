/* `pasgate status`: also the HEALTHCHECK of the container. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shm/status.h"
#include "supervisor/cli.h"
#include "supervisor/status_text.h"

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

/* 0 when new connections are served. */
static int verdict(const struct table *table)
{
    struct status_service service;

    if (!status_service_read(table, &service)) {
        fprintf(stderr, "pasgate: the table cannot be read\n");
        return CLI_FAILURE;
    }
    if (service.workers_running > 0)
        return CLI_OK;
    fprintf(stderr, "pasgate: no worker serves\n");
    return CLI_FAILURE;
}

static int show(const struct cli *cli)
{
    struct service service;
    int code = service_find(&service, cli->conf_file);

    if (code != CLI_OK)
        return code;
    bool shown = cli->json ? print_json(service.table)
                           : status_text(service.table, stdout, isatty(STDOUT_FILENO));
    code = shown ? verdict(service.table) : CLI_FAILURE;
    service_close(&service);
    return code;
}

int cli_status(const struct cli *cli)
{
    int code = CLI_OK;

    if (!cli->watch)
        return show(cli);
    /* Found anew each time: it goes on when the service was started again. */
    while (!ferror(stdout)) {
        printf("\033[H\033[2J");
        code = show(cli);
        fflush(stdout);
        sleep(WATCH_S);
    }
    return code;
}
