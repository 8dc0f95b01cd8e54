/* The last exchanges of each backend, for the diagnostics that are saved before a restart.
 *
 * Each worker keeps a ring per backend in its own row. All rings have the same share of the
 * row's records, smaller with more workers or backends, so that a backend has some 512 records
 * over all workers, of which the newest 256 are reported: 80 KiB of memory per backend, and
 * only for records that were really used, as with all pages of the table. A ring outlives its
 * worker: the next process of the row continues it. Neither queries nor path parameters are
 * kept, because they may hold passwords and session ids. */
#ifndef SHM_EXCHANGE_RING_H
#define SHM_EXCHANGE_RING_H

#include <stdint.h>

#include "base/str.h"
#include "shm/table.h"

enum {
    EXCHANGE_RING_TOLD = 256,    /* reported of one backend, at most */
    EXCHANGE_RING_RECORDS = 512, /* of one backend over all workers, about */
    EXCHANGE_RING_LEAST = 16,    /* of one backend in one worker */
};

/* The share of each of nslots backends in a worker's records. Pure. */
uint32_t exchange_ring_share(uint32_t nslots, uint32_t workers);

/* How many records a worker needs for nslots backends. Pure. */
uint32_t exchange_ring_records(uint32_t nslots, uint32_t workers);

/* A worker, before its first exchange: sets how many slots it may use (begin) and which backend
 * each one belongs to (claim). room: records of the row that may be used (table_reserve_row);
 * if 0, nothing is kept. Existing records stay if they fit. */
void exchange_ring_begin(struct worker_row *mine, uint32_t nslots, uint32_t workers,
                         uint32_t room);
void exchange_ring_claim(struct worker_row *mine, int slot, uint64_t identity);

/* Cuts a path to what a record holds, and drops everything from the first ';' or '?' on. */
void exchange_ring_path(struct recent_row *to, struct str path);

/* Adds one record; no system call, no lock. */
void exchange_ring_add(struct worker_row *mine, int slot, const struct recent_row *row);

/* The newest exchanges of a backend over all workers, dead ones too; oldest
 * first. Returns how many. */
int exchange_ring_read(const struct table *table, int slot, uint64_t identity,
                       struct recent_row out[EXCHANGE_RING_TOLD]);

#endif
