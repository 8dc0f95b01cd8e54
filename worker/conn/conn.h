/* A client's connection: its life, whatever protocol it speaks. Worker only.
 *
 *   [PROXY] -> HANDSHAKE -> IDLE -> HEAD -> EXCHANGE -> IDLE ... -> LINGER -> closed
 *
 * A client runs when its socket has an event, or when its turn comes in the worker's
 * run list. Exchanges only set flags (want_body, finish) and never run it from within. */
#ifndef WORKER_CONN_H
#define WORKER_CONN_H

#include <stdbool.h>
#include <sys/socket.h>

struct conf_listen;
struct worker;

/* Takes over an accepted, non-blocking socket; closes it on failure. */
void conn_open(struct worker *worker, int fd, const struct conf_listen *listen,
               const struct sockaddr *from, socklen_t len);

/* Runs the clients in the run list. */
void conns_run(struct worker *worker);

/* Closes the connection that has waited longest for its client's next request, so that another
 * client can come; requests in progress are not affected. false: there is none to close. */
bool conns_make_room(struct worker *worker);

/* The same for the oldest connection that has no complete request after WORKER_HEAD_MS, or no
 * handshake. If a part of a request has come, it gets 408. */
bool conns_drop_unfinished(struct worker *worker);

/* worker->end_old_head: the same for what it holds of limits.memory. Runs no client, so that it
 * may be called while any of them runs. */
bool conns_end_old_head(struct worker *worker);

/* The same for a client of a status listener: the oldest one is closed, whatever it does. */
bool conns_make_status_room(struct worker *worker);

/* The worker drains: idle clients may send one more request, and others complete the head or
 * the handshake that they have begun, for a short time (WORKER_DRAIN_IDLE_MS). */
void conns_drain(struct worker *worker);

/* Ends all clients, whatever they do. */
void conns_close_all(struct worker *worker);

#endif
