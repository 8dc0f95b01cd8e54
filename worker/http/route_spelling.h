/* Requests are routed by their paths in one spelling: what is that of a route's path? Pure; for
 * whoever looks at a configuration (supervisor/examine.h), too. */
#ifndef WORKER_HTTP_ROUTE_SPELLING_H
#define WORKER_HTTP_ROUTE_SPELLING_H

#include <stddef.h>

/* The spelling in which requests for this path come, in out; NULL: none comes, and *why tells.
 */
const char *route_spelling(const char *path, char *out, size_t cap, const char **why);

#endif
