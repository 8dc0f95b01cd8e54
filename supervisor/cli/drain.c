/* `pasgate drain B --wait`: shows the progress, and reports by exit code how the drain ended.
 * Interrupting it does not end the drain. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/escape.h"
#include "shm/status/status.h"
#include "supervisor/cli/cli.h"

enum {
    LOOK_US = 100 * 1000, /* between two looks at the table */
    LINE_MS = 1000,       /* between two lines when the output is no terminal */
};

struct progress {
    bool terminal;
    uint64_t told_ms;
    uint64_t in_flight;
    uint32_t sessions;
    char line[STATUS_PROGRESS];
};

/* On a terminal, one line is rewritten; a log gets a line for each change in what is left, not
 * one for each second. */
static void cli_drain_tell(struct progress *p, const struct status_backend *b)
{
    char line[STATUS_PROGRESS];
    uint64_t now = clock_mono_ms();

    status_backend_progress(b, line);
    if (p->terminal
            ? strcmp(line, p->line) == 0
            : p->told_ms && (now < p->told_ms + LINE_MS ||
                             (b->sum.in_flight == p->in_flight && b->sessions == p->sessions)))
        return;
    if (p->terminal) {
        fputs("\r\033[K", stdout);
        escape_print(stdout, "%s: %s", b->backend.name, line);
    } else {
        escape_print(stdout, "%s: %s\n", b->backend.name, line);
    }
    fflush(stdout);
    memcpy(p->line, line, sizeof line);
    p->told_ms = now;
    p->in_flight = b->sum.in_flight;
    p->sessions = b->sessions;
}

static void end_line(const struct progress *p)
{
    if (p->terminal && p->told_ms)
        printf("\r\033[K");
    fflush(stdout);
}

/* Prints the drain's end from the history. */
static void print_end(const struct table *table, const struct status_backend *b)
{
    struct transition all[TABLE_HISTORY];
    int n = history_read(&table->admin_history[b->slot], all);
    char line[STATUS_PROGRESS];

    while (n > 0 && (all[n - 1].heal || all[n - 1].to != ADMIN_DRAINED))
        n--;
    escape_print(stdout, "backend %d %s: %s\n", b->slot + 1, b->backend.name,
                 n ? all[n - 1].reason : status_backend_progress(b, line));
}

int cli_drain_wait(const struct service *service, int slot)
{
    struct progress progress = {.terminal = isatty(STDOUT_FILENO)};
    struct status_backend b;

    while (service_alive(service)) {
        if (!status_backend_read(service->table, slot, &b) || b.admin.who[0] == '\0') {
            usleep(LOOK_US); /* half-written: look again */
            continue;
        }
        if (!b.backend.configured) {
            end_line(&progress);
            escape_print(stderr, "pasgate: backend %s is no longer in the configuration\n",
                         b.backend.name);
            return CLI_FAILURE;
        }
        if (b.admin.override != ADMIN_DRAIN) {
            end_line(&progress);
            escape_print(stderr, "pasgate: backend %s: %s by %s\n", b.backend.name,
                         admin_state_name(b.admin.override), b.admin.who);
            return CLI_FAILURE;
        }
        if (b.admin.drained != DRAIN_GOES_ON) {
            end_line(&progress);
            print_end(service->table, &b);
            return b.admin.drained == DRAIN_EMPTY ? CLI_OK : CLI_CUT;
        }
        cli_drain_tell(&progress, &b);
        if (service_silent(service)) {
            end_line(&progress);
            return CLI_FAILURE;
        }
        usleep(LOOK_US);
    }
    end_line(&progress);
    fprintf(stderr, "pasgate: the service ended meanwhile\n");
    return CLI_FAILURE;
}
