/* Who may send this request: the lists of clients of its listener and its route.
 *
 * Worker only. A function that returns false has responded, and the exchange is over. */
#ifndef WORKER_PERMIT_H
#define WORKER_PERMIT_H

#include <stdbool.h>
#include <stdint.h>

struct exchange;

/* May this client use the listener? Only asked where a trusted peer reports its clients: for
 * others, the connection was closed (conn/conn.c). */
bool permit_listener(struct exchange *x);

/* May it use x->route? */
bool permit_route(struct exchange *x);

/* Is it from one of the users of x->route? True as well while the password is being verified
 * (x->login): then no attempt begins before permit_login_ended(). */
bool permit_user(struct exchange *x);
/* worker->login_ended: goes on, or responds. */
void permit_login_ended(void *exchange, int result);

/* Fields of the client that are not passed on to the backend: a set of enum http_field_id. */
uint64_t permit_dropped(const struct exchange *x);

#endif
