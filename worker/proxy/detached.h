/* Detached attempts: probation requests (worker/proxy/retry_budget.h), and requests whose
 * backend was silent (worker/proxy/hedge.h), that lost a hedge to another backend. The client
 * has its response, but the attempt keeps waiting for the first byte of its own, because only
 * this shows whether the backend is slow or hangs. Worker only.
 *
 *   a byte arrives   the backend is slow: counted like any other response, and the next
 *                    probation request there gets more time before it is hedged
 *   the end arrives  a failure like any other
 *   timeout          the hang timeout that healthd set (health.hang_timeout_ms; half as long
 *                    again for what waited before the probation), and three times the time
 *                    that the other backend needed, have passed: counted in the
 *                    cell's `probation_unanswered`. The same request was sent to both, so it is
 *                    no long one. While its backend is not on probation, one that was not a
 *                    probation request waits on, for DETACHED_LIMIT_MS in all: healthd counts
 *                    what waits.
 *   not detached     if the other backend needed so long that this wait would take too long, or
 *                    there are DETACHED_SILENT_MOST of them
 *
 * Until then each of them keeps its slot at the backend and, if it has one, its probation slot;
 * the content of its response is ignored. Apart from that slot, they delay neither the end of a
 * worker nor a drain. */
#ifndef WORKER_DETACHED_H
#define WORKER_DETACHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct attempt;
struct backend_view;
struct worker;

enum {
    /* this many times longer than elsewhere cannot be explained by a long request */
    DETACHED_TIMES = 3,
    /* no detached attempt may hold a probation slot for longer than this */
    DETACHED_LIMIT_MS = 15000,
    /* Detached attempts that were hedged for silence: the most per backend and worker; and the
     * interval at which each checks whether its backend is on probation by now. */
    DETACHED_SILENT_MOST = 16,
    DETACHED_LOOK_MS = 250,
    /* upper bound of probation_hedge_ms, since clients wait for that long */
    DETACHED_HEDGE_MS = 5000,
};

/* Prepares worker->detached, which keeps up to `keep` blocks for reuse. */
void detached_init(struct worker *worker, size_t keep);

/* Takes over a lost attempt with its connection, slot and probation slot, counts it in the
 * cell's `detached` and notifies healthd. elsewhere_us: from choosing the other backend to the
 * first byte there. false: it is not worth detaching (it has to be without a first byte, on
 * probation or at a silent backend, and its wait has to stay within DETACHED_LIMIT_MS), or
 * there is no memory for it. */
bool detached_begin(struct attempt *attempt, uint64_t elsewhere_us);

/* Number of detached attempts at a backend; *oldest_ms: when the oldest of them began, 0:
 * none. */
uint64_t detached_waiting(const struct backend_view *backend, uint64_t *oldest_ms);

/* Closes all of them. */
void detached_close(struct backend_view *backend);

#endif
