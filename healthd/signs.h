/* What the workers saw of one backend: sums over their cells of the table.
 * Read-only; healthd only. */
#ifndef HEALTHD_SIGNS_H
#define HEALTHD_SIGNS_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

struct signs {
    uint64_t connect_errors, resets, timeouts, completed;
};

/* Which workers' cells count now; taken once for many backends. */
struct signs_live {
    bool row[TABLE_WORKERS];
};
void signs_look(struct signs_live *live, const struct table *table);

/* The sums for one backend slot. */
struct signs signs_sum(const struct signs_live *live, const struct table *table, int slot);

/* What was added between two sums. A worker that died takes its counts away:
 * a field that shrank counts as 0. */
struct signs signs_since(const struct signs *now, const struct signs *before);

/* trouble: something failed; worth a probe. bad: worth suspicion even before
 * it: connecting failed, or requests failed and none completed. */
bool signs_trouble(const struct signs *added);
bool signs_bad(const struct signs *added);

/* "workers saw 3 failed connects, 1 reset" */
void signs_tell(const struct signs *added, char text[TABLE_REASON]);

#endif
