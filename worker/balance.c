#include "worker/balance.h"

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

int balance_least(const struct balance *candidates, uint32_t n, enum balance_class of,
                  uint32_t turn)
{
    int best = -1;

    for (uint32_t k = 0; k < n; k++) {
        uint32_t i = (turn + k) % n;
        const struct balance *b = &candidates[i];

        if (b->class != of)
            continue;
        /* a/b < c/d without division: a*d < c*b */
        if (best < 0 || (uint64_t)(b->in_flight + 1) * candidates[best].weight <
                            (uint64_t)(candidates[best].in_flight + 1) * b->weight)
            best = (int)i;
    }
    return best;
}
