/* Affinity in an exchange: where its session is, what the backend may see of our
 * marks, and what the client gets. The pure part is worker/http/affinity.h. Worker only.
 *
 * Every mark is understood by every worker of every generation: nothing is kept
 * here, but for the handles of APSV connections, which are in the table. */
#ifndef WORKER_STICKY_H
#define WORKER_STICKY_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "worker/http/affinity.h"

struct conf_pool;
struct exchange;
struct http_response;
struct rewrite_response_info;
struct worker;

enum { STICKY_COOKIE = 192 }; /* bytes of a whole Set-Cookie of ours; a name has 63 at most */

/* The key that all workers share; before the first request. */
void sticky_key(struct worker *worker, const uint8_t bytes[AFFINITY_KEY]);

/* What is not for the backend, in the Cookie fields of a request. */
struct sticky_cuts {
    struct str cut[AFFINITY_LOOKS];
    unsigned n;
};

/* Finds the session of a routed request, sets x->home and counts it as live. Tags are taken off
 * the path of *n bytes, and their places in the cookies told. */
void sticky_request(struct exchange *x, char *path, size_t *n, struct sticky_cuts *cuts);

/* Looks at the head of a final answer: an APSV connection is remembered, a session that it
 * makes counts as live. */
void sticky_response(struct exchange *x, const struct http_response *head);

/* The exchange is over, x->backend still known: its session was live until now. */
void sticky_end(const struct exchange *x);

/* How the answer is to be marked. cookie: room that *info may point to. */
void sticky_mark(const struct exchange *x, struct rewrite_response_info *info,
                 char cookie[STICKY_COOKIE]);

#endif
