/* Who may send this request: the lists of clients of its listener and its route.
 *
 * Worker only. A function that returns false has responded, and the exchange is over. */
#ifndef WORKER_PERMIT_H
#define WORKER_PERMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct exchange;

/* May this client use the listener? Only asked where a trusted peer reports its clients: for
 * others, the connection was closed (conn/conn.c). */
bool permit_listener(struct exchange *x);

/* May it use x->route? */
bool permit_route(struct exchange *x);

/* Has it the certificate that x->route requires? */
bool permit_certificate(struct exchange *x);

/* Is it from one of the users of x->route? True as well while the password is being verified
 * (x->login): then no attempt begins before permit_login(). */
bool permit_user(struct exchange *x);
/* The same when it is (enum login_result). */
bool permit_login(struct exchange *x, int result);

/* Fields of the client that are not passed on to the backend: a set of enum http_field_id. */
uint64_t permit_dropped(const struct exchange *x);

/* What the backend is told about the client's certificate; empty: it has none. */
struct str permit_client_subject(const struct exchange *x);
struct str permit_client_fingerprint(const struct exchange *x);

#endif
