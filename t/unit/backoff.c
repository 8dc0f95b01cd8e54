/* Delays after failures: the table, its bounds, and what a month of failing does to it. */
#include "acmed/order/backoff.h"
#include "t/unit/tap.h"

static const uint64_t minute = 60000, hour = 3600000, day = 24 * 3600000;

/* random = swing gives the middle. */
static uint64_t middle(uint32_t failures, uint64_t lifetime)
{
    uint64_t low = backoff_delay_ms(failures, lifetime, 0, 0);

    return low * 10 / 9;
}

static void test_table(void)
{
    static const uint64_t minutes[] = {1, 5, 15, 30, 100, 360, 1440, 1440, 1440};

    for (uint32_t f = 1; f <= 9; f++)
        is_int(middle(f, 0), minutes[f - 1] * minute, "failure %u", f);
    is_int(middle(0, 0), minute, "no failure at all is the first");
    is_int(middle(UINT32_MAX, 0), day, "the last failure that can be counted");
    is_int(backoff_count(UINT32_MAX), UINT32_MAX, "the counter stays there");
    is_int(backoff_count(3), 4, "and counts before");
}

static void test_first(void)
{
    static const uint64_t seconds[] = {5, 10, 15, 30, 60, 60, 120, 300, 600, 900, 1800, 1800};
    uint64_t since = 0;

    for (uint32_t f = 1; f <= 12; f++) {
        uint64_t delay = backoff_first_ms(f, 0) * 10 / 9;

        is_int(delay, seconds[f - 1] * 1000, "failure %u to reach a CA", f);
        ok(since == 0 || delay <= 2 * since, "idle for no longer than twice the time before");
        since += delay;
    }
    is_int(backoff_first_ms(UINT32_MAX, 0) * 10 / 9, 30 * minute, "half an hour, for ever");
    ok(backoff_first_ms(UINT32_MAX, UINT64_MAX) <= 33 * minute, "nothing overflows");
}

static void test_jitter(void)
{
    uint64_t least = UINT64_MAX, most = 0;

    for (uint64_t r = 0; r < 20000; r++) {
        uint64_t delay = backoff_delay_ms(1, 0, 0, r * 7919);

        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
    }
    ok(least >= minute * 9 / 10 && least < minute * 92 / 100, "10 %% less at the least");
    ok(most <= minute * 11 / 10 && most > minute * 108 / 100, "10 %% more at the most");
    ok(backoff_delay_ms(UINT32_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX) <= day * 11 / 10,
       "nothing overflows");
}

static void test_bounds(void)
{
    is_int(middle(9, 160 * hour), 400 * minute, "a certificate of 160 h: every 6 h 40 min");
    is_int(middle(9, hour), 150000, "of an hour: every 2.5 min");
    is_int(middle(9, minute), 2500, "of a minute: 24 tries, too");
    is_int(middle(9, 1000), 1000, "but never more often than once a second");
    is_int(middle(9, 90 * day), day, "of 90 days: daily");
    is_int(backoff_delay_ms(1, 0, 2 * hour, 5), 2 * hour, "Retry-After is a floor");
    ok(backoff_delay_ms(7, 0, 1000, 0) >= day * 9 / 10, "and no ceiling");
    is_int(backoff_delay_ms(1, 0, 3650 * day, 0), day, "ten years are a day");
}

static void test_over(void)
{
    ok(!backoff_over(1000, 999) && backoff_over(1000, 1000) && backoff_over(1000, 2000),
       "over when it is time");
    ok(!backoff_over(100 * day + day, 100 * day), "a day ahead is a wait");
    ok(backoff_over(102 * day, 100 * day), "two days ahead: the clock was set back");
    ok(backoff_over(0, 0), "no wait at all");
}

/* A year of nothing but failures: never less than the first delay between two tries. */
static void test_year(void)
{
    uint32_t failures = 0, tries = 0;
    uint64_t now = 0, least = UINT64_MAX;

    while (now < 365 * day) {
        failures = backoff_count(failures);
        uint64_t delay = backoff_delay_ms(failures, 160 * hour, 0, now * 31 + 7);
        least = delay < least ? delay : least;
        now += delay;
        tries++;
    }
    ok(least >= minute * 9 / 10, "no two tries within a minute");
    ok(tries > 1000 && tries < 1600, "about every 6 h 40 min in the long run: %u", tries);
}

int main(void)
{
    test_table();
    test_first();
    test_jitter();
    test_bounds();
    test_over();
    test_year();
    return done();
}
