/* Turns a parsed request into the bytes for a backend. Worker only. */
#ifndef WORKER_REQUEST_H
#define WORKER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

struct exchange;

/* Normalises the path, responds to what pasgate serves itself (worker/proxy/local_reply.h),
 * finds the route and writes the forwarded head and the first n body bytes to
 * x->request_buffer. false: the exchange is over. If request_collects() holds afterwards, the
 * body is not framed yet: request_add_body() adds to it. */
bool request_prepare(struct exchange *x, const char *data, size_t n);

/* Must more of the body arrive before a backend is chosen? */
bool request_collects(const struct exchange *x);

/* Appends the next n bytes to a body that is being collected. false: no memory. */
bool request_add_body(struct exchange *x, const char *data, size_t n);

#endif
