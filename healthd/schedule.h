/* When to probe: pure arithmetic on the settings of a check. */
#ifndef HEALTHD_SCHEDULE_H
#define HEALTHD_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

struct conf_check;

enum {
    SCHEDULE_REPEAT_MS = 50,  /* a first failure is repeated after this time */
    SCHEDULE_GAP_MS = 50,     /* minimum rest of a backend between two probes */
    SCHEDULE_SIGN_MS = 200,   /* minimum time between probes that workers ask for */
    SCHEDULE_SPREAD_MS = 500, /* all first probes start within this */
    SCHEDULE_STEP_MS = 5,     /* and are at most this far apart */
};

/* How long after its start healthd probes backend i of n for the first time: soon, but not all
 * in the same millisecond. */
uint32_t schedule_first_ms(uint32_t i, uint32_t n);

/* From the start of a probe to the start of the next, jitter included. The verdict is the one
 * after the probe. `steady`: it was not the first probe. The wait after the first one is
 * anything up to an interval, which spreads the backends over it. `alone`: no other backend of
 * the pool serves, and clients wait for this one. *seed: for rand_r(); the same one gives the
 * same times. */
uint32_t schedule_next_ms(unsigned *seed, const struct conf_check *check,
                          const struct health_row *row, bool steady, bool alone);

#endif
