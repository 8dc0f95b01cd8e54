/* Which backend gets the next exchange. Pure: no I/O, no table, no clock; the
 * caller fills in what it knows (worker/backends.c) and acts on the answer. */
#ifndef WORKER_BALANCE_H
#define WORKER_BALANCE_H

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
    uint32_t weight;    /* > 0; input */
    uint32_t in_flight; /* over all workers; input of balance_least */
    int64_t current;    /* state of balance_round; starts at 0 */
};

/* The best class among the n candidates. */
enum balance_class balance_best(const struct balance *candidates, uint32_t n);

/* Smooth weighted round robin within class `of`: index, or -1 when none. With
 * equal weights it gives each in turn; with 5:1:1 it gives a a b a c a a. */
int balance_round(struct balance *candidates, uint32_t n, enum balance_class of);

/* Least (in_flight + 1) / weight within class `of`; of equals the first one at
 * or after `turn`, which the caller moves on. Index, or -1 when none. */
int balance_least(const struct balance *candidates, uint32_t n, enum balance_class of,
                  uint32_t turn);

#endif
