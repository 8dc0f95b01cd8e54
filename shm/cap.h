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
bool cap_acquire(struct table *table, const struct cap_rows *live, int mine, int slot,
                 uint32_t cap);
void cap_release(struct table *table, int mine, int slot, uint32_t cap);

/* One of the `most` (> 0) places for trials of a backend. */
bool cap_trial_acquire(struct table *table, const struct cap_rows *live, int mine, int slot,
                       uint32_t most);
void cap_trial_release(struct table *table, int mine, int slot);

/* The budget of retries: of all exchanges of a pool, this share may be at their second
 * instance or later. Few ones always may, or a pool with little to do had none. */
enum {
    CAP_RETRY_SHARE = 5, /* a fifth */
    CAP_RETRY_LEAST = 3,
};

/* How many may be, of `in_flight`. Pure. */
uint32_t cap_retries(uint32_t in_flight);

/* Takes one for worker row `mine` where fewer than `most` (> 0) are had. */
bool cap_retry_acquire(struct table *table, const struct cap_rows *live, int mine, int pool,
                       uint32_t most);
void cap_retry_release(struct table *table, int mine, int pool);

/* Requests that were forwarded with "Expect: 100-continue" before their body: an eighth of the
 * places, as their clients decide how long that lasts. */
enum {
    CAP_EXPECT_SHARE = 8,
    CAP_EXPECT_NO_CAP = 32, /* where places have no cap */
};

/* How many may be, where a backend has `cap` places (0: no cap). Of two at least one, of one
 * none. Pure. */
uint32_t cap_expects(uint32_t cap);

/* Takes one for worker row `mine` where fewer than `most` (0: none may) are had. */
bool cap_expect_acquire(struct table *table, const struct cap_rows *live, int mine, int pool,
                        uint32_t most);
void cap_expect_release(struct table *table, int mine, int pool);

/* The one place for a request that tries a pool all of whose backends are down. */
bool cap_opening_acquire(struct table *table, const struct cap_rows *live, int mine, int pool);
void cap_opening_release(struct table *table, int mine, int pool);

/* Writes those cells of our row again that are not what we have: how many. Once a second. */
uint32_t cap_repair(struct table *table, int mine);
/* Our row is a new one: we have nothing. */
void cap_forget(int mine);

/* Sums over the live workers. */
uint32_t cap_in_flight(const struct table *table, const struct cap_rows *live, int slot);
uint32_t cap_queued(const struct table *table, const struct cap_rows *live, int slot);
/* And for any of its pool, as far as that is counted at this one (struct worker_backend). */
uint32_t cap_queued_any(const struct table *table, const struct cap_rows *live, int slot);

#endif
