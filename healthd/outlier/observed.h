/* What the workers saw of one backend: counters over all workers there ever were, for the end
 * of one must look neither like an answer nor like the want of one; and what is so now, over
 * those that live. Read-only; healthd only. */
#ifndef HEALTHD_OUTLIER_OBSERVED_H
#define HEALTHD_OUTLIER_OBSERVED_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

struct observed { /* counters; hard: connect errors, resets, cut ones */
    uint64_t connect_errors, resets, cut, timeouts, completed;
    uint64_t gateway, server_errors; /* 502, 503, 504 of its own; other 5xx */
    uint64_t responses;       /* first bytes: what it answers now, not what it once began to */
    uint64_t slow;            /* of the first bytes, those that took 2 seconds or longer */
    uint64_t overtaken, mute; /* on trial: answered first elsewhere; and never here */
    /* And what is so now; the first two are up to a second old: */
    uint64_t unanswered, oldest_ms;
    uint64_t trying;        /* requests that try it, overtaken ones too */
    uint64_t worker_in_row; /* hard failures in a row, of the worker that has most */
};

/* Which workers live; taken once for many backends. */
struct observed_live {
    int row[TABLE_WORKERS], n;
};
void observed_look(struct observed_live *live, const struct table *table);

/* The sums for one backend slot. */
struct observed observed_sum(const struct observed_live *live, const struct table *table,
                             int slot);

/* What was added to the counters between two sums. One that shrank, since the slot is another
 * backend's now, counts as 0. */
struct observed observed_since(const struct observed *now, const struct observed *before);

/* trouble: something failed; worth a probe. bad: worth suspicion even before
 * it: connecting failed, or requests failed and none completed. */
bool observed_trouble(const struct observed *added);
bool observed_bad(const struct observed *added);

static inline uint64_t signs_hard(const struct observed *added)
{
    return added->connect_errors + added->resets + added->cut;
}

/* "workers saw 3 failed connects, 1 reset" */
void observed_tell(const struct observed *added, char text[TABLE_REASON]);

#endif
