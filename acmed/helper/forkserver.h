/* Starts network helpers: a process that was forked before acmed read any key, and forks one
 * child per job. It holds one socket and nothing else. */
#ifndef ACMED_HELPER_FORKSERVER_H
#define ACMED_HELPER_FORKSERVER_H

/* Forks the fork server. Returns its descriptor, or -1 with errno. Closing it ends the fork
 * server and all network helpers. */
int forkserver_open(void);

/* Has the fork server fork a child that serves a new socket pair. Returns our end,
 * non-blocking, or -1 with errno. */
int forkserver_spawn(int forkserver);

#endif
