#include "healthd/restarter/diagnostics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "healthd/restarter/restart.h"
#include "healthd/restarter/tail.h"
#include "shm/counters.h"
#include "shm/exchange_ring.h"
#include "shm/heritage.h"
#include "shm/status/status.h"

static void trouble(struct diagnostics *ev, const char *what, const char *why)
{
    if (*ev->trouble == '\0')
        snprintf(ev->trouble, sizeof ev->trouble, "%s: %s", what, why);
}

void diagnostics_open(struct diagnostics *ev, const struct heritage *heritage,
                      const struct restart_call *call, size_t left)
{
    const char *dir = heritage->action.evidence;

    *ev = (struct diagnostics){.heritage = heritage, .call = call, .dir = -1, .left = left};
    if (*dir == '\0')
        return;
    ev->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ev->dir < 0)
        trouble(ev, dir, strerror(errno));
}

void diagnostics_close(struct diagnostics *ev)
{
    fd_close(&ev->dir);
}

int diagnostics_create(struct diagnostics *ev, const char *name)
{
    int fd;

    if (ev->dir < 0)
        return -1;
    fd = openat(ev->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        trouble(ev, name, strerror(errno));
    return fd;
}

void diagnostics_finish(struct diagnostics *ev, const char *name, int fd, const void *bytes,
                        size_t n)
{
    size_t most = ev->left < DIAGNOSTICS_FILE ? ev->left : DIAGNOSTICS_FILE;

    if (fd < 0)
        return;
    if (n > most) {
        trouble(ev, name, "too long: truncated");
        n = most;
    }
    if (fd_write_all(fd, bytes, n) < 0)
        trouble(ev, name, strerror(errno));
    if (close(fd) < 0)
        trouble(ev, name, strerror(errno));
    ev->left -= n;
}

static void diagnostics_write_file(struct diagnostics *ev, const char *name, const void *bytes,
                                   size_t n)
{
    diagnostics_finish(ev, name, diagnostics_create(ev, name), bytes, n);
}

/* ---- from the table */

static int slot_of(const struct diagnostics *ev)
{
    return ev->heritage->backend_slot[ev->heritage->action.backend];
}

static const char *diagnostics_state_name(const struct transition *t, uint8_t state,
                                          bool health)
{
    return health    ? health_state_name(state)
           : t->heal ? recovery_state_name(state)
                     : admin_state_name(state);
}

static void print_transition(FILE *out, const struct transition *t, bool health)
{
    char when[CLOCK_ISO_SIZE];

    fprintf(out, "%s  %-10s  %-10s -> %-10s  %s\n", clock_iso(when, t->wall_ms), t->actor,
            diagnostics_state_name(t, t->from, health),
            diagnostics_state_name(t, t->to, health), t->reason);
}

/* As `pasgate why` does: both rings are in order of time. */
static void print_transitions(const struct diagnostics *ev, FILE *out)
{
    const struct table *table = ev->heritage->table;
    struct transition health[TABLE_HISTORY], admin[TABLE_HISTORY];
    int nh = history_read(&table->health_history[slot_of(ev)], health);
    int na = history_read(&table->admin_history[slot_of(ev)], admin);

    for (int h = 0, a = 0; h < nh || a < na;) {
        if (a >= na || (h < nh && health[h].wall_ms <= admin[a].wall_ms))
            print_transition(out, &health[h++], true);
        else
            print_transition(out, &admin[a++], false);
    }
}

#define PRINT(field) fprintf(out, "%-22s %" PRIu64 "\n", #field, (uint64_t)cell->field);

static void print_counters(const struct diagnostics *ev, FILE *out)
{
    struct status_backend b;
    const struct status_cell *cell = &b.sum;
    char when[CLOCK_ISO_SIZE];

    if (!status_backend_read(ev->heritage->table, slot_of(ev), &b)) {
        fprintf(out, "cannot be read right now\n");
        return;
    }
    fprintf(out, "%-22s %s: %s\n", "health", health_state_name(b.health.state),
            b.health.reason);
    fprintf(out, "%-22s %s: %s\n", "admin", admin_state_name(b.admin.override), b.admin.reason);
    fprintf(out, "%-22s %s\n", "last check", b.health.probe_text);
    if (b.health.probe_wall_ms)
        fprintf(out, "%-22s %s, %u us\n", "last check at",
                clock_iso(when, b.health.probe_wall_ms), b.health.probe_us);
    PRINT(in_flight)
    PRINT(queued)
    PRINT(idle)
    PRINT(oldest_ms)
    CELL_COUNTERS(PRINT)
    for (unsigned permille = 500; permille < 1000; permille += permille < 900 ? 400 : 90)
        fprintf(out, "first byte %2u %%        %" PRIu64 " us\n", permille / 10,
                status_percentile(cell, permille));
}

/* Text of a peer in a fixed array, fit for one line. */
static const char *diagnostics_shown(char *out, size_t cap, const char *text, size_t size)
{
    return tail_plain(out, cap, text, strnlen(text, size));
}

static void print_exchanges(const struct diagnostics *ev, FILE *out)
{
    static struct recent_row row[EXCHANGE_RING_TOLD];
    struct backend_row backend;
    int n = 0;

    if (backend_read(&ev->heritage->table->backend[slot_of(ev)], &backend))
        n = exchange_ring_read(ev->heritage->table, slot_of(ev), backend.identity, row);
    fprintf(out, "# end, request, response to the client and of the backend, how it ended and "
                 "in which phase, first byte and total in us, attempt, id\n");
    for (int i = 0; i < n; i++) {
        const struct recent_row *r = &row[i];
        char when[CLOCK_ISO_SIZE], method[sizeof r->method + 1], path[sizeof r->path + 1];
        char end[sizeof r->end + 1], phase[sizeof r->phase + 1], id[sizeof r->id + 1];

        fprintf(
            out, "%s  %s %s  %u %u  %s %s  %u %u  %u  %s\n", clock_iso(when, r->end_wall_ms),
            diagnostics_shown(method, sizeof method, r->method, sizeof r->method),
            diagnostics_shown(path, sizeof path, r->path, sizeof r->path), r->status,
            r->backend_status, diagnostics_shown(end, sizeof end, r->end, sizeof r->end),
            diagnostics_shown(phase, sizeof phase, r->phase, sizeof r->phase), r->first_byte_us,
            r->total_us, r->attempts, diagnostics_shown(id, sizeof id, r->id, sizeof r->id));
    }
}

static void print_to(struct diagnostics *ev, const char *name,
                     void (*print)(const struct diagnostics *, FILE *))
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    if (out) {
        print(ev, out);
        if (fclose(out) == 0)
            diagnostics_write_file(ev, name, text, n);
    }
    free(text);
}

