#include "healthd/signs.h"

#include <stdio.h>

#include "shm/retired.h"

enum { SLOW_BUCKET = 21 }; /* of the latencies: from 2^21 us on */

void signs_look(struct signs_live *live, const struct table *table)
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

static void add_gauges(struct signs *sum, const struct worker_backend *cell)
{
    uint64_t oldest = count_read(&cell->oldest_ms);
    uint64_t in_row = read32(&cell->failed_in_row);

    sum->unanswered += count_read(&cell->unanswered);
    sum->trying += read32(&cell->trials);
    if (oldest && (!sum->oldest_ms || oldest < sum->oldest_ms))
        sum->oldest_ms = oldest;
    if (in_row > sum->worker_in_row)
        sum->worker_in_row = in_row;
}

struct signs signs_sum(const struct signs_live *live, const struct table *table, int slot)
{
    struct cell_counters all;
    struct signs sum;

    counters_read_backend(table, slot, &all);
    sum = (struct signs){
        .connect_errors = all.connect_errors,
        .resets = all.resets,
        .cut = all.cut,
        .timeouts = all.timeouts,
        .completed = all.completed,
        .gateway = all.gateway_errors,
        .server_errors = all.server_errors,
        .overtaken = all.overtaken,
        .mute = all.mute,
    };
    for (int i = 0; i < TABLE_LATENCY; i++) {
        sum.answers += all.latency[i];
        if (i >= SLOW_BUCKET)
            sum.slow += all.latency[i];
    }
    for (int i = 0; i < live->n; i++)
        add_gauges(&sum, &table->worker[live->row[i]].be[slot]);
    return sum;
}

static uint64_t grown(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

struct signs signs_since(const struct signs *now, const struct signs *before)
{
    return (struct signs){
        .connect_errors = grown(now->connect_errors, before->connect_errors),
        .resets = grown(now->resets, before->resets),
        .cut = grown(now->cut, before->cut),
        .timeouts = grown(now->timeouts, before->timeouts),
        .completed = grown(now->completed, before->completed),
        .gateway = grown(now->gateway, before->gateway),
        .server_errors = grown(now->server_errors, before->server_errors),
        .answers = grown(now->answers, before->answers),
        .slow = grown(now->slow, before->slow),
        .overtaken = grown(now->overtaken, before->overtaken),
        .mute = grown(now->mute, before->mute),
    };
}

bool signs_trouble(const struct signs *added)
{
    return signs_hard(added) + added->timeouts > 0;
}

bool signs_bad(const struct signs *added)
{
    return added->connect_errors > 0 || (added->completed == 0 && signs_trouble(added));
}

static const char intro[] = "workers saw";

static size_t tell(char *text, size_t n, uint64_t count, const char *what)
{
    if (count == 0 || n >= TABLE_REASON)
        return n;
    return n + (size_t)snprintf(text + n, TABLE_REASON - n, "%s %llu %s%s",
                                n > sizeof intro - 1 ? "," : "", (unsigned long long)count,
                                what, count == 1 ? "" : "s");
}

void signs_tell(const struct signs *added, char text[TABLE_REASON])
{
    size_t n = (size_t)snprintf(text, TABLE_REASON, "%s", intro);

    n = tell(text, n, added->connect_errors, "failed connect");
    n = tell(text, n, added->resets, "reset");
    n = tell(text, n, added->cut, "cut answer");
    tell(text, n, added->timeouts, "timeout");
}
