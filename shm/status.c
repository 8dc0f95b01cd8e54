#include "shm/status.h"

#include <string.h>

#include "base/clock.h"
#include "shm/retired.h"

/* A text that was copied out of shared memory ends where its array ends, whatever its writer
 * did. */
#define CLOSE(array) ((array)[sizeof(array) - 1] = '\0')

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

#define TAKE(field) to->field = all.field;

bool status_service_read(const struct table *table, struct status_service *to)
{
    struct row_counters all;

    memset(to, 0, sizeof *to);
    if (!header_read(&table->header, &to->header))
        return false;
    CLOSE(to->header.reload_error);
    CLOSE(to->header.version);
    CLOSE(to->header.config_file);
    to->now_ms = clock_mono_ms();
    to->now_wall_ms = clock_wall_ms();
    if (to->now_ms > to->header.started_ms)
        to->uptime_ms = to->now_ms - to->header.started_ms;
    to->healthd_age_ms = age(to->now_ms, count_read(&table->healthd_heartbeat_ms));
    to->acmed_age_ms = age(to->now_ms, count_read(&table->acmed_heartbeat_ms));
    for (int i = 0; i < TABLE_WORKERS; i++) {
        const struct worker_row *w = &table->worker[i];
        struct child_row child;

        if (!worker_row_live(table, i) || !child_read(&table->child[i], &child))
            continue;
        to->workers_live++;
        to->workers_running += child.state == CHILD_RUNNING;
        to->connections += count_read(&w->connections);
        to->exchanges += count_read(&w->exchanges);
    }
    counters_read(table, &all);
    ROW_COUNTERS(TAKE)
    memcpy(to->status, all.status, sizeof to->status);
    return true;
}

static void add_gauges(struct status_cell *sum, const struct worker_backend *cell,
                       uint64_t *oldest)
{
    uint64_t since = count_read(&cell->oldest_ms);

    if (since && (*oldest == 0 || since < *oldest))
        *oldest = since;
    sum->in_flight += get32(&cell->in_flight);
    sum->queued += get32(&cell->queued);
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
    CLOSE(to->backend.name);
    CLOSE(to->backend.pool);
    CLOSE(to->backend.host);
    CLOSE(to->admin.who);
    CLOSE(to->admin.reason);
    CLOSE(to->health.reason);
    CLOSE(to->health.probe_text);
    for (int i = 0; i < TABLE_WORKERS; i++)
        if (worker_row_live(table, i))
            add_gauges(&to->sum, &table->worker[i].be[slot], &oldest);
    take_counters(&to->sum, table, slot);
    if (oldest)
        to->sum.oldest_ms = age(clock_mono_ms(), oldest);
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
    if (b->admin.heal != HEAL_NONE)
        return heal_state_name(b->admin.heal);
    if (b->admin.wish != ADMIN_READY)
        return admin_state_name(b->admin.wish);
    return health_state_name(b->health.state);
}

const char *status_backend_reason(const struct status_backend *b)
{
    if (!b->backend.configured)
        return "no longer in the configuration";
    if (b->admin.heal != HEAL_NONE || b->admin.wish != ADMIN_READY)
        return b->admin.reason[0] ? b->admin.reason : b->admin.who;
    return b->health.reason[0] ? b->health.reason : b->health.probe_text;
}

bool status_child_read(const struct table *table, int i, struct child_row *to)
{
    return child_read(&table->child[i], to) && to->state != CHILD_EMPTY;
}

bool status_cert_read(const struct table *table, int i, struct cert_row *to)
{
    if (!cert_read(&table->cert[i], to) || to->name[0] == '\0')
        return false;
    CLOSE(to->name);
    CLOSE(to->issuer);
    CLOSE(to->error);
    return true;
}

const char *status_cert_source(const struct cert_row *cert)
{
    static const char *const names[] = {"none", "self-signed", "file", "acme"};

    return cert->source < sizeof names / sizeof *names ? names[cert->source] : "?";
}
