/* Listening sockets: accepts in bursts, pauses when the host has no descriptors
 * left. Worker only; the sockets belong to the supervisor. */
#ifndef WORKER_ACCEPT_H
#define WORKER_ACCEPT_H

struct worker;

/* Begins to accept on all inherited listeners. 0 or -1 with errno. */
int accept_start(struct worker *worker);

/* Stops: what waits in the sockets is left to the next generation's worker. */
void accept_stop(struct worker *worker);

#endif
