/* What happens when a backend fails an exchange: what may be sent again and to which backend,
 * and otherwise what the client gets (docs/proxy.md#retries). All but retry_may_hold() may end
 * the exchange. Worker only. */
#ifndef WORKER_RETRY_H
#define WORKER_RETRY_H

#include <stdbool.h>

#include "worker/proxy/attempt.h"
#include "worker/proxy/exchange.h"

extern const struct attempt_failures retry_failures; /* for worker->failures */

/* Its backend is down. Moves it to another one if no byte of a
 * response came and that is safe (true); otherwise it keeps its deadline. */
bool retry_move(struct exchange *x);
/* The same for an exchange that may not stay: if it cannot move it ends, with 503 or, if a
 * response has begun, cut short. why: static text for the log. */
void retry_evict(struct exchange *x, const char *why);

void retry_connect_failed(struct exchange *x, int error);
/* The connection failed before a byte of a response. sent: some of the request may have reached
 * the backend. */
void retry_unanswered(struct exchange *x, int error, bool sent);
/* End of input (error 0) or a broken connection. A tunnel goes on while the client sends. */
void retry_upstream_gone(struct exchange *x, int error);
/* No byte of a response came in time. */
void retry_no_response(struct exchange *x, const char *error, const char *detail);
/* The response is malformed, and no byte of it went to the client. */
void retry_bad_response(struct exchange *x, const char *reason);
/* The response ended too early, or stopped arriving (timeout). */
void retry_response_cut(struct exchange *x, bool timeout, const char *error,
                        const char *detail);

/* Could it be retried at another backend if this response were cut? Then holding it is
 * useful. */
bool retry_may_hold(const struct exchange *x);
/* Retries it at another backend instead of passing this response on. false: not allowed. */
bool retry_refuse_response(struct exchange *x, unsigned status);

#endif
