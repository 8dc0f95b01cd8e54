/* What happens when every backend of a pool that may serve has the verdict "down"
 * (pools.fail_open). Worker only.
 *
 * If all requests were sent to such a pool, each client would wait for a hung backend until its
 * deadline; if none were sent, the pool would depend on checks that may be wrong. So one
 * request at a time, over all workers, tries the most promising backend, and the others get 503
 * at once. A good response opens that backend to all requests for FAIL_OPEN_MS, in every
 * worker. Each further good response renews that period, until healthd reports the backend as
 * up or the backend fails. */
#ifndef WORKER_FAIL_OPEN_H
#define WORKER_FAIL_OPEN_H

#include <stdbool.h>
#include <stdint.h>

struct backend_view;
struct health_row;
struct pool_view;
struct worker;

enum { FAIL_OPEN_MS = 3000 }; /* how long a good response keeps the backend open */

/* Rank of a backend; the most promising one has the highest. In descending order: its probes
 * pass (it was ejected); its last probe failed but got a reply or was refused, which costs a
 * client no time; its last probe timed out. avoided: this worker has just failed there.
 * Pure. */
uint32_t fail_open_rank(const struct health_row *health, bool avoided);

/* Has it given a good response within FAIL_OPEN_MS, although its verdict is down? */
bool fail_open_is_open(struct worker *worker, const struct backend_view *backend);

/* Takes the one permit to try a backend of this pool; it is shared by all workers. */
bool fail_open_acquire(struct worker *worker, const struct pool_view *pool);
/* Gives the permit back: when a response begins, or the attempt ends. */
void fail_open_release(struct worker *worker, const struct pool_view *pool);

/* A response with this status began: opens the backend if its verdict is down. */
void fail_open_responded(struct worker *worker, struct backend_view *backend, unsigned status);
/* This worker saw the backend fail: withdraws the opening that this worker has published. */
void fail_open_failed(struct backend_view *backend);

#endif
