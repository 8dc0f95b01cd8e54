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

struct observed observed_sum(const struct observed_live *live, const struct table *table,
                             int slot)
{
    struct cell_counters all;
    struct observed sum;

    counters_read_backend(table, slot, &all);
    sum = (struct observed){
        .connect_errors = all.connect_errors,
        .resets = all.resets,
        .cut = all.cut,
        .timeouts = all.timeouts,
        .completed = all.completed,
        .gateway = all.gateway_errors,
        .server_errors = all.server_errors,
        .detached = all.detached,
        .probation_unanswered = all.probation_unanswered,
        .measured = {all.measured, {all.measured_5xx, all.measured_4xx, all.measured_slow}},
    };
    for (int i = 0; i < TABLE_LATENCY; i++) {
        sum.latency[i] = all.latency[i];
        sum.responses += all.latency[i];
    }
    for (int i = 0; i < live->n; i++)
        observed_add_gauges(&sum, &table->worker[live->row[i]].be[slot]);
    return sum;
}

static uint64_t grown(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

struct observed observed_since(const struct observed *now, const struct observed *before)
{
    struct observed added = {
        .connect_errors = grown(now->connect_errors, before->connect_errors),
        .resets = grown(now->resets, before->resets),
        .cut = grown(now->cut, before->cut),
        .timeouts = grown(now->timeouts, before->timeouts),
        .completed = grown(now->completed, before->completed),
        .gateway = grown(now->gateway, before->gateway),
        .server_errors = grown(now->server_errors, before->server_errors),
        .responses = grown(now->responses, before->responses),
        .detached = grown(now->detached, before->detached),
        .probation_unanswered = grown(now->probation_unanswered, before->probation_unanswered),
        .measured.all = grown(now->measured.all, before->measured.all),
    };

    for (int i = 0; i < TABLE_LATENCY; i++)
        added.latency[i] = grown(now->latency[i], before->latency[i]);
    for (int k = 0; k < SCORE_KINDS; k++)
        added.measured.of[k] = grown(now->measured.of[k], before->measured.of[k]);
    return added;
}

bool observed_trouble(const struct observed *added)
{
    return observed_hard(added) + added->timeouts > 0;
}

bool observed_bad(const struct observed *added)
{
    return added->connect_errors > 0 || (added->completed == 0 && observed_trouble(added));
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

    n = tell(text, n, added->connect_errors, "failed connect");
    n = tell(text, n, added->resets, "reset");
    n = tell(text, n, added->cut, "cut response");
    tell(text, n, added->timeouts, "timeout");
}
