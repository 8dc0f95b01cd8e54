/* One attempt of an exchange at one backend: waits for a slot, chooses, connects, sends the
 * request, and arms the deadlines of all that. What becomes of a failed one is for
 * worker/proxy/retry.c. Worker only. */
#ifndef WORKER_ATTEMPT_H
#define WORKER_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/proxy/exchange.h"

enum {
    /* health.hedge_all, or a silence that was found: hedged at once, but from a timer, not
     * inside another callback */
    ATTEMPT_HEDGE_NOW_MS = 1,
    /* a probation request is hedged after this time, or after 1.5 times the first-byte time
     * that was measured at that backend (backend_view.probation_hedge_ms) */
    ATTEMPT_HEDGE_PROBATION_MS = 700,
};

/* Who hears of an attempt that fails at once, before there is any event (worker->failures).
 * Both may end the exchange. */
struct attempt_failures {
    void (*connect)(struct exchange *, int error);
    void (*unanswered)(struct exchange *, int error, bool sent);
};

/* It has all that it needs before it takes a slot: waits behind others, or chooses. */
void attempt_join(struct exchange *x);
/* Chooses a backend (again), or waits, or ends the exchange. */
void attempt_choose(struct exchange *x);
/* Sends it to that backend, where it already has a slot. May end the exchange. */
void attempt_connect(struct exchange *x, struct backend_view *backend);
/* worker->retry_queued: a slot may be free; tries again. true: it left the queue. */
bool attempt_retry_queued(struct waiter *waiter);
/* No slot came free in time: ends the exchange. */
void attempt_queue_timeout(struct exchange *x);

/* The connection is open: sends what was collected. */
enum exchange_flow attempt_connected(struct exchange *x);
/* The backend wants the body announced by "Expect", or did not react in time. */
void attempt_continue(struct exchange *x);
/* All bytes given to upstream_send() are out. */
void attempt_writable(struct exchange *x);
/* The backend does not take more of the request now. */
void attempt_wait_for_room(struct exchange *x);
/* Arms the deadline of its current state. */
void attempt_arm(struct exchange *x);
/* Its backend was found silent: hedges it, from a timer, if it may be hedged and has waited for
 * long enough itself. */
void attempt_hedge_now(struct exchange *x);

#endif
