#include "shm/status/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "shm/admission.h"
#include "shm/client_cells.h"
#include "shm/counters.h"
#include "shm/sessions.h"
#include "shm/status/text.h"

static uint64_t get32(const _Atomic uint32_t *counter)
{
    return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)counter, memory_order_relaxed);
}

static uint64_t age(uint64_t now_ms, uint64_t then_ms)
{
    if (then_ms == 0)
        return UINT64_MAX;
    return now_ms > then_ms ? now_ms - then_ms : 0;
}

/* Was it at most so long ago? */
static bool is_recent(const _Atomic uint64_t *at_ms, uint64_t now_ms, uint64_t most_ms)
{
    uint64_t at = count_read(at_ms);

    return at && age(now_ms, at) < most_ms && at <= now_ms;
}

#define TAKE(field) to->field = all.field;

bool status_service_read(const struct table *table, struct status_service *to)
{
    struct row_counters all;

    memset(to, 0, sizeof *to);
    if (!header_read(&table->header, &to->header))
        return false;
    to->now_ms = clock_mono_ms();
    to->now_wall_ms = clock_wall_ms();
    if (to->now_ms > to->header.started_ms)
        to->uptime_ms = to->now_ms - to->header.started_ms;
    to->supervisor_age_ms = age(to->now_ms, count_read(&table->header.heartbeat_ms));
    to->healthd_age_ms = age(to->now_ms, count_read(&table->healthd_heartbeat_ms));
    to->acmed_age_ms = age(to->now_ms, count_read(&table->acmed_heartbeat_ms));
    for (int i = 0; i < TABLE_WORKERS; i++) {
        const struct worker_row *w = &table->worker[i];
        struct child_row child;

        if (!worker_row_live(table, i) || !child_read(&table->child[i], &child))
            continue;
        to->workers_live++;
        to->workers_running += child.state == CHILD_RUNNING;
        to->workers_uncounted += table_session_words(table, i) == 0;
        to->connections += count_read(&w->connections);
        to->buffer_bytes += count_read(&w->buffer_bytes);
        to->response_bytes += count_read(&w->response_bytes);
        to->exchanges += count_read(&w->exchanges);
        to->connections_limit += count_read(&w->connections_limit);
        to->workers_full += is_recent(&w->paused_ms, to->now_ms, STATUS_FULL_MS);
        to->workers_memory += is_recent(&w->memory_full_ms, to->now_ms, STATUS_MEMORY_MS);
        to->workers_bodies += is_recent(&w->bodies_full_ms, to->now_ms, STATUS_MEMORY_MS);
        to->workers_heads += is_recent(&w->heads_full_ms, to->now_ms, STATUS_MEMORY_MS);
    }
    counters_read(table, &all);
    ROW_COUNTERS(TAKE)
    to->log_lost += count_read(&table->supervisor_log_lost) +
                    count_read(&table->healthd_log_lost) + count_read(&table->acmed_log_lost);
    memcpy(to->status, all.status, sizeof to->status);
    memcpy(to->handshake_failures, all.handshake_failures, sizeof to->handshake_failures);
    memcpy(to->client_refusals, all.client_refusals, sizeof to->client_refusals);
    return true;
}

static void status_add_gauges(struct status_cell *sum, const struct worker_row *row, int slot,
                              uint64_t *oldest)
{
    const struct worker_backend *cell = &row->be[slot];
    uint64_t since = count_read(&cell->oldest_ms);

    if (since && (*oldest == 0 || since < *oldest))
        *oldest = since;
    sum->in_flight += get32(&row->in_flight[slot]);
    sum->queued += get32(&row->queued[slot]);
    sum->queued_any += get32(&row->queued_any[slot]);
    sum->idle += count_read(&cell->idle);
}

static void take_counters(struct status_cell *to, const struct table *table, int slot)
{
    struct cell_counters all;

    counters_read_backend(table, slot, &all);
    CELL_COUNTERS(TAKE)
    memcpy(to->latency, all.latency, sizeof to->latency);
    for (int i = 0; i < TABLE_LATENCY; i++)
        to->latency_count += to->latency[i];
}

/* Does the pool have another backend that takes a share? Otherwise slow
 * start holds nothing back. */
static bool has_others(const struct table *table, const struct status_backend *b)
{
    struct backend_row backend;
    struct admin_row admin;
    struct health_row health;

    for (int i = 0; i < TABLE_BACKENDS; i++)
        if (i != b->slot && backend_read(&table->backend[i], &backend) && backend.configured &&
            strcmp(backend.pool, b->backend.pool) == 0 &&
            admin_read(&table->admin[i], &admin) && admission_state(&admin) == ADMIN_READY &&
            health_read(&table->health[i], &health) && health.has_address &&
            health_serves(health.state))
            return true;
    return false;
}

