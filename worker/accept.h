/* Listening sockets: accepts in bursts, pauses when the host has no descriptors
 * left. Worker only; the sockets belong to the supervisor. */
#ifndef WORKER_ACCEPT_H
#define WORKER_ACCEPT_H

#include <stdbool.h>

struct worker;

/* Makes the acceptors of all inherited listeners. 0 or -1 with errno. */
int accept_init(struct worker *worker);

/* Begins to accept where it is not done yet; on TLS listeners only when the
 * names have their certificates, and there is one at all: until then clients
 * wait in the socket, rather than get another name's. 0 or -1. */
int accept_start(struct worker *worker, bool named);

/* Stops: what waits in the sockets is left to the next generation's worker. */
void accept_stop(struct worker *worker);

#endif
