/* How long to wait before the n-th try in a row: the first time, doubled each time up to the
 * longest. */
#ifndef BASE_DOUBLING_H
#define BASE_DOUBLING_H

#include <stdint.h>

/* n: 1, 2, ...; 0 counts as 1. Any n is allowed: nothing overflows. */
static inline uint64_t doubling_ms(uint64_t first_ms, uint64_t longest_ms, uint32_t n)
{
    uint64_t ms = first_ms;

    for (uint32_t i = 1; i < n && ms > 0 && ms < longest_ms; i++)
        ms *= 2;
    return ms < longest_ms ? ms : longest_ms;
}

#endif
