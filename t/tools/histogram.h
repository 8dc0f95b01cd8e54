/* Latencies in buckets of 1/64 of a power of two microseconds: within 1.6 %. For the load
 * generators. */
#ifndef T_TOOLS_HISTOGRAM_H
#define T_TOOLS_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_BITS = 6, HISTOGRAM_BUCKETS = 40 << HISTOGRAM_BITS };

struct histogram { /* zeroed: empty */
    uint64_t bucket[HISTOGRAM_BUCKETS], n, max;
};

static inline size_t histogram_index(uint64_t us)
{
    unsigned top = us ? 63u - (unsigned)__builtin_clzll(us) : 0;
    size_t i;

    if (top < HISTOGRAM_BITS)
        return us;
    i = ((size_t)(top - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS) +
        (us >> (top - HISTOGRAM_BITS)) - (1u << HISTOGRAM_BITS);
    return i < HISTOGRAM_BUCKETS ? i : HISTOGRAM_BUCKETS - 1;
}

/* The least value of a bucket. */
static inline uint64_t histogram_value(size_t i)
{
    unsigned top = (unsigned)(i >> HISTOGRAM_BITS);
    uint64_t step = i & ((1u << HISTOGRAM_BITS) - 1);

    return top == 0 ? i : (step + (1u << HISTOGRAM_BITS)) << (top - 1);
}

static inline void histogram_add(struct histogram *h, uint64_t us)
{
    h->bucket[histogram_index(us)]++;
    h->n++;
    if (us > h->max)
        h->max = us;
}

/* p: 0 to 1. In microseconds. */
static inline uint64_t histogram_percentile(const struct histogram *h, double p)
{
    uint64_t want = (uint64_t)(p * (double)h->n), sum = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        if ((sum += h->bucket[i]) > want)
            return histogram_value(i);
    return h->max;
}

#endif
