/* The last exchanges of each backend, for the evidence that is saved before a restart.
 *
 * Each worker keeps a ring per backend in its own row; all rings have the same share of the
 * row's records, fewer with more workers or backends, so that a backend has some 512 records
 * over all workers, of which the newest 256 are told: 80 KiB of memory per backend, and only
 * for what was really used, as the pages of the table are. A ring outlives its worker: the
 * next one of the row goes on with it. Neither queries nor path parameters are kept, as they
 * may hold passwords and session ids. */
#ifndef SHM_EXCHANGE_RING_H
#define SHM_EXCHANGE_RING_H

#include <stdint.h>

#include "base/str.h"
#include "shm/table.h"

enum {
    EXCHANGE_RING_TOLD = 256,    /* of one backend, at most */
    EXCHANGE_RING_RECORDS = 512, /* of one backend over all workers, about */
    EXCHANGE_RING_LEAST = 16,    /* of one backend in one worker */
};

/* The share of each of nslots backends in a worker's records. Pure. */
uint32_t exchange_ring_share(uint32_t nslots, uint32_t workers);

/* How many records a worker needs for nslots backends. Pure. */
uint32_t exchange_ring_records(uint32_t nslots, uint32_t workers);

/* A worker, before its first exchange: how many slots it may use, and whom each one names.
 * room: records of the row that may be used (table_reserve_row); without any, nothing is kept.
 * What was there stays if it fits. */
void exchange_ring_begin(struct worker_row *mine, uint32_t nslots, uint32_t workers,
                         uint32_t room);
void exchange_ring_claim(struct worker_row *mine, int slot, uint64_t identity);

/* Cuts texts to what a record holds; of a path everything from the first ';' or '?' on. */
void exchange_ring_path(struct recent_row *to, struct str path);

/* Adds one; no system call, no lock. */
void exchange_ring_add(struct worker_row *mine, int slot, const struct recent_row *row);

/* The newest of a backend over all workers, dead ones' too; oldest first. How many. */
int exchange_ring_read(const struct table *table, int slot, uint64_t identity,
                       struct recent_row out[EXCHANGE_RING_TOLD]);

#endif
