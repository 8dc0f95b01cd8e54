/* Listening sockets: accepts in bursts, pauses when the host has no descriptors
 * left. Worker only; the sockets belong to the supervisor. */
#ifndef WORKER_ACCEPT_H
#define WORKER_ACCEPT_H

struct worker;

/* Makes the acceptors of all inherited listeners. 0 or -1 with errno. */
int accept_init(struct worker *worker);

/* Begins to accept where it is not done yet: on TLS listeners once there is a
 * certificate to answer with; until then clients wait in the socket. 0 or -1. */
int accept_start(struct worker *worker);

/* Stops: what waits in the sockets is left to the next generation's worker. */
void accept_stop(struct worker *worker);

#endif
