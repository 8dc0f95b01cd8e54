/* Which backend gets the next exchange. Pure: no I/O, no table, no clock. The caller fills in
 * what it knows (worker/upstream/backends.c) and acts on the result. */
#ifndef WORKER_BALANCE_H
#define WORKER_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

/* Best to worst. A backend is chosen from the best class that is not empty. */
enum balance_class {
    BALANCE_GOOD,     /* healthy and ready */
    BALANCE_AVOID,    /* healthy by verdict, but a connect just failed; or suspect */
    BALANCE_DRAINING, /* admin says drain: only when nothing else is left */
    BALANCE_DOWN,     /* fail-open: the least bad rather than nowhere */
    BALANCE_NEVER,    /* in maintenance, no address, already tried */
};

struct balance {
    uint8_t class;    /* enum balance_class; input */
    uint8_t standing; /* the class without regard to this choice; input of balance_even */
    uint8_t slow;    /* 1: slow start or the score reduces its weight; input of balance_least */
    uint32_t weight; /* > 0; input */
    uint32_t cap;    /* of in_flight, UINT32_MAX: none; input of balance_weighted */
    uint32_t in_flight; /* over all workers; input of balance_least */
    int64_t current;    /* state of the round robin; starts at 0 */
    uint64_t credit;    /* state of a slow one: its due share of the sum of all weights */
};

/* The weight of a candidate, > 0: the configured one (1 to 1000), scaled so that a share of it
 * is still a whole number; `permille` of it (health.weight_permille, slow start). */
uint32_t balance_weight(uint32_t configured, uint32_t permille);

/* The best class among the n candidates. */
enum balance_class balance_best(const struct balance *candidates, uint32_t n);

/* Smooth weighted round robin within class `of`: index, or -1 when it is empty. With equal
 * weights each gets its turn; with 5:1:1 the order is a a b a c a a. */
int balance_round(struct balance *candidates, uint32_t n, enum balance_class of);

/* Least of in_flight[i] among the candidates of standing `of`, whatever they weigh; equals take
 * turns, from *turn on. Index, or -1. It looks at each candidate once: for pools of many
 * backends with equal weights, where it chooses as balance_least() does. */
int balance_even(const struct balance *candidates, const uint32_t *in_flight, uint32_t n,
                 enum balance_class of, uint32_t *turn);

/* As balance_least() chooses among the candidates of standing `of`, for a pool in which none of
 * these has a reduced weight: by in_flight[i], without those that are at their cap. Index, or
 * -1: all are. */
int balance_weighted(struct balance *candidates, const uint32_t *in_flight, uint32_t n,
                     enum balance_class of);

/* Least in_flight / weight within class `of`; equals, so all that are idle, take turns by
 * balance_round(). Index, or -1 when there is none.
 *
 * A backend with a reduced weight is idle more often than others, which must not draw requests
 * to it. While there are others it gets its turn by weight alone, and not when it is the more
 * loaded one. So its share is that of its weight at any load. */
int balance_least(struct balance *candidates, uint32_t n, enum balance_class of);

#endif
