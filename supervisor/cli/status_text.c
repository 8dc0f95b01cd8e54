#include "supervisor/cli/status_text.h"

#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/escape.h"
#include "base/str.h"
#include "shm/certs.h"
#include "shm/sessions.h"
#include "shm/status/status.h"
#include "shm/status/summary.h"
#include "shm/status/text.h"
#include "supervisor/cli/text_table.h"

#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"

enum { SPAN = 24, EXPIRES_SOON_MS = 7 * 24 * 3600 * 1000 };

/* "12s", "5m03s", "3h05m", "4d02h". */
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

static void print_summary(const struct table *table, const struct status_service *s, FILE *out,
                          bool colours)
{
    static const char *const tones[] = {GREEN, YELLOW, RED};
    struct summary summary;

    summary_read(table, s, &summary);
    fputs(colours ? tones[summary.tone] : "", out);
    escape_print(out, "%s", summary.text);
    fprintf(out, "%s\n", colours ? "\033[0m" : "");
}

static void print_head(const struct status_service *s, FILE *out, bool colours)
{
    const struct header_row *h = &s->header;
    char up[SPAN], iso[CLOCK_ISO_SIZE];

    escape_print(out, "pasgate %s, pid %d, up %s since %s, generation %u of %s\n", h->version,
                 (int)h->pid, span(s->uptime_ms, up), clock_iso(iso, h->started_wall_ms),
                 h->config_generation, h->config_file);
    if (h->stopping)
        fprintf(out, "%sstopping: no new requests are accepted%s\n", colours ? YELLOW : "",
                colours ? "\033[0m" : "");
    if (h->reloading)
        fprintf(out, "a reload is in progress\n");
    if (h->reload_wall_ms && h->reload_ok)
        fprintf(out, "last reload %s ago: good (%u good, %u failed)\n",
                ago(h->reload_wall_ms, up), h->reloads, h->reload_failures);
    else if (h->reload_wall_ms) {
        fputs(colours ? RED : "", out);
        escape_print(out, "last reload %s ago: FAILED, %u error%s: %s",
                     ago(h->reload_wall_ms, up), h->reload_nerrors,
                     str_plural(h->reload_nerrors), h->reload_error);
        fputs(colours ? "\033[0m\n" : "\n", out);
    }
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

static void process_cells(struct text_table *text_table, const struct table *table, int r,
                          const struct child_row *c)
{
    bool worker = c->kind == KIND_WORKER && r < TABLE_WORKERS; /* it may be wrong */
    bool live = worker && worker_row_live(table, r);
    const struct worker_row *w = &table->worker[worker ? r : 0];
    const char *colour = c->state == CHILD_RUNNING   ? GREEN
                         : c->state >= CHILD_BACKOFF ? RED
                                                     : YELLOW;
    char text[SPAN];

    text_table_row(text_table);
    text_table_cell(text_table, NULL, "%s", kind_name(c->kind));
    text_table_cell(text_table, NULL, worker ? "%d" : "-", c->slot);
    text_table_cell(text_table, NULL, c->pid ? "%d" : "-", (int)c->pid);
    text_table_cell(text_table, NULL, "%u", c->generation);
    text_table_cell(text_table, colour, "%s", child_state_name(c->state));
    text_table_cell(text_table, c->restarts ? YELLOW : NULL, "%u", c->restarts);
    text_table_cell(text_table, NULL, "%s", c->pid ? ago(c->started_wall_ms, text) : "-");
    text_table_cell(text_table, NULL, "%s", last_exit(c->last_exit, text));
    text_table_cell(text_table, NULL, live ? "%" PRIu64 : "-", count_read(&w->connections));
    text_table_cell(text_table, NULL, live ? "%" PRIu64 : "-", count_read(&w->exchanges));
    text_table_cell(text_table, NULL, live ? "%" PRIu64 : "-", count_read(&w->exchanges_total));
}

static void print_processes(const struct table *table, FILE *out, bool colours)
{
    static const struct text_table_column columns[] = {
        {"PROCESS", TEXT_TABLE_LEFT},      {"SLOT", TEXT_TABLE_RIGHT},
        {"PID", TEXT_TABLE_RIGHT},         {"GEN", TEXT_TABLE_RIGHT},
        {"STATE", TEXT_TABLE_LEFT},        {"RESTARTS", TEXT_TABLE_RIGHT},
        {"UP", TEXT_TABLE_RIGHT},          {"LAST END", TEXT_TABLE_LEFT},
        {"CONNECTIONS", TEXT_TABLE_RIGHT}, {"EXCHANGES", TEXT_TABLE_RIGHT},
        {"EVER", TEXT_TABLE_RIGHT},
    };
    struct text_table text_table = text_table_new(columns, sizeof columns / sizeof *columns);
    struct child_row child;

    for (int r = 0; r < TABLE_CHILDREN; r++)
        if (status_child_read(table, r, &child))
            process_cells(&text_table, table, r, &child);
    fputc('\n', out);
    text_table_print(&text_table, out, colours);
    text_table_release(&text_table);
}

/* ---- backends */

static const char *health_colour(enum health_state state)
{
    return state == HEALTH_UP ? GREEN : health_is_out((uint8_t)state) ? RED : YELLOW;
}

static uint64_t errors_of(const struct status_cell *c)
{
    return c->connect_errors + c->resets + c->timeouts + c->cut;
}

/* The admin state; recoveries are shown in the note. */
static const char *admin_word(const struct admin_row *admin)
{
    return admin_state_name(admin->override == ADMIN_DRAIN && admin->drained ? ADMIN_DRAINED
                                                                             : admin->override);
}

static void backend_cells(struct text_table *text_table, const struct status_backend *b)
{
    const struct status_cell *c = &b->sum;
    char text[SPAN];

    text_table_row(text_table);
    text_table_cell(text_table, NULL, "%d", b->slot + 1);
    text_table_cell(text_table, NULL, "%s", b->backend.name);
    text_table_cell(text_table, NULL, "%s", b->backend.pool);
    if (b->backend.port)
        text_table_cell(text_table, NULL, "%.50s:%u", b->backend.host, b->backend.port);
    else
        text_table_cell(text_table, NULL, "%.56s", b->backend.host);
    text_table_cell(text_table, health_colour(b->health.state), "%s",
                    health_state_name(b->health.state));
    text_table_cell(text_table, NULL, "%s", ago(b->health.since_wall_ms, text));
    text_table_cell(text_table, b->admin.override == ADMIN_READY ? NULL : YELLOW, "%s",
                    admin_word(&b->admin));
    if (b->backend.max_in_flight)
        text_table_cell(text_table, NULL, "%" PRIu64 "/%u", c->in_flight,
                        b->backend.max_in_flight);
    else
        text_table_cell(text_table, NULL, "%" PRIu64, c->in_flight);
    text_table_cell(text_table, c->queued ? YELLOW : NULL, "%" PRIu64, c->queued);
    if (b->sessions == SESSIONS_UNCOUNTED)
        text_table_cell(text_table, NULL, "some");
    else
        text_table_cell(text_table, NULL, "%u", b->sessions);
    text_table_cell(text_table, NULL, "%" PRIu64, c->completed);
    text_table_cell(text_table, errors_of(c) ? YELLOW : NULL, "%" PRIu64, errors_of(c));
    text_table_cell(text_table, NULL, "%" PRIu64, c->server_errors + c->gateway_errors);
    text_table_cell(text_table, NULL, "%s", micro(status_percentile(c, 500), text));
    text_table_cell(text_table, NULL, "%s", micro(status_percentile(c, 990), text));
    text_table_cell(text_table, NULL, "%" PRIu64, c->idle);
}

static void backend_note(struct text_table *text_table, const struct status_backend *b)
{
    const struct status_cell *c = &b->sum;
    char note[TEXT_TABLE_NOTE], progress[STATUS_PROGRESS], text[SPAN];
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
        ADD("next try in %s", span(status_eject_left_ms(&b->health), text));
    if (b->admin.heal != RECOVERY_NONE)
        ADD("recovery: %s for %s: %s", recovery_state_name(b->admin.heal),
            ago(b->admin.recovery_since_wall_ms, text), b->admin.recovery_reason);
    else if (*b->admin.recovery_reason && health_is_out(b->health.state))
        ADD("recovery: %s", b->admin.recovery_reason);
    if (b->admin.attempts)
        ADD("%u restart%s in the last hour", b->admin.attempts, str_plural(b->admin.attempts));
    if (b->admin.override != ADMIN_READY)
        ADD("%s by %s: %s", admin_state_name(b->admin.override), b->admin.who, b->admin.reason);
    if (*b->health.probe_text && !strstr(b->health.reason, b->health.probe_text))
        ADD("last check: %s", b->health.probe_text);
    if (errors_of(c))
        ADD("errors since the start: %" PRIu64 " connect, %" PRIu64 " reset, %" PRIu64
            " timeout, %" PRIu64 " cut; %" PRIu64 " moved to another backend",
            c->connect_errors, c->resets, c->timeouts, c->cut, c->retries);
#undef ADD
    text_table_note(text_table, "%s", note);
}

static void print_remarks(const struct status_service *s, const struct table *table, FILE *out)
{
    char line[2048];
    struct text text = text_into(line, sizeof line);

    status_add_remarks(&text, s);
    if (text.n && !text.full)
        fprintf(out, "%s\n", line);
    text = text_into(line, sizeof line);
    status_add_clients(&text, table);
    if (text.n && !text.full)
        fprintf(out, "%s\n", line);
}

/* Pools with requests that wait, or that were refused or timed out in the queue. */
static void print_queues(const struct table *table, FILE *out)
{
    struct status_service service;
    struct summary summary;

    if (!status_service_read(table, &service))
        return;
    summary_read(table, &service, &summary);
    for (uint32_t i = 0; i < summary.npools; i++) {
        const struct summary_pool *pool = &summary.pool[i];

        if (pool->queued + pool->queue_full + pool->queue_timeouts > 0)
            escape_print(out,
                         "pool %s: %" PRIu64 " queued; since the start %" PRIu64
                         " refused because the queue was full, %" PRIu64 " timed out in it\n",
                         pool->name, pool->queued, pool->queue_full, pool->queue_timeouts);
    }
}

static void print_backends(const struct table *table, FILE *out, bool colours)
{
    static const struct text_table_column columns[] = {
        {"NO", TEXT_TABLE_RIGHT},     {"BACKEND", TEXT_TABLE_ELASTIC},
        {"POOL", TEXT_TABLE_ELASTIC}, {"ADDRESS", TEXT_TABLE_ADDRESS},
        {"HEALTH", TEXT_TABLE_LEFT},  {"SINCE", TEXT_TABLE_RIGHT},
        {"ADMIN", TEXT_TABLE_LEFT},   {"IN FLIGHT", TEXT_TABLE_RIGHT},
        {"QUEUED", TEXT_TABLE_RIGHT}, {"SESS", TEXT_TABLE_RIGHT},
        {"DONE", TEXT_TABLE_RIGHT},   {"ERRORS", TEXT_TABLE_RIGHT},
        {"5XX", TEXT_TABLE_RIGHT},    {"P50", TEXT_TABLE_RIGHT},
        {"P99", TEXT_TABLE_RIGHT},    {"IDLE", TEXT_TABLE_RIGHT},
    };
    struct text_table text_table = text_table_new(columns, sizeof columns / sizeof *columns);
    struct status_backend b;

    for (int slot = 0; slot < TABLE_BACKENDS; slot++) {
        if (!status_backend_read(table, slot, &b) || !b.backend.configured)
            continue;
        backend_cells(&text_table, &b);
        backend_note(&text_table, &b);
    }
    fputc('\n', out);
    text_table_print(&text_table, out, colours);
    text_table_release(&text_table);
    print_queues(table, out);
}

/* ---- certificates */

/* Notes of the policy (acmed/order/policy.c) are shown without "note:". */
static bool is_reason(const char *note)
{
    static const char not_ordered[] = "not ordered";

    return strncmp(note, not_ordered, sizeof not_ordered - 1) == 0;
}

void cert_notes(struct text_table *text_table, const struct cert_row *c, bool whole)
{
    char iso[CLOCK_ISO_SIZE], revoked[STATUS_REVOKED_SIZE];

    if (*status_cert_revoked(c, revoked))
        text_table_note(text_table, "%s", revoked);
    if (c->candidate)
        text_table_note(text_table, "generation %u is being tested", c->candidate);
    if (*c->error && (whole || strlen(c->error) < TABLE_REASON))
        text_table_note(text_table, "error: %s", c->error);
    else if (*c->error)
        text_table_note(text_table,
                        "error: %.*s ... (`pasgate cert list %.60s` shows all of it)",
                        TABLE_REASON - 1, c->error, c->name);
    if (*c->error && !c->generation)
        text_table_note(text_table,
                        "each worker serves a self-signed certificate of its own, from memory");
    if (*c->error && c->next_try_wall_ms && !c->busy)
        text_table_note(text_table, "next try %s%s%s", status_cert_next(c, iso),
                        *c->doing ? ": " : "", c->doing);
    else if (*c->doing)
        text_table_note(text_table, "%s", c->doing);
    for (int i = 0; i < TABLE_NOTES && *c->note[i]; i++)
        text_table_note(text_table, is_reason(c->note[i]) ? "%s" : "note: %s", c->note[i]);
}

static void cert_cells(struct text_table *text_table, const struct table *table, int i,
                       const struct cert_row *c)
{
    uint64_t now = clock_wall_ms();
    char iso[CLOCK_ISO_SIZE], left[SPAN];
    bool expired = c->not_after_wall_ms <= now;
    uint32_t loaded, workers;

    cert_loaded(table, (uint32_t)i, c->generation, &loaded, &workers);
    text_table_row(text_table);
    text_table_cell(text_table, NULL, "%.60s", c->name);
    text_table_cell(text_table,
                    c->source == CERT_SELF_SIGNED || c->source == CERT_NONE ? YELLOW : GREEN,
                    "%s", status_cert_source(c));
    text_table_cell(text_table, NULL, "%s", *c->key ? c->key : "-");
    text_table_cell(text_table, NULL, "%u", c->generation);
    text_table_cell(text_table, loaded == workers ? NULL : YELLOW, "%u of %u", loaded, workers);
    if (c->not_after_wall_ms) {
        text_table_cell(text_table, NULL, "%.10s", clock_iso(iso, c->not_after_wall_ms));
        text_table_cell(text_table,
                        expired                                        ? RED
                        : c->not_after_wall_ms - now < EXPIRES_SOON_MS ? YELLOW
                                                                       : NULL,
                        "%s", expired ? "expired" : span(c->not_after_wall_ms - now, left));
    } else {
        text_table_cell(text_table, NULL, "-");
        text_table_cell(text_table, NULL, "-");
    }
    text_table_cell(text_table, NULL, "%.60s", c->issuer);
    cert_notes(text_table, c, false);
}

static void print_certs(const struct table *table, FILE *out, bool colours)
{
    static const struct text_table_column columns[] = {
        {"CERTIFICATE", TEXT_TABLE_ELASTIC},
        {"SOURCE", TEXT_TABLE_LEFT},
        {"KEY", TEXT_TABLE_LEFT},
        {"GEN", TEXT_TABLE_RIGHT},
        {"LOADED BY", TEXT_TABLE_LEFT},
        {"NOT AFTER", TEXT_TABLE_LEFT},
        {"LEFT", TEXT_TABLE_RIGHT},
        {"ISSUER", TEXT_TABLE_ELASTIC},
    };
    struct text_table text_table = text_table_new(columns, sizeof columns / sizeof *columns);
    struct summary_certs certs;
    char rest[SUMMARY_TEXT];
    struct cert_row cert;

    summary_certs(table, clock_wall_ms(), &certs);
    for (uint32_t i = 0; i < certs.nshown; i++)
        if (status_cert_read(table, (int)certs.shown[i], &cert))
            cert_cells(&text_table, table, (int)certs.shown[i], &cert);
    if (text_table.nrows > 0) {
        fputc('\n', out);
        text_table_print(&text_table, out, colours);
    }
    if (*summary_certs_rest(&certs, rest))
        fprintf(out, "%s: `pasgate cert list`\n", rest);
    text_table_release(&text_table);
}

bool status_text(const struct table *table, FILE *out, bool colours)
{
    struct status_service service;

    if (!status_service_read(table, &service))
        return false;
    print_head(&service, out, colours);
    print_summary(table, &service, out, colours);
    print_processes(table, out, colours);
    print_backends(table, out, colours);
    print_remarks(&service, table, out);
    print_certs(table, out, colours);
    return true;
}
