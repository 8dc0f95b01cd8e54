/* Listening sockets: accepts in bursts; where there may be no more clients, or the host has no
 * descriptors left, closes idle connections of others, or pauses. Worker only; the supervisor
 * holds a copy of each socket. */
#ifndef WORKER_ACCEPT_H
#define WORKER_ACCEPT_H

#include <stdbool.h>
#include <stdint.h>

struct worker;

/* Makes the acceptors of all inherited listeners. 0 or -1 with errno. */
int accept_init(struct worker *worker);

/* Begins to accept where it is not done yet; on TLS listeners only when the
 * names have their certificates, and there is one at all: until then clients
 * wait in the socket, rather than get another name's. 0 or -1. */
int accept_start(struct worker *worker, bool named);

/* Stops, and closes our copies of the sockets: one that stays open here would go on queueing
 * connections that nobody takes. What waits is left to whoever else serves a listener; where
 * nobody does (its bit is set in `last`, by index in conf->listen), it is taken first. */
void accept_stop(struct worker *worker, uint64_t last);

/* Serves a socket of another worker's slot as well, until accept_return(); `once`: only what
 * waits in it now. Takes over fd. */
void accept_lend(struct worker *worker, uint32_t slot, uint64_t index, int fd, bool once);
void accept_return(struct worker *worker, uint32_t slot);

#endif
