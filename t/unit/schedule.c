/* When healthd probes. */
#include "healthd/schedule.h"
#include "base/conf/conf.h"
#include "t/unit/tap.h"

static const struct conf_check check = {
    .interval_ms = 5000,
    .fast_interval_ms = 1000,
    .down_interval_ms = 2000,
    .rise = 2,
    .fall = 3,
    .jitter_percent = 10,
};

struct span {
    uint32_t least, most;
};

/* The extremes of many draws. */
static struct span draw_where(bool alone, const struct conf_check *c, enum health_state state,
                              uint16_t rise, uint16_t fall, bool steady)
{
    const struct health_row v = {.state = (uint8_t)state, .rise = rise, .fall = fall};
    struct span span = {UINT32_MAX, 0};
    unsigned s = 42;

    for (int i = 0; i < 10000; i++) {
        uint32_t ms = schedule_next_ms(&s, c, &v, steady, alone);

        span.least = ms < span.least ? ms : span.least;
        span.most = ms > span.most ? ms : span.most;
    }
    return span;
}

static struct span draw(const struct conf_check *c, enum health_state state, uint16_t rise,
                        uint16_t fall, bool steady)
{
    return draw_where(false, c, state, rise, fall, steady);
}

static void within(struct span got, uint32_t least, uint32_t most, const char *name)
{
    ok(got.least == least && got.most == most, "%s: %u..%u ms", name, got.least, got.most);
}

static void test_first(void)
{
    is_int(schedule_first_ms(0, 1), 0, "a lone backend is probed at once");
    is_int(schedule_first_ms(2, 3), 2 * SCHEDULE_STEP_MS, "three follow closely");
    is_int(schedule_first_ms(0, 200), 0, "the first of 200 at once");
    ok(schedule_first_ms(199, 200) < SCHEDULE_SPREAD_MS, "the last of 200 within the spread");
    ok(schedule_first_ms(100, 200) > schedule_first_ms(99, 200), "one after the other");
}

static void test_intervals(void)
{
    struct conf_check odd = check;

    within(draw(&check, HEALTH_UP, 2, 0, true), 4500, 5500, "up");
    within(draw(&check, HEALTH_DEGRADED, 0, 0, true), 4500, 5500, "degraded");
    within(draw(&check, HEALTH_DEGRADED, 1, 0, true), 900, 1100, "degraded, half-way up");
    within(draw(&check, HEALTH_SUSPECT, 0, 1, true), 45, 55, "the first failure is repeated");
    within(draw(&check, HEALTH_SUSPECT, 0, 2, true), 900, 1100, "suspect");
    within(draw(&check, HEALTH_SUSPECT, 0, 0, true), 900, 1100, "suspect by a sign");
    within(draw(&check, HEALTH_DOWN, 0, 3, true), 1800, 2200, "down");
    within(draw(&check, HEALTH_DOWN, 1, 0, true), 900, 1100, "down, half-way up");
    within(draw_where(true, &check, HEALTH_DOWN, 0, 3, true), 900, 1100,
           "down, and nobody else serves");
    within(draw_where(true, &check, HEALTH_UP, 2, 0, true), 4500, 5500,
           "up, and nobody else serves: as ever");
    within(draw(&check, HEALTH_UNKNOWN, 0, 0, true), 900, 1100, "unknown");
    within(draw(&check, HEALTH_UP, 1, 0, false), 1, 5000, "after the first pass: anywhere");

    odd.jitter_percent = 0;
    within(draw(&odd, HEALTH_UP, 2, 0, true), 5000, 5000, "no jitter");
    odd.interval_ms = 300;
    within(draw(&odd, HEALTH_SUSPECT, 0, 2, true), 300, 300, "never slower than usual");
    odd.down_interval_ms = 500;
    within(draw_where(true, &odd, HEALTH_DOWN, 0, 3, true), 300, 300,
           "down and alone: the shorter of both");
    odd.down_interval_ms = 100;
    within(draw_where(true, &odd, HEALTH_DOWN, 0, 3, true), 100, 100,
           "which may be that of one that is down");
    odd.fast_interval_ms = 20;
    within(draw(&odd, HEALTH_SUSPECT, 0, 1, true), 20, 20, "a fast interval below the repeat");
}

static void test_seed(void)
{
    const struct health_row up = {.state = HEALTH_UP};
    unsigned a = 7, b = 7, c = 0;
    int same = 0, differ = 0;

    for (int i = 0; i < 100; i++) {
        uint32_t x = schedule_next_ms(&a, &check, &up, true, false);

        same += x == schedule_next_ms(&b, &check, &up, true, false);
        differ += x != schedule_next_ms(&c, &check, &up, true, false);
    }
    is_int(same, 100, "the same seed gives the same times");
    ok(differ > 50, "another seed, 0 even, gives others");
}

int main(void)
{
    test_first();
    test_intervals();
    test_seed();
    return done();
}
