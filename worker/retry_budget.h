/* What is given to few: places in the budget of retries, trials of instances that fail
 * requests or answer none, and places for requests whose body is still to come. All exact
 * over all workers (shm/cap.h). Worker only.
 *
 * An exchange whose request some instance got before is a retry from then on. Of all
 * that runs in a pool at most a fifth may be such (three always may), or a pool in which
 * everything fails would be asked several times over by those who try again. Attempts of
 * which nothing was sent cost no instance anything and are not counted.
 *
 * A backend with health.trial is tried with few exchanges at a time, which must be safe
 * and able to go elsewhere: what it costs the client is a moment at most, as it is also
 * raced (worker/hedge.h). Whether the instance answers after all is then found out
 * without the client (worker/overtaken.h).
 *
 * A request with "Expect: 100-continue" has its slot with the head alone, and its client says
 * how long. So only a share of the slots of a pool's smallest backend is for such requests,
 * until the body is whole or fills limits.request_buffer as any other that has a slot. */
#ifndef WORKER_RETRY_BUDGET_H
#define WORKER_RETRY_BUDGET_H

#include <stdbool.h>

struct backend_view;
struct exchange;
struct worker;

enum {
    TRIAL_PLACES = 1, /* where requests fail, each may be one that fails */
    TRIAL_SILENT_PLACES =
        2 /* they only wait; and it takes two to tell (healthd/outlier/outlier.h) */
};

/* May the exchange run? true also when it is no retry, or is counted already. */
bool retry_budget_acquire(struct exchange *x);
/* It waited for a place for as long as a request may wait at all. One that only a verdict took
 * away from its instance, where it might have been answered, does not fail for that: it runs
 * beyond the budget. false: another one, or it has done so already. */
bool retry_budget_exceed(struct exchange *x);
/* Called when its answer begins, too: nobody tries again for it any more, and a long download
 * would hold the place to its end. */
void retry_budget_release(struct exchange *x);

/* May its head be forwarded before its body? */
bool retry_budget_expect_acquire(struct exchange *x);
void retry_budget_expect_release(struct exchange *x);

/* Gives the exchange a place at a backend on trial. NULL: none is to be tried, or this
 * exchange is not for that. */
struct backend_view *trial_acquire(struct exchange *x);
void trial_release(struct worker *worker, const struct backend_view *backend);

#endif
