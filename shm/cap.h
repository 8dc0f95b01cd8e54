/* A cap that is exact over all workers, without a lock.
 *
 * Each worker counts in its own cell what it has at a backend. To acquire a slot it raises its
 * cell, sums all cells, and steps back if the sum is above the cap. If two workers meet at the
 * last slot both may step back, but they never both stay: the raise is visible to every worker
 * before the sum is made. */
#ifndef SHM_CAP_H
#define SHM_CAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

/* The workers whose cells count: rows[0..n), ours included. */
struct cap_rows {
    int rows[TABLE_WORKERS];
    int n;
};

/* Acquires a slot at backend `slot` for worker row `mine`; cap 0: no cap. false: it is full. */
bool cap_acquire(struct table *table, const struct cap_rows *live, int mine, int slot,
                 uint32_t cap);
void cap_release(struct table *table, int mine, int slot, uint32_t cap);

/* The same for one of the `most` (> 0) probation requests of a backend. */
bool cap_probation_acquire(struct table *table, const struct cap_rows *live, int mine, int slot,
                           uint32_t most);
void cap_probation_release(struct table *table, int mine, int slot);

/* The retry budget: the share of all exchanges of a pool that may be at their second backend or
 * later. A few always may, because a pool with little load would otherwise have none. */
enum {
    CAP_RETRY_SHARE = 5, /* one in five */
    CAP_RETRY_LEAST = 3,
};

/* How many retries are allowed at this number of exchanges in flight. Pure. */
uint32_t cap_retries(uint32_t in_flight);

/* Acquires one for worker row `mine` if fewer than `most` (> 0) are in use. */
bool cap_retry_acquire(struct table *table, const struct cap_rows *live, int mine, int pool,
                       uint32_t most);
void cap_retry_release(struct table *table, int mine, int pool);

/* Requests forwarded with "Expect: 100-continue" before their body: at most one slot in eight,
 * because their clients decide how long that lasts. */
enum {
    CAP_EXPECT_SHARE = 8,
    CAP_EXPECT_NO_CAP = 32, /* if slots have no cap */
};

/* How many are allowed where a backend has `cap` slots (0: no cap). At least one of
 * two, none of one. Pure. */
uint32_t cap_expects(uint32_t cap);

/* Acquires one for worker row `mine` if fewer than `most` (0: none is allowed) are in use. */
bool cap_expect_acquire(struct table *table, const struct cap_rows *live, int mine, int pool,
                        uint32_t most);
void cap_expect_release(struct table *table, int mine, int pool);

/* The only slot for a request that tries a pool all of whose backends are down. */
bool cap_opening_acquire(struct table *table, const struct cap_rows *live, int mine, int pool);
void cap_opening_release(struct table *table, int mine, int pool);

/* Rewrites the cells of our row that differ from what we hold; returns
 * how many. Once a second. */
uint32_t cap_repair(struct table *table, int mine);
/* Our row is a new one, just reset: we hold nothing. */
void cap_forget(struct table *table, int mine);

/* Sums over the live workers. each: of n backends at once, slot[i] to sum[i]. */
uint32_t cap_in_flight(const struct table *table, const struct cap_rows *live, int slot);
void cap_in_flight_each(const struct table *table, const struct cap_rows *live,
                        const uint16_t *slot, uint32_t n, uint32_t *sum);
/* The same for slots first to first + n - 1, and some five times as fast: reading all loads is
 * most of what a choice among 200 backends costs. false: some cell is wrong, or was changed
 * just now; the other one is to be asked. */
bool cap_in_flight_run(const struct table *table, const struct cap_rows *live, int first,
                       uint32_t n, uint32_t *sum);
uint32_t cap_queued(const struct table *table, const struct cap_rows *live, int slot);
/* All that wait in a pool, for one of its backends or for any; first: slot of its first one. */
uint32_t cap_queued_all(const struct table *table, const struct cap_rows *live, int first);

#endif
