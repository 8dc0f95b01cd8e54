/* Reserves space in /dev/shm for the workers of a generation before the first of them starts,
 * because touching a page that cannot be allocated is a SIGBUS. What is optional shrinks where
 * there is too little space: the rings of exchanges for diagnostics (shm/exchange_ring.h), and
 * when nothing is left of them the bits by which sessions are counted (shm/sessions.h).
 * Supervisor only. */
#ifndef SUPERVISOR_ROOM_H
#define SUPERVISOR_ROOM_H

struct conf_errors;
struct generation;
struct supervisor;

/* Reserves the rows that process_start_worker() will give to its workers, and sets
 * generation->room. 0, or -1 with one error that says how much is needed and how much is
 * free. */
int room_reserve(struct supervisor *sup, struct generation *generation,
                 struct conf_errors *errs);

/* Logs why table_create() failed. */
void room_tell_no_table(const char *object, int error);

#endif
