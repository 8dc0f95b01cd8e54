/* Fisher's exact test, and sums over windows of time. */
#include "base/fisher.h"

#include <math.h>
#include <stdbool.h>

#include "base/window.h"
#include "t/unit/tap.h"

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9 * b;
}

static void test_chance(void)
{
    ok(near(fisher_chance(4, 4, 0, 8), 1 / 495.0),
       "all four of twelve at one of three: 1 in 495");
    ok(near(fisher_chance(1, 2, 1, 2), 5 / 6.0), "one of two, and the other one too: 5 in 6");
    ok(near(fisher_chance(0, 3, 2, 7), 1), "none: certain");
    ok(near(fisher_chance(3, 3, 7, 7), 1), "all bad everywhere: certain");
    ok(fisher_chance(500, 1000, 1, 1000) < 1e-100, "large numbers: hardly");
}

static void test_window(void)
{
    const uint64_t none[WINDOW_COUNTERS] = {0}, some[WINDOW_COUNTERS] = {3, [7] = 1};
    struct window w = {0};
    uint64_t now = 123456000;

    window_add(&w, 1000, some, now);
    window_add(&w, 1000, some, now + 2999);
    is_int(w.sum[0], 6, "all that came within the steps is summed");
    is_int(w.sum[7], 2, "  each counter of its own");
    window_add(&w, 1000, none, now + 4000);
    is_int(w.sum[0], 3, "the first has left the window");
    window_add(&w, 1000, some, now - 50000);
    is_int(w.sum[0], 6, "a clock that went back: it is counted now");
    window_add(&w, 1000, none, now + 600000);
    is_int(w.sum[0], 0, "much later: nothing is left");
    window_add(&w, 1000, some, now + 600000);
    window_clear(&w);
    window_add(&w, 1000, some, now + 600000);
    is_int(w.sum[0], 3, "cleared: it begins anew");
}

int main(void)
{
    test_chance();
    test_window();
    return done();
}
