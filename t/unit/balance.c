/* worker/upstream/balance.c: round robin by weight, least in flight, classes. */
#include "worker/upstream/balance.h"

#include <stdlib.h>

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
                           {.weight = 4, .in_flight = 3}};
    int count[3] = {0};

    is_int(balance_least(b, 3, BALANCE_GOOD), 2, "3/4 is less than 1/1");
    b[2].in_flight = 6;
    is_int(balance_least(b, 3, BALANCE_GOOD), 1, "1/1 is less than 6/4");
    b[0].in_flight = b[1].in_flight = UINT32_MAX - 1;
    b[2].in_flight = 1;
    is_int(balance_least(b, 3, BALANCE_GOOD), 2, "no overflow at the ends of the range");

    b[0].in_flight = b[1].in_flight = b[2].in_flight = 0;
    for (int i = 0; i < 600; i++)
        count[balance_least(b, 3, BALANCE_GOOD)]++;
    is_int(count[0], 100, "idle ones have it in turn: 1 of 6");
    is_int(count[1], 100, "1 of 6");
    is_int(count[2], 400, "4 of 6");
    b[2].in_flight = 1;
    int first = balance_least(b, 3, BALANCE_GOOD), second = balance_least(b, 3, BALANCE_GOOD);
    ok(first + second == 1, "the two that are equal, in turn");
}

/* Requests that come one after the other, `busy` of them running at any time, each of which
 * ends after all that came before it. Permille that went to the last of the three. */
static unsigned share(struct balance b[3], int busy)
{
    static int running[64];
    int at = 0, n[3] = {0};

    for (int i = 0; i < 3; i++)
        b[i].in_flight = 0;
    for (int i = 0; i < 21000; i++) {
        if (i >= busy)
            b[running[at]].in_flight--;
        running[at] = balance_least(b, 3, BALANCE_GOOD);
        b[running[at]].in_flight++;
        n[running[at]]++;
        at = (at + 1) % busy;
    }
    ok(abs(n[0] - n[1]) < 210, "the other two are even, %d busy", busy);
    return (unsigned)n[2] / 21;
}

static void slow_start(void)
{
    static const int busy[] = {1, 2, 3, 5, 8, 20, 60};
    struct balance b[3] = {{.weight = 1000}, {.weight = 1000}, {.weight = 100, .slow = 1}};
    unsigned permille;

    for (size_t i = 0; i < sizeof busy / sizeof *busy; i++) {
        permille = share(b, busy[i]);
        ok(permille >= 30 && permille <= 60, "100 of 2100 at the begin, %d busy: %u", busy[i],
           permille);
    }
    b[2].weight = 500;
    for (size_t i = 0; i < sizeof busy / sizeof *busy; i++) {
        permille = share(b, busy[i]);
        ok(permille >= 150 && permille <= 230, "500 of 2500 half-way, %d busy: %u", busy[i],
           permille);
    }
    b[0].slow = b[1].slow = 1;
    b[0].weight = b[1].weight = b[2].weight = 100;
    permille = share(b, 5);
    ok(permille > 320 && permille < 345, "all are slow: none is: %u", permille);
    b[0].class = b[1].class = BALANCE_NEVER;
    is_int(balance_least(b, 3, BALANCE_GOOD), 2, "the only one has everything");
}

static void weights(void)
{
    struct balance b[3] = {{.slow = 1}, {.slow = 1}, {.slow = 1}};
    unsigned permille;

    is_int(balance_weight(1, 1000), 1000, "a weight of one");
    is_int(balance_weight(1, 250), 250, "saturated: a quarter");
    is_int(balance_weight(1, 100), 100, "slow start: a tenth");
    is_int(balance_weight(1, 25), 25, "both");
    is_int(balance_weight(1000, 1000), 1000000, "the greatest");
    is_int(balance_weight(1, 0), 1, "never none");
    for (int i = 0; i < 3; i++)
        b[i].weight = balance_weight(1, 25);
    permille = share(b, 8);
    ok(permille > 320 && permille < 345, "all degraded and in slow start: even, %u", permille);
}

