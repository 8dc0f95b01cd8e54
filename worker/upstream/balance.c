#include "worker/upstream/balance.h"

#include <stddef.h>

enum { SCALE = 1000 }; /* a twentieth of the least weight is 50 */

uint32_t balance_weight(uint32_t configured, uint32_t permille)
{
    uint64_t weight = (uint64_t)configured * SCALE * permille / 1000;

    return weight ? (uint32_t)weight : 1;
}

enum balance_class balance_best(const struct balance *candidates, uint32_t n)
{
    enum balance_class best = BALANCE_NEVER;

    for (uint32_t i = 0; i < n; i++)
        if (candidates[i].class < best)
            best = (enum balance_class)candidates[i].class;
    return best;
}

int balance_round(struct balance *candidates, uint32_t n, enum balance_class of)
{
    int64_t total = 0;
    int best = -1;

    for (uint32_t i = 0; i < n; i++) {
        struct balance *b = &candidates[i];

        if (b->class != of)
            continue;
        b->current += b->weight;
        total += b->weight;
        if (best < 0 || b->current > candidates[best].current)
            best = (int)i;
    }
    if (best >= 0)
        candidates[best].current -= total;
    return best;
}

int balance_even(const struct balance *candidates, const uint32_t *in_flight, uint32_t n,
                 enum balance_class of, uint32_t *turn)
{
    uint32_t start = *turn < n ? *turn : 0;
    uint64_t least = UINT64_MAX;
    uint32_t best = n;

    /* Nobody has less than one that is idle. */
    for (uint32_t i = start; i < n && least; i++)
        if (in_flight[i] < least && candidates[i].standing == of) {
            least = in_flight[i];
            best = i;
        }
    for (uint32_t i = 0; i < start && least; i++)
        if (in_flight[i] < least && candidates[i].standing == of) {
            least = in_flight[i];
            best = i;
        }
    if (best == n)
        return -1;
    *turn = best + 1;
    return (int)best;
}

/* Smooth round robin among those whose load / weight is this. */
static int round_of_load(struct balance *candidates, const uint32_t *in_flight, uint32_t n,
                         enum balance_class of, uint64_t load, uint64_t weight)
{
    int64_t total = 0, most = INT64_MIN;
    uint32_t best = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct balance *b = &candidates[i];

        if (in_flight[i] * weight != load * b->weight || b->standing != of ||
            in_flight[i] >= b->cap)
            continue;
        b->current += b->weight;
        total += b->weight;
        if (b->current > most) {
            most = b->current;
            best = i;
        }
    }
    candidates[best].current -= total;
    return (int)best;
}

/* The same among the idle ones, which at low load are most: in one pass. -1: none is. */
static int round_of_idle(struct balance *candidates, const uint32_t *in_flight, uint32_t n,
                         enum balance_class of)
{
    int64_t total = 0, most = INT64_MIN;
    struct balance *best = NULL;

    for (uint32_t i = 0; i < n; i++) {
        struct balance *b = &candidates[i];

        if (in_flight[i] || b->standing != of || !b->cap)
            continue;
        total += b->weight;
        b->current += b->weight;
        if (b->current > most) {
            most = b->current;
            best = b;
        }
    }
    if (!best)
        return -1;
    best->current -= total;
    return (int)(best - candidates);
}

int balance_weighted(struct balance *candidates, const uint32_t *in_flight, uint32_t n,
                     enum balance_class of)
{
    uint64_t load = 1, weight = 0; /* of the best one: more than any at first */
    bool equals = false;
    int best = round_of_idle(candidates, in_flight, n, of);

    if (best >= 0)
        return best;
    for (uint32_t i = 0; i < n; i++) {
        const struct balance *b = &candidates[i];
        uint64_t its = in_flight[i] * weight, least = load * b->weight;

        if (its > least || b->standing != of || in_flight[i] >= b->cap)
            continue;
        equals = its == least;
        if (equals)
            continue;
        best = (int)i;
        load = in_flight[i];
        weight = b->weight;
    }
    return equals ? round_of_load(candidates, in_flight, n, of, load, weight) : best;
}

/* a/b < c/d without division: a*d < c*b */
static bool is_less(const struct balance *a, const struct balance *b)
{
    return (uint64_t)a->in_flight * b->weight < (uint64_t)b->in_flight * a->weight;
}

/* Round robin among those that are as little loaded as *least. */
static int round_of_equals(struct balance *candidates, uint32_t n, enum balance_class of,
                           bool slow_too, const struct balance *least)
{
    int64_t total = 0;
    int best = -1;

    for (uint32_t i = 0; i < n; i++) {
        struct balance *b = &candidates[i];

        if (b->class != of || (b->slow && !slow_too) || is_less(least, b))
            continue;
        b->current += b->weight;
        total += b->weight;
        if (best < 0 || b->current > candidates[best].current)
            best = (int)i;
    }
    candidates[best].current -= total;
    return best;
}

static int least_of(struct balance *candidates, uint32_t n, enum balance_class of,
                    bool slow_too)
{
    int best = -1;
    bool equals = false;

    for (uint32_t i = 0; i < n; i++) {
        const struct balance *b = &candidates[i];

        if (b->class != of || (b->slow && !slow_too))
            continue;
        if (best < 0 || is_less(b, &candidates[best])) {
            best = (int)i;
            equals = false;
        } else {
            equals |= !is_less(&candidates[best], b);
        }
    }
    return equals ? round_of_equals(candidates, n, of, slow_too, &candidates[best]) : best;
}

/* The slow one whose turn it is, by its weight among all; -1: none. */
static int slow_turn(struct balance *candidates, uint32_t n, enum balance_class of,
                     uint64_t total)
{
    int turn = -1;

    for (uint32_t i = 0; i < n; i++) {
        struct balance *b = &candidates[i];

        if (b->class != of || !b->slow)
            continue;
        b->credit += b->weight;
        if (b->credit >= total && (turn < 0 || b->credit > candidates[turn].credit))
            turn = (int)i;
    }
    if (turn >= 0)
        candidates[turn].credit -= total;
    return turn;
}

int balance_least(struct balance *candidates, uint32_t n, enum balance_class of)
{
    bool slow = false, others = false;
    uint64_t total = 0;
    int turn, best;

    for (uint32_t i = 0; i < n; i++) {
        if (candidates[i].class != of)
            continue;
        slow |= candidates[i].slow;
        others |= !candidates[i].slow;
        total += candidates[i].weight;
    }
    if (!slow || !others)
        return least_of(candidates, n, of, true);
    turn = slow_turn(candidates, n, of, total);
    best = least_of(candidates, n, of, false);
    if (turn < 0)
        return best;
    /* It gets its turn unless it is more loaded than the best one would be with one more. */
    struct balance next = candidates[best];
    next.in_flight += next.in_flight < UINT32_MAX;
    return is_less(&next, &candidates[turn]) ? best : turn;
}
