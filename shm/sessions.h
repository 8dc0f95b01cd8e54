/* How many sessions are live at a backend: a drain waits for these.
 *
 * Each worker notes the sessions that it sees in its own row, each as one bit of a hash in the
 * set of the backend, so that two workers that see the same session set the same bit. There are
 * two such sets per backend, of the current epoch and of the previous one; an epoch is as long
 * as the pool's session_idle. So a session counts for at least that time after its last
 * request, and for at most twice that.
 *
 * With little shared memory a row has smaller sets (struct row_room), down to none: then the
 * epoch alone tells whether there is any session, but not how many. A set of n words is one of
 * 2n words folded together, so that workers with sets of different sizes still count together.
 *
 * The sets outlive the worker that wrote them, and worker_row_reset(): what a dead worker noted
 * counts until its time is over, whether or not its row has a new process.
 *
 * No lock, no allocation; one writer per row, which advances the epochs when it next notes. */
#ifndef SHM_SESSIONS_H
#define SHM_SESSIONS_H

#include <stdint.h>

#include "shm/table.h"

enum { SESSIONS_BITS = TABLE_SESSION_WORDS * 64 };

/* Live sessions whose number is unknown: at least one. */
#define SESSIONS_UNCOUNTED UINT32_MAX

/* Notes that a session at a slot, by its hash (all 64 bits are used), was seen now. Only the
 * worker of the row. words: table_session_words() of the row. Takes a few nanoseconds. */
void sessions_note(struct worker_row *mine, int slot, uint32_t words, uint64_t hash,
                   uint64_t now_ms, uint32_t idle_ms);

/* How many sessions are live at a slot, over all workers there ever were. 0 is exact; otherwise
 * an estimate by linear counting (Whang 1990): with full sets exact for few, some 3 % off at a
 * thousand, and 7689 is the maximum; or SESSIONS_UNCOUNTED. Any process. */
uint32_t sessions_live(const struct table *table, int slot, uint64_t now_ms, uint32_t idle_ms);

/* The estimate alone: the number of sessions that set `bits` of `all` bits. Pure. */
uint32_t sessions_estimate(unsigned bits, unsigned all);

#endif