void diagnostics_of_table(struct diagnostics *ev)
{
    char *incident;

    if (ev->dir < 0)
        return;
    incident = diagnostics_incident(ev->call, clock_wall_ms());
    if (incident)
        diagnostics_write_file(ev, "incident.json", incident, strlen(incident));
    free(incident);
    print_to(ev, "transitions", print_transitions);
    print_to(ev, "counters", print_counters);
    print_to(ev, "exchanges", print_exchanges);
}

/* ---- the action */

void diagnostics_of_action(struct diagnostics *ev, const struct restart_result *result)
{
    const char *said;
    size_t n, room;
    char *text, when[CLOCK_ISO_SIZE];

    if (ev->dir < 0)
        return;
    said = tail_bytes(ev->call->said, &n);
    room = n + 512;
    if (!(text = malloc(room)))
        return;
    int head = ev->call->said->total > n
                   ? snprintf(text, room, "(%" PRIu64 " bytes before this are left out)\n",
                              ev->call->said->total - n)
                   : 0;
    memcpy(text + head, said, n);
    n += (size_t)head;
    n +=
        (size_t)snprintf(text + n, room - n, "%s%s %s: %s\n",
                         n && text[n - 1] != '\n' ? "\n" : "", clock_iso(when, clock_wall_ms()),
                         result->done ? "restarted" : "not restarted", result->text);
    diagnostics_write_file(ev, "action.log", text, n);
    free(text);
}
