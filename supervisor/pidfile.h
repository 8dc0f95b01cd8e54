/* The pidfile: says which process is the supervisor, and that there is only
 * one. Its lock, which the kernel drops when the holder dies, is the truth; the
 * number in it is for people; the command line asks for the lock on the table (shm/object.h).
 *
 * Only its owner may open it: whoever can read a file can lock it against its writers. */
#ifndef SUPERVISOR_PIDFILE_H
#define SUPERVISOR_PIDFILE_H

#include <sys/types.h>

/* Locks the file (making it, and its folder when that is missing) and writes
 * our pid. One of another user, and one on which somebody has a reader's lock, which
 * no supervisor has, is made anew. Returns the descriptor that holds the lock, to be kept open;
 * -1 with errno, EAGAIN when another process holds the lock (its pid then in *other). */
int pidfile_lock(const char *path, pid_t *other);

/* Whose lock is on it; 0: nobody's, or it cannot be seen. */
pid_t pidfile_holder(const char *path);

/* Removes the file and lets the lock go. */
void pidfile_unlock(const char *path, int *fd);

#endif
