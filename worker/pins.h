/* Connections to backends that belong to one client's connection.
 *
 * NTLM and Negotiate (RFC 4559) authenticate a connection, not a request: whoever sends
 * the next request over it is taken for the same user. So a backend connection that
 * carried such credentials, or over which a backend asked for them, is bound to the
 * client's connection: it serves nobody else, it is the one that this client's next
 * request to that backend gets, and it is closed with it.
 *
 *   exchange ends -> upstream_keep() -> pins_keep() -> pins_take() by the next exchange
 *                                          |
 *                     idle timeout, the backend closed it, it is down -> closed
 *
 * Bounds: PINS_MAX for one client's connection, limits.upstream_pinned per backend and
 * worker; what is beyond is closed, and its user authenticates again. Worker only. */
#ifndef WORKER_PINS_H
#define WORKER_PINS_H

#include <stdbool.h>

#include "base/str.h"

struct backend_view;
struct http_request;
struct http_response;
struct pool_view;
struct upstream;

enum { PINS_MAX = 4 }; /* backends that one client's connection is authenticated at */

/* Embedded in the client's connection; zero is empty. Holds those that are idle. */
struct pins {
    struct upstream *of[PINS_MAX]; /* no gaps, the oldest first */
};

/* Takes an idle upstream in; the oldest one is closed where there is no room. */
void pins_keep(struct pins *pins, struct upstream *upstream);

/* The one to that backend; it stays in. NULL: there is none. */
struct upstream *pins_find(const struct pins *pins, const struct backend_view *backend);

/* The backend of that pool to which there is one. NULL: none. */
struct backend_view *pins_backend(const struct pins *pins, const struct pool_view *pool);

/* It is in use, or closed: takes it out. */
void pins_remove(struct pins *pins, const struct upstream *upstream);

/* The client's connection ends. */
void pins_close(struct pins *pins);

/* Do the request's credentials, or the response's challenges, authenticate the connection?
 * Pure.
 */
bool pins_bound_by_request(const struct http_request *request);
bool pins_bound_by_response(const struct http_response *response);

#endif
