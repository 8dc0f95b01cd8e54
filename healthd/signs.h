/* What the workers saw of one backend: sums over their cells of the table.
 * Read-only; healthd only. */
#ifndef HEALTHD_SIGNS_H
#define HEALTHD_SIGNS_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

struct signs { /* counters; hard: connect errors, resets, cut ones */
    uint64_t connect_errors, resets, cut, timeouts, completed;
    uint64_t gateway, server_errors; /* 502, 503, 504 of its own; other 5xx */
    uint64_t answers; /* first bytes: what it answers now, not what it once began to */
    uint64_t slow;    /* of the first bytes, those that took 2 seconds or longer */
    /* And what is so now, about a second old: */
    uint64_t unanswered, oldest_ms;
    uint64_t worker_in_row; /* hard failures in a row, of the worker that has most */
};

/* Which workers' cells count now; taken once for many backends. */
struct signs_live {
    int row[TABLE_WORKERS], n;
};
void signs_look(struct signs_live *live, const struct table *table);

/* The sums for one backend slot. */
struct signs signs_sum(const struct signs_live *live, const struct table *table, int slot);

/* What was added to the counters between two sums. A worker that died takes its counts away:
 * a field that shrank counts as 0. */
struct signs signs_since(const struct signs *now, const struct signs *before);

/* trouble: something failed; worth a probe. bad: worth suspicion even before
 * it: connecting failed, or requests failed and none completed. */
bool signs_trouble(const struct signs *added);
bool signs_bad(const struct signs *added);

static inline uint64_t signs_hard(const struct signs *added)
{
    return added->connect_errors + added->resets + added->cut;
}

/* "workers saw 3 failed connects, 1 reset" */
void signs_tell(const struct signs *added, char text[TABLE_REASON]);

#endif
