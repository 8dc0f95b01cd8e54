#include "shm/counters.h"

#include <string.h>

#include "base/check.h"

enum { TRIES = 8 }; /* each attempt but the last was spoilt by the end of a worker */

#define ONE(field) +1
_Static_assert(sizeof(struct cell_counters) ==
                   (0 CELL_COUNTERS(ONE) + TABLE_LATENCY) * sizeof(uint64_t),
               "CELL_COUNTERS names them all");
_Static_assert(sizeof(struct row_counters) ==
                   (0 ROW_COUNTERS(ONE) + 6 + HANDSHAKE_FAILURES + CLIENT_LIMITS) *
                       sizeof(uint64_t),
               "ROW_COUNTERS names them all");
#undef ONE

#define ADD(field) to->field += count_read(&from->field);
#define SUB(field) to->field -= count_read(&from->field);

static void add_row(struct row_counters *to, const struct worker_row *from)
{
    ROW_COUNTERS(ADD)
    for (int i = 0; i < 6; i++)
        ADD(status[i])
    for (int i = 0; i < HANDSHAKE_FAILURES; i++)
        ADD(handshake_failures[i])
    for (int i = 0; i < CLIENT_LIMITS; i++)
        ADD(client_refusals[i])
}

static void add_cell(struct cell_counters *to, const struct worker_backend *from)
{
    CELL_COUNTERS(ADD)
    for (int i = 0; i < TABLE_LATENCY; i++)
        ADD(latency[i])
}

static void sub_cell(struct cell_counters *to, const struct worker_backend *from)
{
    CELL_COUNTERS(SUB)
    for (int i = 0; i < TABLE_LATENCY; i++)
        SUB(latency[i])
}

/* 0 for a row that is being cleared for a new process. */
static uint32_t claimed(const struct table *table, int r)
{
    if (!table_row_used(table, r))
        return 0;
    return atomic_load(&((struct table *)(uintptr_t)table)->worker[r].incarnation);
}

/* ---- readers */

static uint32_t epoch_now(const struct table *table)
{
    return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&table->retired.epoch,
                                memory_order_acquire);
}

static bool still(const struct table *table, uint32_t epoch)
{
    atomic_thread_fence(memory_order_acquire);
    return epoch_now(table) == epoch;
}

static bool counters_counts(const struct table *table, const struct retired_sums *sums, int r)
{
    uint32_t incarnation = claimed(table, r);

    return incarnation && incarnation != sums->incarnation[r];
}

void counters_read(const struct table *table, struct row_counters *to)
{
    for (int i = 0; i < TRIES; i++) {
        uint32_t epoch = epoch_now(table);
        const struct retired_sums *sums = &table->retired.sums[epoch % 2];

        *to = sums->all;
        for (int r = 0; r < TABLE_WORKERS; r++)
            if (counters_counts(table, sums, r))
                add_row(to, &table->worker[r]);
        if (still(table, epoch))
            return;
    }
}

void counters_read_backend(const struct table *table, int slot, struct cell_counters *to)
{
    CHECK(slot >= 0 && slot < TABLE_BACKENDS);
    for (int i = 0; i < TRIES; i++) {
        uint32_t epoch = epoch_now(table);
        const struct retired_sums *sums = &table->retired.sums[epoch % 2];

        *to = sums->be[slot];
        for (int r = 0; r < TABLE_WORKERS; r++)
            if (counters_counts(table, sums, r))
                add_cell(to, &table->worker[r].be[slot]);
        if (still(table, epoch))
            return;
    }
}

/* ---- the writer */

/* The sums that are not in force, made equal to those in force. */
static struct retired_sums *next_sums(struct retired *retired, uint32_t nbackends)
{
    uint32_t epoch = atomic_load_explicit(&retired->epoch, memory_order_relaxed);
    const struct retired_sums *now = &retired->sums[epoch % 2];
    struct retired_sums *next = &retired->sums[(epoch + 1) % 2];

    CHECK(nbackends <= TABLE_BACKENDS);
    atomic_thread_fence(memory_order_release); /* the epoch first: see still() */
    /* Slots that were never used are 0 in both: their pages stay unmapped. */
    memcpy(next, now, offsetof(struct retired_sums, be) + nbackends * sizeof *now->be);
    return next;
}

static void put_in_force(struct retired *retired)
{
    uint32_t epoch = atomic_load_explicit(&retired->epoch, memory_order_relaxed);

    atomic_store_explicit(&retired->epoch, epoch + 1, memory_order_release);
}

static bool unretired(const struct table *table, int r, uint32_t incarnation)
{
    const struct retired *retired = &table->retired;

    return incarnation && claimed(table, r) == incarnation &&
           retired->sums[epoch_now(table) % 2].incarnation[r] != incarnation;
}

void counters_take(struct table *table, int r, uint32_t incarnation, uint32_t nbackends)
{
    CHECK(r >= 0 && r < TABLE_WORKERS);
    if (!unretired(table, r, incarnation))
        return;
    const struct worker_row *row = &table->worker[r];
    struct retired_sums *next = next_sums(&table->retired, nbackends);

    next->incarnation[r] = incarnation;
    add_row(&next->all, row);
    for (uint32_t slot = 0; slot < nbackends; slot++)
        add_cell(&next->be[slot], &row->be[slot]);
    put_in_force(&table->retired);
}

void counters_clear(struct table *table, int slot, const uint32_t old[TABLE_WORKERS],
                    uint32_t nbackends)
{
    struct retired_sums *next = next_sums(&table->retired, nbackends);

    CHECK(slot >= 0 && (uint32_t)slot < nbackends);
    memset(&next->be[slot], 0, sizeof next->be[slot]);
    for (int r = 0; r < TABLE_WORKERS; r++)
        if (unretired(table, r, old[r]))
            sub_cell(&next->be[slot], &table->worker[r].be[slot]);
    put_in_force(&table->retired);
}

void counters_since(const struct cell_counters *now, const struct cell_counters *before,
                    struct cell_counters *added)
{
    enum { COUNTERS = sizeof *now / sizeof(uint64_t) };
    const uint64_t *a = (const uint64_t *)now, *b = (const uint64_t *)before;

    for (int i = 0; i < COUNTERS; i++)
        ((uint64_t *)added)[i] = a[i] > b[i] ? a[i] - b[i] : 0;
}

static uint32_t read_gauge(const _Atomic uint32_t *cell)
{
    return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)cell, memory_order_relaxed);
}

void counters_read_gauges(const struct table *table, int slot, struct backend_gauges *to)
{
    *to = (struct backend_gauges){0};
    for (int r = 0; r < TABLE_WORKERS; r++) {
        const struct worker_backend *cell = &table->worker[r].be[slot];

        if (!table_row_used(table, r) || !worker_row_live(table, r))
            continue;
        uint64_t oldest_ms = count_read(&cell->oldest_ms);
        uint32_t in_row = read_gauge(&cell->failed_in_row);

        if (oldest_ms && (!to->oldest_ms || oldest_ms < to->oldest_ms))
            to->oldest_ms = oldest_ms;
        if (in_row > to->failed_in_row)
            to->failed_in_row = in_row;
        to->unanswered += count_read(&cell->unanswered);
        to->probation_requests += read_gauge(&cell->probation_requests);
    }
}
