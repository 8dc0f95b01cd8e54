#include "healthd/signs.h"

#include <stdio.h>

void signs_look(struct signs_live *live, const struct table *table)
{
    for (int r = 0; r < TABLE_WORKERS; r++)
        live->row[r] = worker_row_live(table, r);
}

struct signs signs_sum(const struct signs_live *live, const struct table *table, int slot)
{
    struct signs sum = {0};

    for (int r = 0; r < TABLE_WORKERS; r++) {
        const struct worker_backend *cell = &table->worker[r].be[slot];

        if (!live->row[r])
            continue;
        sum.connect_errors += count_read(&cell->connect_errors);
        sum.resets += count_read(&cell->resets) + count_read(&cell->cut);
        sum.timeouts += count_read(&cell->timeouts);
        sum.completed += count_read(&cell->completed);
    }
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
        .timeouts = grown(now->timeouts, before->timeouts),
        .completed = grown(now->completed, before->completed),
    };
}

bool signs_trouble(const struct signs *added)
{
    return added->connect_errors + added->resets + added->timeouts > 0;
}

bool signs_bad(const struct signs *added)
{
    return added->connect_errors > 0 ||
           (added->completed == 0 && added->resets + added->timeouts > 0);
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
    tell(text, n, added->timeouts, "timeout");
}
