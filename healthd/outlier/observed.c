#include "healthd/outlier/observed.h"

#include <stdio.h>

#include "base/str.h"
#include "shm/counters.h"

void observed_look(struct observed_live *live, const struct table *table)
{
    live->n = 0;
    for (int r = 0; r < TABLE_WORKERS; r++)
        if (worker_row_live(table, r))
            live->row[live->n++] = r;
}

static uint32_t read32(const _Atomic uint32_t *cell)
{
    return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)cell, memory_order_relaxed);
}

static void observed_add_gauges(struct observed *sum, const struct worker_backend *cell)
{
    uint64_t oldest = count_read(&cell->oldest_ms);
    uint64_t in_row = read32(&cell->failed_in_row);

    sum->unanswered += count_read(&cell->unanswered);
    sum->trying += read32(&cell->probation_requests);
    if (oldest && (!sum->oldest_ms || oldest < sum->oldest_ms))
        sum->oldest_ms = oldest;
    if (in_row > sum->worker_in_row)
        sum->worker_in_row = in_row;
}

static uint64_t responses_of(const struct cell_counters *counters)
{
    uint64_t n = 0;

    for (int i = 0; i < TABLE_LATENCY; i++)
        n += counters->latency[i];
    return n;
}

struct observed observed_sum(const struct observed_live *live, const struct table *table,
                             int slot)
{
    struct observed sum = {0};

    counters_read_backend(table, slot, &sum.n);
    sum.responses = responses_of(&sum.n);
    for (int i = 0; i < live->n; i++)
        observed_add_gauges(&sum, &table->worker[live->row[i]].be[slot]);
    return sum;
}

struct observed observed_since(const struct observed *now, const struct observed *before)
{
    enum { COUNTERS = sizeof(struct cell_counters) / sizeof(uint64_t) };
    const uint64_t *a = (const uint64_t *)&now->n, *b = (const uint64_t *)&before->n;
    struct observed added = {0};

    for (int i = 0; i < COUNTERS; i++)
        ((uint64_t *)&added.n)[i] = a[i] > b[i] ? a[i] - b[i] : 0;
    added.responses = responses_of(&added.n);
    return added;
}

bool observed_trouble(const struct observed *added)
{
    return observed_hard(added) + added->n.timeouts > 0;
}

bool observed_bad(const struct observed *added)
{
    return added->n.connect_errors > 0 || (added->n.completed == 0 && observed_trouble(added));
}

static const char intro[] = "workers saw";

static size_t tell(char *text, size_t n, uint64_t count, const char *what)
{
    if (count == 0 || n >= TABLE_REASON)
        return n;
    return n + (size_t)snprintf(text + n, TABLE_REASON - n, "%s %llu %s%s",
                                n > sizeof intro - 1 ? "," : "", (unsigned long long)count,
                                what, str_plural(count));
}

void observed_tell(const struct observed *added, char text[TABLE_REASON])
{
    size_t n = (size_t)snprintf(text, TABLE_REASON, "%s", intro);

    n = tell(text, n, added->n.connect_errors, "failed connect");
    n = tell(text, n, added->n.resets, "reset");
    n = tell(text, n, added->n.cut, "cut response");
    tell(text, n, added->n.timeouts, "timeout");
}
