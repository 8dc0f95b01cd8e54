/* Requests are routed by the normalised form of their paths. This is the normalised form of a
 * route's path. Pure; also used to check a configuration (supervisor/examine.h). */
#ifndef WORKER_HTTP_ROUTE_SPELLING_H
#define WORKER_HTTP_ROUTE_SPELLING_H

#include <stddef.h>

/* Writes the form in which requests for this path are routed to out and returns it. NULL: no
 * request can have this path, and *why says why. */
const char *route_spelling(const char *path, char *out, size_t cap, const char **why);

#endif
