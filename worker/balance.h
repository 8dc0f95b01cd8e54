/* Which backend gets the next exchange. Pure: no I/O, no table, no clock; the
 * caller fills in what it knows (worker/backends.c) and acts on the answer. */
#ifndef WORKER_BALANCE_H
#define WORKER_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

/* From best to worst: a backend is taken from the best class that has one. */
enum balance_class {
    BALANCE_GOOD,     /* well and ready */
    BALANCE_AVOID,    /* well by verdict, but we just failed to connect, or suspect */
    BALANCE_DRAINING, /* admin says drain: only when nothing else is left */
    BALANCE_DOWN,     /* fail-open: the least bad rather than nowhere */
    BALANCE_NEVER,    /* maint, no address, tried already */
};

struct balance {
    uint8_t class;      /* enum balance_class; input */
    uint8_t slow;       /* 1: slow start or blame reduces its weight; input of balance_least */
    uint32_t weight;    /* > 0; input */
    uint32_t in_flight; /* over all workers; input of balance_least */
    int64_t current;    /* state of the round robin; starts at 0 */
    uint64_t credit;    /* state of a slow one: what it is owed of the sum of all weights */
};

/* The weight of a candidate, > 0: that of the configuration (1 to 1000), scaled so that a
 * share of it is still a number; a quarter of it when saturated; `permille` of it in slow
 * start, or of one that is to blame (worker/blame.h), else 1000. */
uint32_t balance_weight(uint32_t configured, bool saturated, uint32_t permille);

/* The best class among the n candidates. */
enum balance_class balance_best(const struct balance *candidates, uint32_t n);

/* Smooth weighted round robin within class `of`: index, or -1 when none. With
 * equal weights it gives each in turn; with 5:1:1 it gives a a b a c a a. */
int balance_round(struct balance *candidates, uint32_t n, enum balance_class of);

/* Least in_flight / weight within class `of`; equals, so all that are idle, have it by
 * balance_round(). Index, or -1 when none.
 *
 * One with a reduced weight is idle more often than others are, and that must not draw requests
 * to it: while there are others it has its turn by weight alone, and not when it is the more
 * loaded one. So its share is its weight's at any load. */
int balance_least(struct balance *candidates, uint32_t n, enum balance_class of);

#endif
