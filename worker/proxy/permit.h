/* Who may send this request: the lists of clients of its listener and its route.
 *
 * Worker only. A function that returns false has responded, and the exchange is over. */
#ifndef WORKER_PERMIT_H
#define WORKER_PERMIT_H

#include <stdbool.h>

struct exchange;

/* May this client use the listener? Only asked where a trusted peer reports its clients: for
 * others, the connection was closed (conn/conn.c). */
bool permit_listener(struct exchange *x);

/* May it use x->route? */
bool permit_route(struct exchange *x);

#endif
