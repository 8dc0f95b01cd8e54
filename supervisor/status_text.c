#include "supervisor/status_text.h"

#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "shm/certs.h"
#include "shm/status.h"
#include "supervisor/grid.h"

#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"

enum { SPAN = 24, EXPIRES_SOON_MS = 7 * 24 * 3600 * 1000 };

/* "850 ms", "12 s", "3h05m", "4d02h". */
static const char *span(uint64_t ms, char out[SPAN])
{
    uint64_t s = ms / 1000;

    if (s < 100)
        snprintf(out, SPAN, "%" PRIu64 "s", s);
    else if (s < 3600)
        snprintf(out, SPAN, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    else if (s < 24 * 3600)
        snprintf(out, SPAN, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(out, SPAN, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
    return out;
}

static const char *ago(uint64_t wall_ms, char out[SPAN])
{
    uint64_t now = clock_wall_ms();

    if (wall_ms == 0)
        return strcpy(out, "-");
    return span(now > wall_ms ? now - wall_ms : 0, out);
}

static const char *micro(uint64_t us, char out[SPAN])
{
    if (us == 0)
        return strcpy(out, "-");
    if (us < 1000)
        snprintf(out, SPAN, "%" PRIu64 "us", us);
    else if (us < 100 * 1000)
        snprintf(out, SPAN, "%.1fms", (double)us / 1000);
    else
        snprintf(out, SPAN, "%.2fs", (double)us / 1000000);
    return out;
}

static void print_head(const struct status_service *s, FILE *out, bool colours)
{
    const struct header_row *h = &s->header;
    char up[SPAN], iso[CLOCK_ISO_SIZE];

    fprintf(out, "pasgate %s, pid %d, up %s since %s, generation %u of %s\n", h->version,
            (int)h->pid, span(s->uptime_ms, up), clock_iso(iso, h->started_wall_ms),
            h->config_generation, h->config_file);
    if (h->stopping)
        fprintf(out, "%sstopping: no new work is taken%s\n", colours ? YELLOW : "",
                colours ? "\033[0m" : "");
    if (h->reloading)
        fprintf(out, "a reload is on its way\n");
    if (h->reload_wall_ms && h->reload_ok)
        fprintf(out, "last reload %s ago: good (%u good, %u failed)\n",
                ago(h->reload_wall_ms, up), h->reloads, h->reload_failures);
    else if (h->reload_wall_ms)
        fprintf(out, "%slast reload %s ago: FAILED, %u error%s: %s%s\n", colours ? RED : "",
                ago(h->reload_wall_ms, up), h->reload_nerrors,
                h->reload_nerrors == 1 ? "" : "s", h->reload_error, colours ? "\033[0m" : "");
}

/* ---- processes */

static const char *last_exit(int status, char out[SPAN])
{
    if (status == -1)
        return "-";
    if (WIFSIGNALED(status))
        snprintf(out, SPAN, "signal %d", WTERMSIG(status));
    else
        snprintf(out, SPAN, "code %d", WEXITSTATUS(status));
    return out;
}

static void process_cells(struct grid *grid, const struct table *table, int r,
                          const struct child_row *c)
{
    bool worker = c->kind == KIND_WORKER, live = worker && worker_row_live(table, r);
    const struct worker_row *w = &table->worker[worker ? r : 0];
    const char *colour = c->state == CHILD_RUNNING   ? GREEN
                         : c->state >= CHILD_BACKOFF ? RED
                                                     : YELLOW;
    char text[SPAN];

    grid_row(grid);
    grid_cell(grid, NULL, "%s", kind_name(c->kind));
    grid_cell(grid, NULL, worker ? "%d" : "-", c->slot);
    grid_cell(grid, NULL, c->pid ? "%d" : "-", (int)c->pid);
    grid_cell(grid, NULL, "%u", c->generation);
    grid_cell(grid, colour, "%s", child_state_name(c->state));
    grid_cell(grid, c->restarts ? YELLOW : NULL, "%u", c->restarts);
    grid_cell(grid, NULL, "%s", c->pid ? ago(c->started_wall_ms, text) : "-");
    grid_cell(grid, NULL, "%s", last_exit(c->last_exit, text));
    grid_cell(grid, NULL, live ? "%" PRIu64 : "-", count_read(&w->connections));
    grid_cell(grid, NULL, live ? "%" PRIu64 : "-", count_read(&w->exchanges));
    grid_cell(grid, NULL, live ? "%" PRIu64 : "-", count_read(&w->exchanges_total));
}

static void print_processes(const struct table *table, FILE *out, bool colours)
{
    static const struct grid_column columns[] = {
        {"PROCESS", GRID_LEFT},    {"SLOT", GRID_RIGHT},    {"PID", GRID_RIGHT},
        {"GEN", GRID_RIGHT},       {"STATE", GRID_LEFT},    {"RESTARTS", GRID_RIGHT},
        {"UP", GRID_RIGHT},        {"LAST END", GRID_LEFT}, {"CONNECTIONS", GRID_RIGHT},
        {"EXCHANGES", GRID_RIGHT}, {"EVER", GRID_RIGHT},
    };
    struct grid grid = grid_new(columns, sizeof columns / sizeof *columns);
    struct child_row child;

    for (int r = 0; r < TABLE_CHILDREN; r++)
        if (status_child_read(table, r, &child))
            process_cells(&grid, table, r, &child);
    fputc('\n', out);
    grid_print(&grid, out, colours);
    grid_release(&grid);
}

/* ---- backends */

static const char *health_colour(enum health_state state)
{
    return state == HEALTH_UP ? GREEN : state == HEALTH_DOWN ? RED : YELLOW;
}

static uint64_t errors_of(const struct status_cell *c)
{
    return c->connect_errors + c->resets + c->timeouts + c->cut;
}

static const char *admin_word(const struct admin_row *admin)
{
    if (admin->heal != HEAL_NONE)
        return heal_state_name(admin->heal);
    return admin_state_name(admin->wish == ADMIN_DRAIN && admin->drained ? ADMIN_DRAINED
                                                                         : admin->wish);
}

static void backend_cells(struct grid *grid, const struct status_backend *b)
{
    const struct status_cell *c = &b->sum;
    char text[SPAN];

    grid_row(grid);
    grid_cell(grid, NULL, "%d", b->slot + 1);
    grid_cell(grid, NULL, "%s", b->backend.name);
    grid_cell(grid, NULL, "%s", b->backend.pool);
    grid_cell(grid, NULL, "%.50s:%u", b->backend.host, b->backend.port);
    grid_cell(grid, health_colour(b->health.state), "%s", health_state_name(b->health.state));
    grid_cell(grid, NULL, "%s", ago(b->health.since_wall_ms, text));
    grid_cell(grid, b->admin.wish == ADMIN_READY && b->admin.heal == HEAL_NONE ? NULL : YELLOW,
              "%s", admin_word(&b->admin));
    if (b->backend.max_in_flight)
        grid_cell(grid, NULL, "%" PRIu64 "/%u", c->in_flight, b->backend.max_in_flight);
    else
        grid_cell(grid, NULL, "%" PRIu64, c->in_flight);
    grid_cell(grid, c->queued ? YELLOW : NULL, "%" PRIu64, c->queued);
    grid_cell(grid, NULL, "%u", b->sessions);
    grid_cell(grid, NULL, "%" PRIu64, c->completed);
    grid_cell(grid, errors_of(c) ? YELLOW : NULL, "%" PRIu64, errors_of(c));
    grid_cell(grid, NULL, "%" PRIu64, c->server_errors + c->gateway_errors);
    grid_cell(grid, NULL, "%s", micro(status_percentile(c, 500), text));
    grid_cell(grid, NULL, "%s", micro(status_percentile(c, 990), text));
    grid_cell(grid, NULL, "%" PRIu64, c->idle);
}

static void backend_note(struct grid *grid, const struct status_backend *b)
{
    const struct status_cell *c = &b->sum;
    char note[GRID_NOTE], progress[STATUS_PROGRESS], text[SPAN];
    size_t n = 0;

#define ADD(...)                                                               \
    do {                                                                       \
        n += (size_t)snprintf(note + n, sizeof note - n, "%s", n ? "; " : ""); \
        n += (size_t)snprintf(note + n, sizeof note - n, __VA_ARGS__);         \
        n = n < sizeof note ? n : sizeof note - 1;                             \
    } while (0)
    note[0] = '\0';
    if (*status_backend_progress(b, progress))
        ADD("%s", progress);
    if (*b->health.reason)
        ADD("%s: %s", health_state_name(b->health.state), b->health.reason);
    if (status_eject_left_ms(&b->health))
        ADD("tried again in %s", span(status_eject_left_ms(&b->health), text));
    if (b->admin.heal != HEAL_NONE)
        ADD("heal: %s for %s: %s", heal_state_name(b->admin.heal),
            ago(b->admin.heal_since_wall_ms, text), b->admin.heal_reason);
    else if (*b->admin.heal_reason && b->health.state == HEALTH_DOWN)
        ADD("heal: %s", b->admin.heal_reason);
    if (b->admin.attempts)
        ADD("%u restart%s in the last hour", b->admin.attempts,
            b->admin.attempts == 1 ? "" : "s");
    if (b->admin.wish != ADMIN_READY)
        ADD("%s by %s: %s", admin_state_name(b->admin.wish), b->admin.who, b->admin.reason);
    if (*b->health.probe_text && strcmp(b->health.probe_text, b->health.reason) != 0)
        ADD("last probe: %s", b->health.probe_text);
    if (errors_of(c))
        ADD("errors: %" PRIu64 " connect, %" PRIu64 " reset, %" PRIu64 " timeout, %" PRIu64
            " cut; %" PRIu64 " moved to another instance",
            c->connect_errors, c->resets, c->timeouts, c->cut, c->retries);
#undef ADD
    grid_note(grid, "%s", note);
}

static void print_backends(const struct table *table, FILE *out, bool colours)
{
    static const struct grid_column columns[] = {
        {"NO", GRID_RIGHT},        {"BACKEND", GRID_ELASTIC}, {"POOL", GRID_ELASTIC},
        {"ADDRESS", GRID_ELASTIC}, {"HEALTH", GRID_LEFT},     {"SINCE", GRID_RIGHT},
        {"ADMIN", GRID_LEFT},      {"IN FLIGHT", GRID_RIGHT}, {"QUEUED", GRID_RIGHT},
        {"SESS", GRID_RIGHT},      {"DONE", GRID_RIGHT},      {"ERRORS", GRID_RIGHT},
        {"5XX", GRID_RIGHT},       {"P50", GRID_RIGHT},       {"P99", GRID_RIGHT},
        {"IDLE", GRID_RIGHT},
    };
    struct grid grid = grid_new(columns, sizeof columns / sizeof *columns);
    struct status_backend b;

    for (int slot = 0; slot < TABLE_BACKENDS; slot++) {
        if (!status_backend_read(table, slot, &b) || !b.backend.configured)
            continue;
        backend_cells(&grid, &b);
        backend_note(&grid, &b);
    }
    fputc('\n', out);
    grid_print(&grid, out, colours);
    grid_release(&grid);
}

/* ---- certificates */

void cert_notes(struct grid *grid, const struct cert_row *c)
{
    char iso[CLOCK_ISO_SIZE];

    if (c->candidate)
        grid_note(grid, "generation %u is being proved", c->candidate);
    if (*c->error)
        grid_note(grid, "error: %s", c->error);
    if (*c->error && c->next_try_wall_ms)
        grid_note(grid, "next try %s%s%s", clock_iso(iso, c->next_try_wall_ms),
                  *c->doing ? ": " : "", c->doing);
    else if (*c->doing)
        grid_note(grid, "%s", c->doing);
    for (int i = 0; i < TABLE_NOTES && *c->note[i]; i++)
        grid_note(grid, "look at: %s", c->note[i]);
}

static void cert_cells(struct grid *grid, const struct table *table, int i,
                       const struct cert_row *c)
{
    uint64_t now = clock_wall_ms();
    char iso[CLOCK_ISO_SIZE], left[SPAN];
    bool expired = c->not_after_wall_ms <= now;
    uint32_t loaded, workers;

    cert_loaded(table, (uint32_t)i, c->generation, &loaded, &workers);
    grid_row(grid);
    grid_cell(grid, NULL, "%.60s", c->name);
    grid_cell(grid, c->source == CERT_SELF_SIGNED || c->source == CERT_NONE ? YELLOW : GREEN,
              "%s", status_cert_source(c));
    grid_cell(grid, NULL, "%u", c->generation);
    grid_cell(grid, loaded == workers ? NULL : YELLOW, "%u of %u", loaded, workers);
    if (c->generation) {
        grid_cell(grid, NULL, "%.10s", clock_iso(iso, c->not_after_wall_ms));
        grid_cell(grid,
                  expired                                        ? RED
                  : c->not_after_wall_ms - now < EXPIRES_SOON_MS ? YELLOW
                                                                 : NULL,
                  "%s", expired ? "expired" : span(c->not_after_wall_ms - now, left));
    } else {
        grid_cell(grid, NULL, "-");
        grid_cell(grid, NULL, "-");
    }
    grid_cell(grid, NULL, "%.60s", c->issuer);
    cert_notes(grid, c);
}

static void print_certs(const struct table *table, FILE *out, bool colours)
{
    static const struct grid_column columns[] = {
        {"CERTIFICATE", GRID_ELASTIC}, {"SOURCE", GRID_LEFT},    {"GEN", GRID_RIGHT},
        {"LOADED BY", GRID_LEFT},      {"NOT AFTER", GRID_LEFT}, {"LEFT", GRID_RIGHT},
        {"ISSUER", GRID_ELASTIC},
    };
    struct grid grid = grid_new(columns, sizeof columns / sizeof *columns);
    struct cert_row cert;

    for (int i = 0; i < TABLE_CERTS; i++)
        if (status_cert_read(table, i, &cert))
            cert_cells(&grid, table, i, &cert);
    if (grid.nrows > 0) {
        fputc('\n', out);
        grid_print(&grid, out, colours);
    }
    grid_release(&grid);
}

bool status_text(const struct table *table, FILE *out, bool colours)
{
    struct status_service service;

    if (!status_service_read(table, &service))
        return false;
    print_head(&service, out, colours);
    print_processes(table, out, colours);
    print_backends(table, out, colours);
    print_certs(table, out, colours);
    return true;
}