static void read_progress(const struct table *table, struct status_backend *to)
{
    uint64_t now = clock_mono_ms(), deadline = to->admin.deadline_ms;
    uint32_t idle_ms = to->backend.session_idle_ms;

    to->drain_left_ms = UINT64_MAX;
    to->slow_permille = 1000;
    if (idle_ms)
        to->sessions = sessions_live(table, to->slot, now, idle_ms);
    if (deadline && admission_drains(&to->admin) && to->admin.drained == DRAIN_GOES_ON)
        to->drain_left_ms = deadline > now ? deadline - now : 0;
    uint32_t permille = admission_permille(to->health.risen_ms, to->backend.slow_start_ms, now);
    if (permille < 1000 && has_others(table, to))
        to->slow_permille = permille;
}

bool status_backend_read(const struct table *table, int slot, struct status_backend *to)
{
    uint64_t oldest = 0;

    memset(to, 0, sizeof *to);
    to->slot = slot;
    if (!backend_read(&table->backend[slot], &to->backend) || !to->backend.used)
        return false;
    if (!admin_read(&table->admin[slot], &to->admin))
        memset(&to->admin, 0, sizeof to->admin);
    if (!health_read(&table->health[slot], &to->health) ||
        to->health.identity != to->backend.identity)
        memset(&to->health, 0, sizeof to->health);
    for (int i = 0; i < TABLE_WORKERS; i++)
        if (worker_row_live(table, i))
            status_add_gauges(&to->sum, &table->worker[i], slot, &oldest);
    take_counters(&to->sum, table, slot);
    if (oldest)
        to->sum.oldest_ms = age(clock_mono_ms(), oldest);
    read_progress(table, to);
    return true;
}

uint64_t status_percentile(const struct status_cell *cell, unsigned permille)
{
    uint64_t wanted = (cell->latency_count * permille + 999) / 1000, below = 0;

    for (int i = 0; i < TABLE_LATENCY; i++) {
        uint64_t n = cell->latency[i];

        if (n && below + n >= wanted) {
            uint64_t low = i ? UINT64_C(1) << i : 0;
            uint64_t width = (UINT64_C(2) << i) - low,
                     into = wanted > below ? wanted - below : 0;

            return low + width * into / n;
        }
        below += n;
    }
    return 0;
}

const char *status_backend_word(const struct status_backend *b)
{
    if (!b->backend.configured)
        return "gone";
    if (b->admin.heal != RECOVERY_NONE)
        return recovery_state_name(b->admin.heal);
    if (b->admin.override == ADMIN_DRAIN && b->admin.drained != DRAIN_GOES_ON)
        return admin_state_name(ADMIN_DRAINED);
    if (b->admin.override != ADMIN_READY)
        return admin_state_name(b->admin.override);
    return health_state_name(b->health.state);
}

const char *status_backend_reason(const struct status_backend *b)
{
    if (!b->backend.configured)
        return "no longer in the configuration";
    if (b->admin.heal != RECOVERY_NONE)
        return b->admin.recovery_reason;
    if (b->admin.override != ADMIN_READY)
        return b->admin.reason[0] ? b->admin.reason : b->admin.who;
    return b->health.reason[0] ? b->health.reason : b->health.probe_text;
}

const char *status_drain_word(const struct status_backend *b)
{
    if (!admission_drains(&b->admin))
        return "none";
    return b->admin.drained == DRAIN_EMPTY ? "empty"
           : b->admin.drained == DRAIN_CUT ? "cut"
                                           : "draining";
}

const char *status_backend_progress(const struct status_backend *b, char out[STATUS_PROGRESS])
{
    char left[32] = "no time limit", sessions[32] = "sessions not counted";

    out[0] = '\0';
    if (admission_drains(&b->admin) && b->admin.drained == DRAIN_EMPTY) {
        snprintf(out, STATUS_PROGRESS, "drained: empty");
    } else if (admission_drains(&b->admin) && b->admin.drained == DRAIN_CUT) {
        snprintf(out, STATUS_PROGRESS, "drained: cut at drain_timeout");
    } else if (admission_drains(&b->admin)) {
        if (b->drain_left_ms != UINT64_MAX)
            snprintf(left, sizeof left, "%" PRIu64 " s left", (b->drain_left_ms + 999) / 1000);
        if (b->sessions != SESSIONS_UNCOUNTED)
            snprintf(sessions, sizeof sessions, "%u session%s", b->sessions,
                     str_plural(b->sessions));
        snprintf(out, STATUS_PROGRESS, "draining: %" PRIu64 " in flight, %s, %s",
                 b->sum.in_flight, sessions, left);
    } else if (b->slow_permille < 1000) {
        snprintf(out, STATUS_PROGRESS, "slow start %u %%", b->slow_permille / 10);
    } else if (b->health.state == HEALTH_DEGRADED) {
        snprintf(out, STATUS_PROGRESS, "gets %d %% of its weight",
                 b->health.weight_permille / 10);
    }
    return out;
}

