/* Responses that pasgate gives itself, without a backend: ACME challenges, the redirect to
 * https, the status pages, OPTIONS *. Worker only. */
#ifndef WORKER_LOCAL_REPLY_H
#define WORKER_LOCAL_REPLY_H

#include <stdbool.h>

#include "base/str.h"

struct exchange;

/* Responds if the path (normalised) or the listener is one that pasgate serves itself. true: it
 * did, and the exchange is over. */
bool local_reply(struct exchange *x, struct str path);

/* Responds to an OPTIONS request that is meant for pasgate. allow: empty for all known
 * methods. */
void local_reply_options(struct exchange *x, struct str allow);

/* Refuses a request of a client that is over one of its limits (x->over_limit): 429 where it
 * comes too often, 503 where it has too much in progress. */
void local_reply_over_limit(struct exchange *x);

#endif
