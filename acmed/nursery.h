/* Where network halves come from: a process that was forked before acmed read any key, and
 * forks one child for each job. It holds a socket and nothing else. */
#ifndef ACMED_NURSERY_H
#define ACMED_NURSERY_H

/* Forks the nursery; its descriptor, or -1 with errno. Closing it ends the nursery, and the
 * network halves with it. */
int nursery_open(void);

/* Has a child forked that serves a fresh pair of sockets. Our end of it, non-blocking, or -1
 * with errno. */
int nursery_hatch(int nursery);

#endif
