/* What the workers meet, over a whole pool: who is put aside although its checks pass, who is
 * tried again, and who may not be put aside because of the others.
 *
 * healthd only. Times are monotonic milliseconds. */
#ifndef HEALTHD_OUTLIER_OUTLIER_H
#define HEALTHD_OUTLIER_OUTLIER_H

#include <stdbool.h>
#include <stdint.h>

#include "healthd/backend_health.h"

enum {
    OUTLIER_TRIAL_GOOD = 3,  /* requests in a row that end a trial */
    OUTLIER_MUTE = 2,        /* not answered but by others: one may have met a bad moment */
    OUTLIER_RECORD = 20000,  /* requests of a pool, after which older ones count half */
    OUTLIER_MOST_TENTHS = 7, /* of the window: "most of it" */
};

struct pool_health {
    const struct conf_pool *conf;
    struct backend_health *target; /* [n] */
    uint32_t n;
    uint64_t all, slow; /* requests of this pool, and those that took over two seconds */
};

/* Does no other backend of the pool serve, which is also wanted? */
bool outlier_alone(const struct pool_health *pool, const struct backend_health *target);

/* Looks at all backends of a pool. true: the workers must hear of it. */
bool outlier_look(struct pool_health *pool, const struct observed_live *live, uint64_t now_ms);

#endif
