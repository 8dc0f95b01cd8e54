/* From a parsed request to the bytes for a backend. Worker only. */
#ifndef WORKER_REQUEST_H
#define WORKER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

struct exchange;

/* Normalises the path, answers what is ours to answer (worker/local.h), finds
 * the route and writes the rewritten head and the first n body bytes to
 * x->outbox. false: the exchange is over. */
bool request_prepare(struct exchange *x, const char *data, size_t n, bool last);

/* Puts a chunk's frame around n bytes in worker->area, in the rooms before and
 * behind; *data moves. Returns the framed length. */
size_t request_chunk(char **data, size_t n, bool last);

#endif