static void classes(void)
{
    struct balance b[3] = {{.weight = 1, .class = BALANCE_DOWN},
                           {.weight = 1, .class = BALANCE_NEVER},
                           {.weight = 1, .class = BALANCE_AVOID}};

    is_int(balance_best(b, 3), BALANCE_AVOID, "avoided is better than down");
    is_int(balance_least(b, 3, BALANCE_AVOID), 2, "only from the asked class");
    is_int(balance_round(b, 3, BALANCE_GOOD), -1, "none in that class");
    b[2].class = BALANCE_NEVER;
    is_int(balance_best(b, 3), BALANCE_DOWN, "down is better than nowhere");
    b[0].class = BALANCE_NEVER;
    is_int(balance_best(b, 3), BALANCE_NEVER, "nothing left");
}

/* What balance_even() chooses could have been chosen by balance_least(), whatever the loads
 * are. */
static void even(void)
{
    enum { MANY = 200 };
    static struct balance b[MANY];
    static uint32_t in_flight[MANY], count[MANY];
    uint32_t turn = 0;
    int chosen, wrong = 0, uneven = 0;

    for (int i = 0; i < MANY; i++)
        b[i] = (struct balance){.weight = 1000,
                                .standing = i % 7 ? BALANCE_GOOD : BALANCE_DOWN,
                                .class = i % 7 ? BALANCE_GOOD : BALANCE_DOWN};
    srand(1);
    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < MANY; i++)
            b[i].in_flight = in_flight[i] = (uint32_t)(rand() % 5 + round % 3);
        chosen = balance_even(b, in_flight, MANY, BALANCE_GOOD, &turn);
        wrong += chosen < 0 || b[chosen].class != BALANCE_GOOD ||
                 in_flight[chosen] != in_flight[balance_least(b, MANY, BALANCE_GOOD)];
    }
    is_int(wrong, 0, "even: always a good one of the least loaded");
    for (int i = 0; i < MANY; i++)
        in_flight[i] = 0;
    for (int i = 0; i < MANY * 12; i++)
        count[balance_even(b, in_flight, MANY, BALANCE_GOOD, &turn)]++;
    for (int i = 0; i < MANY; i++)
        uneven += i % 7 ? count[i] < 12 : count[i] != 0;
    is_int(uneven, 0, "idle ones take turns");
    is_int(balance_even(b, in_flight, 1, BALANCE_GOOD, &turn), -1, "none of that class");
    turn = UINT32_MAX;
    is_int(balance_even(b, in_flight, MANY, BALANCE_GOOD, &turn), 1, "any turn is survived");
}

/* balance_weighted() is balance_least() among the good ones that are not at their cap. */
static void weighted(void)
{
    enum { MANY = 37 };
    static struct balance a[MANY], b[MANY];
    static uint32_t in_flight[MANY];
    int chosen, least, wrong = 0;

    srand(2);
    for (int round = 0; round < 20000; round++) {
        for (int i = 0; i < MANY; i++) {
            struct balance *c = &a[i];

            if (round % 1000 == 0)
                *c = b[i] =
                    (struct balance){.weight = balance_weight(1 + (uint32_t)rand() % 4, 1000),
                                     .cap = rand() % 2 ? UINT32_MAX : (uint32_t)rand() % 4,
                                     .standing = rand() % 5 ? BALANCE_GOOD : BALANCE_DRAINING};
            c->in_flight = in_flight[i] = (uint32_t)(rand() % 4 * (round % 3));
            c->class = c->in_flight >= c->cap ? BALANCE_NEVER : c->standing;
        }
        least = balance_least(a, MANY, BALANCE_GOOD);
        chosen = balance_weighted(b, in_flight, MANY, BALANCE_GOOD);
        wrong += chosen != least;
        for (int i = 0; i < MANY; i++)
            wrong += a[i].current != b[i].current;
    }
    is_int(wrong, 0, "weighted: always what balance_least() chooses");
    for (int i = 0; i < MANY; i++) {
        b[i].cap = 2;
        in_flight[i] = 2;
    }
    is_int(balance_weighted(b, in_flight, MANY, BALANCE_GOOD), -1,
           "  none, if all are at their cap");
    for (int i = 0; i < MANY; i++) {
        b[i].cap = UINT32_MAX;
        b[i].weight = balance_weight(1000, 1000);
        in_flight[i] = UINT32_MAX - 1;
        b[i].standing = BALANCE_GOOD;
    }
    in_flight[7] = UINT32_MAX - 2;
    is_int(balance_weighted(b, in_flight, MANY, BALANCE_GOOD), 7,
           "  no overflow at the ends of the range");
}

int main(void)
{
    even();
    weighted();
    round_robin();
    least();
    slow_start();
    weights();
    classes();
    return done();
}
