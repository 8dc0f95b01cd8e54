/* worker/balance.c: round robin by weight, least in flight, classes. */
#include "worker/balance.h"
#include "t/unit/tap.h"

static void round_robin(void)
{
    struct balance b[3] = {{.weight = 5}, {.weight = 1}, {.weight = 1}};
    const int want[7] = {0, 0, 1, 0, 2, 0, 0};
    int count[3] = {0};

    for (int i = 0; i < 7; i++)
        is_int(balance_round(b, 3, BALANCE_GOOD), want[i], "5:1:1, turn %d", i);
    for (int i = 0; i < 700; i++)
        count[balance_round(b, 3, BALANCE_GOOD)]++;
    is_int(count[0], 500, "5 of 7");
    is_int(count[1], 100, "1 of 7");
    is_int(count[2], 100, "1 of 7");
}

static void least(void)
{
    struct balance b[3] = {{.weight = 1, .in_flight = 2},
                           {.weight = 1, .in_flight = 1},
                           {.weight = 4, .in_flight = 6}};

    is_int(balance_least(b, 3, BALANCE_GOOD, 0), 2, "(6+1)/4 is less than (1+1)/1");
    b[2].in_flight = 9;
    is_int(balance_least(b, 3, BALANCE_GOOD, 0), 1, "(1+1)/1 is less than (9+1)/4");
    b[0].in_flight = b[1].in_flight = 0;
    is_int(balance_least(b, 3, BALANCE_GOOD, 0), 0, "of equals the first at the turn");
    is_int(balance_least(b, 3, BALANCE_GOOD, 1), 1, "the turn moves on");
    b[0].in_flight = b[1].in_flight = UINT32_MAX - 1;
    b[2].in_flight = 0;
    is_int(balance_least(b, 3, BALANCE_GOOD, 0), 2, "no overflow at the ends of the range");
}

static void classes(void)
{
    struct balance b[3] = {{.weight = 1, .class = BALANCE_DOWN},
                           {.weight = 1, .class = BALANCE_NEVER},
                           {.weight = 1, .class = BALANCE_AVOID}};

    is_int(balance_best(b, 3), BALANCE_AVOID, "avoided is better than down");
    is_int(balance_least(b, 3, BALANCE_AVOID, 0), 2, "only from the asked class");
    is_int(balance_round(b, 3, BALANCE_GOOD), -1, "none in that class");
    b[2].class = BALANCE_NEVER;
    is_int(balance_best(b, 3), BALANCE_DOWN, "down is better than nowhere");
    b[0].class = BALANCE_NEVER;
    is_int(balance_best(b, 3), BALANCE_NEVER, "nothing left");
}

int main(void)
{
    round_robin();
    least();
    classes();
    return done();
}
