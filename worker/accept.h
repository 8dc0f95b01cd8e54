/* Listening sockets: accepts in bursts. Where no more clients are allowed, or the host has no
 * descriptors left, it closes idle connections, or pauses. Worker only; the supervisor holds a
 * copy of each socket. */
#ifndef WORKER_ACCEPT_H
#define WORKER_ACCEPT_H

#include <stdbool.h>
#include <stdint.h>

struct worker;

/* Makes the acceptors of all inherited listeners. 0 or -1 with errno. */
int accept_init(struct worker *worker);

/* Starts accepting where it has not started yet; on TLS listeners only when the names have
 * their certificates (named), and some certificate is loaded: until then clients wait in the
 * socket instead of getting another name's certificate. 0 or -1. */
int accept_start(struct worker *worker, bool named);

/* Stops, and closes our copies of the sockets: an open copy would go on queueing connections
 * that nobody accepts. Waiting connections are left to another process that serves the
 * listener; where there is none (its bit is set in `last`, by index in conf->listen), they are
 * accepted first. */
void accept_stop(struct worker *worker, uint64_t last);

/* Serves a socket of another worker's slot as well, until accept_return(). `once`: only the
 * connections that wait in it now. Takes ownership of fd. */
void accept_lend(struct worker *worker, uint32_t slot, uint64_t index, int fd, bool once);
void accept_return(struct worker *worker, uint32_t slot);

#endif
