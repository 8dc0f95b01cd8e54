/* What the workers meet, over a whole pool: which backend is ejected although its checks pass,
 * which one is on probation, and which may not be ejected because of the others.
 *
 * healthd only. Times are monotonic milliseconds. */
#ifndef HEALTHD_OUTLIER_OUTLIER_H
#define HEALTHD_OUTLIER_OUTLIER_H

#include <stdbool.h>
#include <stdint.h>

#include "healthd/backend_health.h"

enum {
    OUTLIER_PROBATION_GOOD = 3, /* good requests that end probation */
    OUTLIER_UNANSWERED = 2,    /* no byte here, but a response elsewhere; one may be bad luck */
    OUTLIER_SLOW = 10,         /* times the median: so late a response is slow */
    OUTLIER_MEDIAN_MS = 10000, /* how often that is computed */
    OUTLIER_RECORD = 20000,    /* requests of a pool after which older ones count half */
    OUTLIER_MOST_TENTHS = 7,   /* tenths of the window that are "most of it" */
    OUTLIER_PROBATIONS = 6,    /* longest probation, in times of eject.time */
};

struct pool_health {
    const struct conf_pool *conf;
    struct backend_health *target; /* [n] */
    uint32_t n;
    uint64_t all, slow; /* requests of this pool, and those that took 2.1 s or longer */
    uint64_t latency[TABLE_LATENCY]; /* their times to the first byte */
    uint64_t median_ms;              /* when health.slow_ms was last computed from them */
};

/* true: no other backend of the pool serves and has the admin state READY. */
bool outlier_alone(const struct pool_health *pool, const struct backend_health *target);

/* The longest time from the begin of a probation to its end: six times `time`, or three times
 * the longest that a probation request may wait (STALL_LONGEST_MS) if that is longer. A request
 * that goes on and on, or other backends that are always faster, cannot keep a backend on
 * probation beyond it. */
uint64_t outlier_probation_ms(const struct conf_eject *rules);

/* Evaluates all backends of a pool. true: workers must be rung. */
bool outlier_look(struct pool_health *pool, const struct observed_live *live, uint64_t now_ms);

#endif
