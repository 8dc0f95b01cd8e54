/* The pidfile: says which process is the supervisor, and that there is only
 * one. Its lock, which the kernel drops when the holder dies, is the truth; the
 * number in it is for people and for the command line. */
#ifndef SUPERVISOR_PIDFILE_H
#define SUPERVISOR_PIDFILE_H

#include <sys/types.h>

/* Locks the file (making it, and its folder when that is missing) and writes
 * our pid. Returns the descriptor that holds the lock, to be kept open; -1 with
 * errno, EAGAIN when another process holds the lock (its pid then in *other). */
int pidfile_lock(const char *path, pid_t *other);

/* Removes the file and lets the lock go. */
void pidfile_unlock(const char *path, int *fd);

/* The pid of the running service; 0: none runs (or no such file); -1 with
 * errno: cannot tell. Any process may ask. */
pid_t pidfile_read(const char *path);

#endif
