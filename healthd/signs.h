/* What the workers saw of one backend: counters over all workers there ever were, for the end
 * of one must look neither like an answer nor like the want of one; and what is so now, over
 * those that live. Read-only; healthd only. */
#ifndef HEALTHD_SIGNS_H
#define HEALTHD_SIGNS_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

struct signs { /* counters; hard: connect errors, resets, cut ones */
    uint64_t connect_errors, resets, cut, timeouts, completed;
    uint64_t gateway, server_errors; /* 502, 503, 504 of its own; other 5xx */
    uint64_t answers;         /* first bytes: what it answers now, not what it once began to */
    uint64_t slow;            /* of the first bytes, those that took 2 seconds or longer */
    uint64_t overtaken, mute; /* on trial: answered first elsewhere; and never here */
    /* And what is so now; the first two are up to a second old: */
    uint64_t unanswered, oldest_ms;
    uint64_t trying;        /* requests that try it, overtaken ones too */
    uint64_t worker_in_row; /* hard failures in a row, of the worker that has most */
};

/* Which workers live; taken once for many backends. */
struct signs_live {
    int row[TABLE_WORKERS], n;
};
void signs_look(struct signs_live *live, const struct table *table);

/* The sums for one backend slot. */
struct signs signs_sum(const struct signs_live *live, const struct table *table, int slot);

/* What was added to the counters between two sums. One that shrank, since the slot is another
 * backend's now, counts as 0. */
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
