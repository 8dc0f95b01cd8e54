#include "healthd/schedule.h"

#include "base/conf/conf.h"

void schedule_init(struct schedule *schedule, uint64_t seed)
{
    schedule->state = seed ? seed : UINT64_C(0x9e3779b97f4a7c15); /* 0 would stay 0 */
}

/* 0 .. n-1; the bias of the remainder does not matter here. */
static uint32_t below(struct schedule *schedule, uint32_t n)
{
    uint64_t x = schedule->state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    schedule->state = x;
    return (uint32_t)((x * UINT64_C(2685821657736338717)) >> 32) % n;
}

uint32_t schedule_first_ms(uint32_t i, uint32_t n)
{
    if ((uint64_t)n * SCHEDULE_STEP_MS <= SCHEDULE_SPREAD_MS)
        return i * SCHEDULE_STEP_MS;
    return (uint32_t)((uint64_t)i * SCHEDULE_SPREAD_MS / n);
}

static uint32_t interval_ms(const struct conf_check *check, const struct health_row *row,
                            bool alone)
{
    uint32_t usual = check->interval_ms, down = check->down_interval_ms;
    uint32_t fast = check->fast_interval_ms < usual ? check->fast_interval_ms : usual;

    switch (row->state) {
    case HEALTH_SUSPECT:
    case HEALTH_PROBATION:
        /* The first failure may be chance; repeat it before users notice. */
        return row->fall == 1 && fast > SCHEDULE_REPEAT_MS ? SCHEDULE_REPEAT_MS : fast;
    case HEALTH_EJECTED:
    case HEALTH_DOWN:
        return row->rise > 0 || (alone && fast < down) ? fast : down;
    case HEALTH_DEGRADED:
        /* A ping takes an ABL session, which is what the backend lacks: hurry
         * only to end the state. */
        return row->rise > 0 ? fast : usual;
    case HEALTH_UNKNOWN:
        return fast;
    default:
        return usual;
    }
}

uint32_t schedule_next_ms(struct schedule *schedule, const struct conf_check *check,
                          const struct health_row *row, bool steady, bool alone)
{
    uint32_t interval = interval_ms(check, row, alone);
    uint32_t jitter = (uint32_t)((uint64_t)interval * check->jitter_percent / 100);

    if (!steady && row->state == HEALTH_UP)
        return below(schedule, interval) + 1;
    if (jitter == 0)
        return interval;
    return interval - jitter + below(schedule, 2 * jitter + 1);
}
