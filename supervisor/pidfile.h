/* The pidfile says which process is the supervisor, and makes sure that there is only one. Its
 * lock, which the kernel releases when the holder dies, is what counts; the number in it is for
 * people. The command line uses the lock on the table instead (shm/object.h).
 *
 * Only its owner may open it: whoever can read a file can lock it against its writers. */
#ifndef SUPERVISOR_PIDFILE_H
#define SUPERVISOR_PIDFILE_H

#include <sys/types.h>

/* Locks the file (creating it, and its directory if missing) and writes our pid. A file of
 * another user, or one that somebody holds a read lock on (a supervisor never does), is
 * replaced. Returns the descriptor that holds the lock, to be kept open; -1 with errno: EAGAIN
 * when another process holds the lock (its pid is then in *other). */
int pidfile_lock(const char *path, pid_t *other);

/* The pid of the lock's holder; 0: nobody holds it, or that cannot be determined. */
pid_t pidfile_holder(const char *path);

/* Removes the file and releases the lock. */
void pidfile_unlock(const char *path, int *fd);

#endif
