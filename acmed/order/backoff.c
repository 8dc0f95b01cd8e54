#include "acmed/order/backoff.h"

static const uint32_t delays_s[] = {60, 300, 900, 1800, 6000, 6 * 3600, 24 * 3600};

enum { DELAYS = sizeof delays_s / sizeof *delays_s };

uint32_t backoff_count(uint32_t failures)
{
    return failures == UINT32_MAX ? failures : failures + 1;
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t backoff_at_least(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t backoff_longest_ms(uint64_t lifetime_ms)
{
    if (lifetime_ms == 0)
        return BACKOFF_DAY_MS;
    return backoff_at_least(at_most(BACKOFF_DAY_MS, lifetime_ms / BACKOFF_TRIES_IN_LIFE),
                            BACKOFF_LEAST_MS);
}

static uint64_t jittered(uint64_t delay, uint64_t random)
{
    uint64_t swing = delay * BACKOFF_JITTER_PERMILLE / 1000;

    return delay - swing + random % (2 * swing + 1);
}

uint64_t backoff_delay_ms(uint32_t failures, uint64_t lifetime_ms, uint64_t retry_after_ms,
                          uint64_t random)
{
    uint32_t step = failures == 0 ? 0 : failures - 1;
    uint64_t delay = (uint64_t)delays_s[step < DELAYS ? step : DELAYS - 1] * 1000;

    delay = at_most(delay, backoff_longest_ms(lifetime_ms));
    delay = jittered(delay, random);
    return backoff_at_least(delay, at_most(retry_after_ms, BACKOFF_OBEYED_MS));
}

uint64_t backoff_first_ms(uint32_t failures, uint64_t random)
{
    /* Each is at most about the sum of those before it. */
    static const uint32_t first_s[] = {5, 10, 15, 30, 60, 60, 120, 300, 600, 900, 1800};
    enum { FIRST = sizeof first_s / sizeof *first_s };
    uint32_t step = failures == 0 ? 0 : failures - 1;

    return jittered((uint64_t)first_s[step < FIRST ? step : FIRST - 1] * 1000, random);
}

bool backoff_over(uint64_t next_wall_ms, uint64_t now_wall_ms)
{
    /* The longest delay of backoff_delay_ms(). */
    const uint64_t longest =
        BACKOFF_DAY_MS + (uint64_t)BACKOFF_DAY_MS * BACKOFF_JITTER_PERMILLE / 1000;

    return now_wall_ms >= next_wall_ms || next_wall_ms - now_wall_ms > longest;
}
