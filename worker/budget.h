/* What is given to few: places in the budget of retries, and trials of instances that
 * fail requests or answer none. Both exact over all workers (shm/cap.h). Worker only.
 *
 * An exchange whose request some instance got before is a retry from then on. Of all
 * that runs in a pool at most a fifth may be such (three always may), or a pool in which
 * everything fails would be asked several times over by those who try again. Attempts of
 * which nothing was sent cost no instance anything and are not counted.
 *
 * A backend with health.trial is tried with few exchanges at a time, which must be safe
 * and able to go elsewhere: what it costs the client is a moment at most, as it is also
 * raced (worker/hedge.h). Whether the instance answers after all is then found out
 * without the client (worker/overtaken.h). */
#ifndef WORKER_BUDGET_H
#define WORKER_BUDGET_H

#include <stdbool.h>

struct backend_view;
struct exchange;
struct worker;

enum {
    TRIAL_PLACES = 1,       /* where requests fail, each may be one that fails */
    TRIAL_SILENT_PLACES = 2 /* they only wait; and it takes two to tell (healthd/passive.h) */
};

/* May the exchange run? true also when it is no retry, or is counted already. */
bool budget_take(struct exchange *x);
/* Called when its answer begins, too: nobody tries again for it any more, and a long download
 * would hold the place to its end. */
void budget_give(struct exchange *x);

/* Gives the exchange a place at a backend on trial. NULL: none is to be tried, or this
 * exchange is not for that. */
struct backend_view *trial_take(struct exchange *x);
void trial_give(struct worker *worker, const struct backend_view *backend);

#endif
