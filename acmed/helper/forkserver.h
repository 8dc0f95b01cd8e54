/* Where network halves come from: a process that was forked before acmed read any key, and
 * forks one child for each job. It holds a socket and nothing else. */
#ifndef ACMED_HELPER_FORKSERVER_H
#define ACMED_HELPER_FORKSERVER_H

/* Forks the nursery; its descriptor, or -1 with errno. Closing it ends the nursery, and the
 * network halves with it. */
int forkserver_open(void);

/* Has a child forked that serves a fresh pair of sockets. Our end of it, non-blocking, or -1
 * with errno. */
int forkserver_spawn(int nursery);

#endif
