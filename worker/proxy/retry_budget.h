/* Scarce permits: the retry budget, probation slots of backends that fail requests or do not
 * respond, and the share of slots for requests whose body is still to come. All are exact over
 * all workers (shm/cap.h). Worker only.
 *
 * An exchange is a retry from the moment at which some backend may have received its request.
 * At most a fifth of a pool's in-flight requests (but at least three) may be retries; otherwise
 * a pool in which everything fails would receive each request several times over. Attempts of
 * which nothing was sent cost no backend anything and are not counted.
 *
 * A backend on probation (HEALTH_PROBATION) gets only a few exchanges at a time, which must be
 * safe and able to go elsewhere: they cost the client a moment at most, as they are also hedged
 * (worker/proxy/hedge.h). Whether the backend still responds is then found out without the
 * client (worker/proxy/detached.h).
 *
 * A request with "Expect: 100-continue" takes its slot before its body has arrived, and its
 * client decides how long it holds it. So only a share of the slots of a pool's smallest
 * backend is for such requests, until the body is complete or fills limits.request_buffer like
 * that of any other request that has a slot. */
#ifndef WORKER_RETRY_BUDGET_H
#define WORKER_RETRY_BUDGET_H

#include <stdbool.h>

struct backend_view;
struct exchange;
struct pool_view;
struct worker;

enum {
    /* probation slots where requests fail, as each request may be one that fails */
    PROBATION_SLOTS = 1,
    /* probation slots where requests get no response: these only wait, and it takes two to
     * decide (healthd/outlier/outlier.h) */
    PROBATION_SILENT_SLOTS = 2,
    RETRIES_USELESS = 3, /* useless retries in a row: retries do not help */
    /* How long that holds; each useless retry renews it, and the budget lets enough through. */
    RETRIES_USELESS_MS = 1000,
};

/* May the exchange run? Also true if it is not a retry, or is counted already. */
bool retry_budget_acquire(struct exchange *x);
/* The exchange has waited for the retry budget as long as a request may wait at all. If only a
 * verdict took it away from a backend that might have responded, it must not fail for that: it
 * runs beyond the budget. false: it is another kind of retry, or is beyond the budget
 * already. */
bool retry_budget_exceed(struct exchange *x);
/* Also called when its response begins: it will not be retried any more, and a long download
 * would occupy the budget until its end. */
void retry_budget_release(struct exchange *x);

/* The response to an exchange of which another backend's response was refused (x->refused). If
 * it is an error, too, the retry was useless. */
void retry_budget_result(const struct exchange *x, unsigned status);
/* Is it useful to wait for the budget? Not after some useless retries in a row: then every
 * backend fails such requests. */
bool retry_budget_helps(const struct pool_view *pool);

/* May its head be forwarded before its body? */
bool retry_budget_expect_acquire(struct exchange *x);
void retry_budget_expect_release(struct exchange *x);

/* Gives the exchange a slot at a backend on probation. NULL: no backend is on probation or has
 * a free probation slot, or this exchange is not eligible. */
struct backend_view *retry_budget_probation_acquire(struct exchange *x);
void retry_budget_probation_release(struct worker *worker, const struct backend_view *backend);

#endif
