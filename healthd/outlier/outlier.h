/* What takes a look at the whole pool: which backend is ejected although its checks pass, which
 * one is on probation, which is unlike the others, and which may not be ejected because of the
 * others.
 *
 * healthd only. Times are monotonic milliseconds. */
#ifndef HEALTHD_OUTLIER_OUTLIER_H
#define HEALTHD_OUTLIER_OUTLIER_H

#include <stdbool.h>
#include <stdint.h>

#include "healthd/backend_health.h"

enum {
    OUTLIER_PROBATION_GOOD = 3, /* good requests that end probation */
    OUTLIER_UNANSWERED = 2, /* no byte here, but a response elsewhere; one may be bad luck */
    OUTLIER_RESPONSES = 3,  /* of others in the window, where silence here leads to ejection */
    OUTLIER_SLOW = 10,      /* times the median: so late a response is slow */
    OUTLIER_MEDIAN_MS = 10000, /* how often that is computed */
    OUTLIER_RECORD = 20000,    /* requests of a pool after which older ones count half */
    OUTLIER_PROBATIONS = 6,    /* longest probation, in times of eject.time */
    OUTLIER_RESTART = 3,       /* ejections in a row after which a restart is requested */
};

/* The longest time from the begin of a probation to its end: six times `time`, or three times
 * the longest that a probation request may wait if that is longer. A request that goes on and
 * on, or other backends that are always faster, cannot keep a backend on probation beyond it.
 */
uint64_t outlier_probation_ms(const struct conf_eject *rules);

/* How long the n-th ejection in a row lasts, n > 0. */
uint64_t outlier_eject_ms(const struct conf_eject *rules, uint32_t n);

/* Evaluates all backends of a pool. true: workers must be rung. */
bool outlier_look(struct pool_health *pool, uint64_t now_ms);

#endif
