#include "healthd/schedule.h"

#include <stdlib.h>

#include "base/conf/conf.h"

uint32_t schedule_first_ms(uint32_t i, uint32_t n)
{
    uint32_t evenly = (uint32_t)((uint64_t)i * SCHEDULE_SPREAD_MS / n);

    return i * SCHEDULE_STEP_MS < evenly ? i * SCHEDULE_STEP_MS : evenly;
}

static uint32_t interval_ms(const struct conf_check *check, const struct health_row *row,
                            bool alone)
{
    uint32_t usual = check->interval_ms, down = check->down_interval_ms;
    uint32_t fast = check->fast_interval_ms < usual ? check->fast_interval_ms : usual;

    switch (row->state) {
    case HEALTH_UP:
        return usual;
    case HEALTH_DEGRADED:
        /* A ping takes an ABL session, which is what the backend lacks: hurry
         * only to end the state. */
        return row->rise > 0 ? fast : usual;
    case HEALTH_EJECTED:
    case HEALTH_DOWN:
        return row->rise > 0 || (alone && fast < down) ? fast : down;
    default:
        /* The first failure may be chance; repeat it before users notice. */
        return row->fall == 1 && fast > SCHEDULE_REPEAT_MS ? SCHEDULE_REPEAT_MS : fast;
    }
}

uint32_t schedule_next_ms(unsigned *seed, const struct conf_check *check,
                          const struct health_row *row, bool steady, bool alone)
{
    uint32_t interval = interval_ms(check, row, alone), random = (uint32_t)rand_r(seed);
    uint32_t jitter = (uint32_t)((uint64_t)interval * check->jitter_percent / 100);

    if (!steady && row->state == HEALTH_UP)
        return random % interval + 1;
    return interval - jitter + random % (2 * jitter + 1);
}
