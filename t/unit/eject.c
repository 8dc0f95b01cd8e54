/* Ejection: the window, failures in a row, doubling. */
#include "healthd/outlier/eject.h"
#include "base/conf/conf.h"
#include "t/unit/tap.h"

static const struct conf_eject rules = {
    .failures = 5, .window_ms = 5000, .time_ms = 10000, .max_ms = 300000};

static struct eject e;
static uint64_t now;
static char text[TABLE_REASON];

static void begin(void)
{
    e = (struct eject){0};
    now = 123456789; /* no fresh boot */
}

static void feed(uint64_t hard, uint64_t good, uint64_t gateway)
{
    eject_feed(&e, &rules, &(struct eject_counts){hard, good, gateway}, 0, now);
}

static bool due(void)
{
    text[0] = '\0';
    return eject_due(&e, &rules, now, text);
}

static void test_in_row(void)
{
    begin();
    ok(!due(), "nothing seen: stays");
    for (int i = 0; i < 4; i++)
        feed(1, 0, 0);
    ok(!due(), "four failures in a row: stays");
    feed(1, 0, 0);
    ok(due(), "five: goes");
    is_str(text, "5 requests failed in a row", "  and says why");

    begin();
    for (int i = 0; i < 2; i++, now += 2500)
        feed(1, 0, 0);
    ok(!due(), "two, over five seconds: stays");
    feed(1, 0, 0);
    ok(due(), "three: goes");
    is_str(text, "3 requests failed in a row, over 5.0 s", "  and says why");
    begin();
    feed(3, 0, 0);
    now += 2400;
    ok(!due(), "three, not yet over half of the window: stays");
    begin();
    feed(2, 0, 0);
    now += 60000;
    feed(0, 1, 0);
    feed(3, 0, 0);
    ok(!due(), "a new row begins anew");

    begin();
    feed(4, 0, 0);
    feed(0, 1, 0);
    feed(1, 0, 0);
    now += 60000;
    ok(!due(), "a good one in between breaks the row");
    feed(7, 0, 0);
    ok(due(), "many at once");
    eject_clear(&e);
    ok(!due(), "cleared: nothing counts any more");
    feed(4, 0, 0);
    ok(!due(), "  and it starts from none");
}

static void test_one_worker(void)
{
    struct eject_counts one_of_each = {1, 1, 0};

    begin();
    for (int i = 0; i < 5; i++)
        eject_feed(&e, &rules, &one_of_each, (uint64_t)i + 1, now);
    ok(due(), "five in a row at one worker while others succeed: goes");
    begin();
    eject_feed(&e, &rules, &one_of_each, 7, now);
    ok(!due(), "what a worker counted long ago does not count with one failure now");
    begin();
    for (int i = 0; i < 6; i++)
        eject_feed(&e, &rules, &one_of_each, 1, now);
    ok(!due(), "every second one fails: stays");
}

static void test_window(void)
{
    begin();
    for (int i = 0; i < 6; i++, now += 300) {
        feed(2, 0, 0);
        feed(0, 1, 0);
    }
    ok(due(), "two of three fail: goes");
    is_str(text, "12 of 18 requests failed within 5 s", "  and says how many");
    ok(eject_window(&e, &rules, now).good == 6, "the window is summed");
    now += 5500;
    ok(!due(), "later, with nothing new: they have left the window");
    is_int(eject_window(&e, &rules, now).hard, 0, "  all of them");
    begin();
    feed(2, 0, 0);
    feed(0, 1, 0);
    feed(2, 0, 0);
    feed(0, 1, 0);
    ok(!due(), "four of six fail: too few to tell");
    begin();
    feed(3, 0, 0);
    feed(0, 100, 0);
    feed(4, 0, 0);
    ok(!due(), "seven of a hundred fail: stays");
    now += 3000;
    feed(0, 1, 0);
    feed(4, 0, 0);
    is_int(eject_window(&e, &rules, now).hard, 11, "three seconds later all count");
    now += 2600;
    is_int(eject_window(&e, &rules, now).hard, 4, "more than five later the first do not");
}

static void test_gateway(void)
{
    struct conf_eject gateway = rules;

    begin();
    feed(0, 10, 10);
    ok(!due(), "502, 503 and 504 do not count");
    gateway.gateway_percent = 80;
    ok(eject_due(&e, &gateway, now, text), "unless a share is configured");
    is_str(text, "10 of 10 responses within 5 s: 502, 503 or 504", "  and says so");
    feed(0, 3, 0);
    ok(!eject_due(&e, &gateway, now, text), "10 of 13 is below 80 %%");
    begin();
    feed(0, 4, 4);
    ok(!eject_due(&e, &gateway, now, text), "four are too few");
}

static void test_off_and_near(void)
{
    struct conf_eject off = rules;

    off.failures = 0;
    begin();
    feed(50, 0, 0);
    ok(!eject_due(&e, &off, now, text), "off: nothing is ever due");
    ok(!eject_near(&e, &off, now), "  nor near");
    begin();
    feed(1, 0, 0);
    ok(!eject_near(&e, &rules, now), "one failure is not near");
    feed(1, 0, 0);
    ok(eject_near(&e, &rules, now), "two in a row are");
    feed(0, 9, 0);
    ok(!eject_near(&e, &rules, now), "until others go well");
}

static void test_time(void)
{
    uint8_t n = 0;

    is_int(eject_time_ms(&rules, 1), 10000, "the first lasts 10 s");
    is_int(eject_time_ms(&rules, 2), 20000, "the second 20 s");
    is_int(eject_time_ms(&rules, 5), 160000, "the fifth 160 s");
    is_int(eject_time_ms(&rules, 6), 300000, "the sixth 300 s, not 320");
    is_int(eject_time_ms(&rules, 255), 300000, "never more");
    for (int i = 0; i < 50; i++)
        n = eject_next(&rules, n);
    is_int(n, 6, "the count ends where the time does");

    const struct conf_eject level = {
        .failures = 5, .window_ms = 5000, .time_ms = 1000, .max_ms = 1000};

    n = 0;
    for (int i = 0; i < 50; i++)
        n = eject_next(&level, n);
    is_int(n, EJECT_HEAL, "but goes as far as a restart needs");
}

int main(void)
{
    test_in_row();
    test_one_worker();
    test_window();
    test_gateway();
    test_off_and_near();
    test_time();
    return done();
}
