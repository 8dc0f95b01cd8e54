/* From a parsed request to the bytes for a backend. Worker only. */
#ifndef WORKER_REQUEST_H
#define WORKER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

struct exchange;

/* Normalises the path, answers what is ours to answer (worker/local_reply.h), finds
 * the route and writes the rewritten head and the first n body bytes to
 * x->outbox. false: the exchange is over. Where request_collects() holds then, the body is
 * not framed yet: request_add_body() adds to it. */
bool request_prepare(struct exchange *x, const char *data, size_t n);

/* Is there more of the body to wait for before a backend is chosen? */
bool request_collects(const struct exchange *x);

/* Adds the next n bytes to a body that is being collected. false: no memory. */
bool request_add_body(struct exchange *x, const char *data, size_t n);

/* Puts a chunk's frame around n bytes in worker->area, in the rooms before and
 * behind; *data moves. Returns the framed length. */
size_t request_chunk(char **data, size_t n, bool last);

#endif
