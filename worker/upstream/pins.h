/* Connections to backends that belong to one client's connection.
 *
 * NTLM and Negotiate (RFC 4559) authenticate a connection, not a request: whoever sends the
 * next request over it is taken for the same user. So a backend connection that carried such
 * credentials, or over which a backend asked for them, is bound to the client's connection: no
 * other client uses it, this client's next request to that backend uses it, and it is closed
 * together with the client's connection.
 *
 *   exchange ends -> upstream_keep() -> pins_keep() -> upstream_get() by the next exchange
 *                                          |
 *                     idle timeout, the backend closed it, it is down -> closed
 *
 * Limits: PINS_MAX for one client's connection, limits.upstream_pinned per backend and worker.
 * Connections beyond that are closed, and their users authenticate again. Worker only. */
#ifndef WORKER_PINS_H
#define WORKER_PINS_H

#include <stdbool.h>

#include "worker/core/transport.h"

struct backend_view;
struct http_request;
struct http_response;
struct pool_view;
struct upstream;

/* No room for another one: the oldest, of[0], has to be closed first. */
static inline bool pins_full(const struct pins *pins)
{
    return pins->of[PINS_MAX - 1] != NULL;
}

/* Adds an idle upstream; there is room for it. */
void pins_keep(struct pins *pins, struct upstream *upstream);

/* The connection to that backend; it is not removed. NULL: there is none. */
struct upstream *pins_find(const struct pins *pins, const struct backend_view *backend);

/* The backend of that pool to which there is a connection. NULL: none. */
struct backend_view *pins_backend(const struct pins *pins, const struct pool_view *pool);

/* Removes a connection that is in use again, or closed. */
void pins_remove(struct pins *pins, const struct upstream *upstream);

/* Do the request's credentials, or the response's challenges, authenticate the connection?
 * Pure.
 */
bool pins_bound_by_request(const struct http_request *request);
bool pins_bound_by_response(const struct http_response *response);

#endif
