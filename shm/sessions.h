/* How many sessions are live at an instance: what a drain waits for.
 *
 * Each worker notes the sessions that it sees in its own cell of the instance, as one bit
 * each of a hash, so that two workers that see the same session note the same bit. A cell
 * has two such sets, of the epoch that is and of the one before; an epoch is the pool's
 * session_idle long. So a session counts for at least that time after its last request,
 * and for at most twice that.
 *
 * The sets outlive the worker that wrote them, and worker_row_reset(): what a dead worker
 * had noted counts until its time is over, whether its row has a new process or none.
 *
 * No lock, no allocation; one writer per cell, which ages lazily, when it next notes. */
#ifndef SHM_SESSIONS_H
#define SHM_SESSIONS_H

#include <stdint.h>

#include "shm/table.h"

enum { SESSIONS_BITS = TABLE_SESSION_WORDS * 64 };

/* Notes a session by its hash (all 64 bits are used) as seen now. Only the worker of the
 * cell. A few nanoseconds. */
void sessions_note(struct worker_backend *cell, uint64_t hash, uint64_t now_ms,
                   uint32_t idle_ms);

/* How many sessions are live at a slot, over all workers that there were. 0 is exact; else an
 * estimate by linear counting (Whang 1990), exact for few, some 3 % off at a thousand, and
 * 7689 is the most that can be told. Any process. */
uint32_t sessions_live(const struct table *table, int slot, uint64_t now_ms, uint32_t idle_ms);

/* The estimate alone: sessions that set `bits` of SESSIONS_BITS bits. Pure. */
uint32_t sessions_estimate(unsigned bits);

#endif
