#include "base/fisher.h"

#include <math.h>

/* Logarithm of the number of ways to choose k of n. */
static double ways(uint64_t n, uint64_t k)
{
    int sign;

    return lgamma_r((double)n + 1, &sign) - lgamma_r((double)k + 1, &sign) -
           lgamma_r((double)(n - k) + 1, &sign);
}

double fisher_chance(uint64_t bad, uint64_t all, uint64_t others_bad, uint64_t others_all)
{
    uint64_t sum_bad = bad + others_bad;
    double tail = 0, p;

    /* Exactly `bad` of them here, and more than that: each term from the one before. */
    p = exp(ways(all, bad) + ways(others_all, others_bad) - ways(all + others_all, sum_bad));
    for (uint64_t x = bad; x <= all && x <= sum_bad && p > tail * 1e-9; x++) {
        tail += p;
        p *= (double)(sum_bad - x) * (double)(all - x) /
             ((double)(x + 1) * ((double)(others_all + x + 1) - (double)sum_bad));
    }
    return tail;
}
