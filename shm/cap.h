/* A cap that is exact over all workers, without a lock.
 *
 * Each worker counts what it has at a backend in its own cell. To take a place
 * it raises its cell, sums all cells, and steps back when that is too much. Of
 * two that meet at the last place both may step back, but never do both stay:
 * the raise is visible to everyone before the sum is made. */
#ifndef SHM_CAP_H
#define SHM_CAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

/* The workers whose cells count: rows[0..n), our own among them. */
struct cap_rows {
    int rows[TABLE_WORKERS];
    int n;
};

/* Takes a place at backend `slot` for worker row `mine`; cap 0: none to keep.
 * false: it is full. */
bool cap_take(struct table *table, const struct cap_rows *live, int mine, int slot,
              uint32_t cap);
void cap_give(struct table *table, int mine, int slot, uint32_t cap);

/* One of the `most` (> 0) places for trials of a backend. */
bool cap_trial_take(struct table *table, const struct cap_rows *live, int mine, int slot,
                    uint32_t most);
void cap_trial_give(struct table *table, int mine, int slot);

/* The budget of retries: of all exchanges of a pool, this share may be at their second
 * instance or later. Few ones always may, or a pool with little to do had none. */
enum {
    CAP_RETRY_SHARE = 5, /* a fifth */
    CAP_RETRY_LEAST = 3,
};

/* How many may be, of `in_flight`. Pure. */
uint32_t cap_retries(uint32_t in_flight);

/* Takes one for worker row `mine` where fewer than `most` (> 0) are had. */
bool cap_retry_take(struct table *table, const struct cap_rows *live, int mine, int pool,
                    uint32_t most);
void cap_retry_give(struct table *table, int mine, int pool);

/* Sums over the live workers. */
uint32_t cap_in_flight(const struct table *table, const struct cap_rows *live, int slot);
uint32_t cap_queued(const struct table *table, const struct cap_rows *live, int slot);

#endif
