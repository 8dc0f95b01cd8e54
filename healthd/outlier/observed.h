/* What the workers saw of one backend: counters over all workers there ever were, because the
 * end of a worker must look neither like a response nor like a missing one; and current values,
 * over live workers. Read-only; healthd only. */
#ifndef HEALTHD_OUTLIER_OBSERVED_H
#define HEALTHD_OUTLIER_OBSERVED_H

#include <stdbool.h>
#include <stdint.h>

#include "healthd/outlier/score.h"
#include "shm/table.h"

struct observed {
    struct cell_counters n; /* counters */
    uint64_t responses;     /* first bytes: what it sends now, not what it began earlier */
    /* Current values; the first two are up to a second old. */
    uint64_t unanswered, oldest_ms;
    uint64_t trying;        /* probation requests, detached ones included */
    uint64_t worker_in_row; /* hard failures in a row, of the worker with the most */
};

/* The live workers; determined once for many backends. */
struct observed_live {
    int row[TABLE_WORKERS], n;
};
void observed_look(struct observed_live *live, const struct table *table);

/* The sums for one backend slot. */
struct observed observed_sum(const struct observed_live *live, const struct table *table,
                             int slot);

/* What was added to the counters between two sums. A counter that shrank, because the slot now
 * belongs to another backend, counts as 0. */
struct observed observed_since(const struct observed *now, const struct observed *before);

/* trouble: something failed; reason for a probe. bad: reason for suspicion even before the
 * probe: a connect failed, or requests failed and none completed. */
bool observed_trouble(const struct observed *added);
bool observed_bad(const struct observed *added);

/* Hard failures: connect errors, resets, cut ones. */
static inline uint64_t observed_hard(const struct observed *added)
{
    return added->n.connect_errors + added->n.resets + added->n.cut;
}

/* What is compared with other backends. */
static inline struct score_counts observed_measured(const struct observed *added)
{
    return (struct score_counts){
        added->n.measured,
        {added->n.measured_5xx, added->n.measured_4xx, added->n.measured_slow}};
}

/* "workers saw 3 failed connects, 1 reset" */
void observed_tell(const struct observed *added, char text[TABLE_REASON]);

#endif
