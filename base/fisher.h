/* Fisher's exact test, one-sided: is a share larger than another one by chance? Pure. */
#ifndef BASE_FISHER_H
#define BASE_FISHER_H

#include <stdint.h>

/* The probability that at least `bad` of the `bad + others_bad` bad ones are among the `all` of
 * one side by chance, where the other side has `others_all`. bad <= all, others_bad <=
 * others_all. */
double fisher_chance(uint64_t bad, uint64_t all, uint64_t others_bad, uint64_t others_all);

#endif
