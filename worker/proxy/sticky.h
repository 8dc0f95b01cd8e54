/* Affinity in an exchange: where its session is, which of our marks are hidden from the
 * backend, and what the client gets. The pure part is worker/http/affinity.h. Worker only.
 *
 * Every worker of every generation understands every mark: no state is kept except for the
 * handles of APSV connections, which are in the table. */
#ifndef WORKER_STICKY_H
#define WORKER_STICKY_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "worker/http/affinity.h"

struct conf_pool;
struct exchange;
struct http_response;
struct headers_info;
struct worker;

enum { STICKY_COOKIE = 192 }; /* bytes of our whole Set-Cookie; a name has at most 63 */

/* Sets the key that all workers share; called before the first request. */
void sticky_key(struct worker *worker, const uint8_t bytes[AFFINITY_KEY]);

/* Parts of the Cookie fields of a request that the backend must not see. */
struct sticky_cuts {
    struct str cut[AFFINITY_LOOKS];
    unsigned n;
};

/* Finds the session of a routed request, sets x->affinity and counts the session as live.
 * Removes tags from the path of *n bytes, and reports in *cuts where they are in the cookies.
 */
void sticky_request(struct exchange *x, char *path, size_t *n, struct sticky_cuts *cuts);

/* Inspects the head of a final response: remembers an APSV connection, and counts a session
 * that the response creates as live. */
void sticky_response(struct exchange *x, const struct http_response *head);

/* The exchange is over, x->backend is still set: the session counts as live until now. */
void sticky_end(const struct exchange *x);

/* Fills in how the response is to be marked. cookie: a buffer that *info may point to. */
void sticky_mark(const struct exchange *x, struct headers_info *info,
                 char cookie[STICKY_COOKIE]);

#endif
