/* What each client may have of what all share (limits.per_client): who is let in, and who is
 * refused. Counted over all workers (shm/client_cells.h), remembered by each for itself.
 *
 * A client is looked up once for a connection, which keeps it (struct peer). For its requests a
 * look at its own counts is enough, as long as these are within this worker's part of a limit;
 * beyond that, the cells of all workers are added up.
 *
 * NULL is a client without limits everywhere here: exempt, of a status listener, or one that
 * found no place, because all those of its set have connections. Nobody is refused because the
 * places are used up. Worker only. */
#ifndef WORKER_CLIENTS_H
#define WORKER_CLIENTS_H

#include <stddef.h>
#include <stdint.h>

#include "shm/table.h"

struct client;
struct sockaddr;
struct worker;

enum { CLIENTS_KEY = 32 }; /* bytes */

/* 0; -1: no memory. */
int clients_init(struct worker *worker);
void clients_free(struct worker *worker);
/* The key of the places, from a secret that all workers have; only the first one counts.
 * Without it, each worker is alone. */
void clients_key(struct worker *worker, const uint8_t secret[CLIENTS_KEY]);

/* One more connection from this address. CLIENT_WITHIN: it is let in, and to be left with
 * clients_disconnect(); *client is whose it is. Otherwise it is to be closed: counted and
 * logged. For a connection whose address is known later (PROXY protocol), it is called then. */
enum client_limit clients_connect(struct worker *worker, const struct sockaddr *from,
                                  struct client **client);
void clients_disconnect(struct client *client);

/* One more request of a client. CLIENT_WITHIN: it may run, and is to be left with
 * clients_done(). Otherwise it is refused: counted and logged. *retry_s: when it may come
 * again. */
enum client_limit clients_request(struct worker *worker, struct client *client,
                                  uint32_t *retry_s);
void clients_done(struct client *client);

/* For a request whose client is not the one of its connection, but one that a trusted peer
 * reports: finds it. It stays until the end of the request. */
struct client *clients_find(struct worker *worker, const struct sockaddr *address);

/* Its buffers hold n bytes more, or less if negative. */
void clients_hold(struct client *client, ptrdiff_t n);
/* May they hold more? false is not counted: clients_refuse_bytes(). */
bool clients_may_hold(const struct worker *worker, const struct client *client);
/* Counts and logs that something was not held because of limits.per_client.bytes. */
void clients_refuse_bytes(struct worker *worker, struct client *client);

/* It broke the protocol, or stopped in the middle. */
void clients_offend(struct worker *worker, struct client *client);

/* Rewrites cells that differ from what is held here; returns how many. Once a second. */
uint32_t clients_repair(struct worker *worker);

#endif