uint64_t status_eject_left_ms(const struct health_row *health)
{
    uint64_t now = clock_mono_ms();

    return health->eject_until_ms > now ? health->eject_until_ms - now : 0;
}

bool status_child_read(const struct table *table, int i, struct child_row *to)
{
    return child_read(&table->child[i], to) && to->state != CHILD_EMPTY;
}

bool status_cert_read(const struct table *table, int i, struct cert_row *to)
{
    if (i < 0 || (uint32_t)i >= table_certs(table) || !cert_read(&table->cert[i], to) ||
        to->name[0] == '\0')
        return false;
    return true;
}

const char *status_cert_source(const struct cert_row *cert)
{
    static const char *const names[] = {"none", "self-signed", "file", "acme"};

    return cert->source < sizeof names / sizeof *names ? names[cert->source] : "?";
}

const char *status_cert_revoked(const struct cert_row *cert, char out[STATUS_REVOKED_SIZE])
{
    char when[CLOCK_ISO_SIZE];

    out[0] = '\0';
    if (cert->revoked_wall_ms && cert->generation && cert->key_known)
        snprintf(out, STATUS_REVOKED_SIZE,
                 "its key is compromised: another certificate with it was revoked at %.19sZ%s",
                 clock_iso(when, cert->revoked_wall_ms),
                 cert->wanted == CERT_FILE ? "; replace key and chain" : "");
    else if (cert->revoked_wall_ms && cert->generation)
        snprintf(out, STATUS_REVOKED_SIZE, "revoked at %.19sZ: browsers may refuse it",
                 clock_iso(when, cert->revoked_wall_ms));
    return out;
}

const char *status_cert_next(const struct cert_row *cert, char out[CLOCK_ISO_SIZE])
{
    if (cert->busy)
        return strcpy(out, "now");
    if (!cert->next_try_wall_ms)
        return strcpy(out, "-");
    return clock_iso(out, cert->next_try_wall_ms);
}

/* ---- refused clients, and what else should be known */

void status_add_remarks(struct text *out, const struct status_service *s)
{
    static const char *const failures[HANDSHAKE_FAILURES] = {
        [HANDSHAKE_TIMEOUT] = "not done in time",
        [HANDSHAKE_PLAIN_HTTP] = "plain HTTP on a TLS port",
        [HANDSHAKE_NOT_TLS] = "not TLS at all",
        [HANDSHAKE_VERSION] = "no TLS version in common",
        [HANDSHAKE_CIPHER] = "no cipher in common",
        [HANDSHAKE_GROUP] = "no key exchange group in common",
        [HANDSHAKE_ALPN] = "no application protocol in common",
        [HANDSHAKE_CERTIFICATE_REFUSED] = "client refused our certificate",
        [HANDSHAKE_OTHER] = "something else",
    };
    const struct {
        uint64_t n;
        const char *what;
    } others[] = {
        {s->connections_refused, "pauses of accepting because all connections were in use"},
        {s->slow_bodies, "requests cut because their bodies came too slowly"},
        {s->slow_readers, "responses cut because they were read too slowly"},
        {s->memory_refused, "requests refused because limits.memory was used up"},
        {s->heads_dropped, "connections without a complete request ended to make room"},
        {s->http2_ended_resets + s->http2_ended_frames + s->http2_ended_unread +
             s->http2_ended_blocks,
         "HTTP/2 connections ended because of floods"},
    };
    const char *between = "clients since the start: ";

    if (s->workers_uncounted) {
        text_add(out, "%s", STATUS_UNCOUNTED);
        between = "; clients since the start: ";
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i].n) {
            text_add(out, "%s%s: %" PRIu64, between, others[i].what, others[i].n);
            between = "; ";
        }
    for (int i = 0; i < HANDSHAKE_FAILURES; i++)
        if (failures[i] && s->handshake_failures[i]) {
            text_add(out, "%sfailed TLS handshakes (%s): %" PRIu64, between, failures[i],
                     s->handshake_failures[i]);
            between = "; ";
        }
    for (int i = 0; i < CLIENT_LIMITS; i++)
        if (s->client_refusals[i]) {
            text_add(out, "%srefused by limits.per_client.%s: %" PRIu64, between,
                     client_limit_name((enum client_limit)i), s->client_refusals[i]);
            between = "; ";
        }
}
