/* SipHash-2-4, 64 and 128 bits (Aumasson and Bernstein 2012): a keyed hash that is fast on
 * short input and that nobody can predict without the key. For tables that a peer
 * fills and for tags that a peer sends back.
 *
 * Any process; pure; no allocation. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

enum { SIPHASH_KEY = 16 }; /* bytes */

struct siphash_key {
    uint64_t k[2];
};

/* A key from its bytes, in the byte order of the reference implementation. */
struct siphash_key siphash_key(const uint8_t bytes[SIPHASH_KEY]);

/* Incremental: begin, then add any number of times, then end. */
struct siphash {
    uint64_t v[4];
    uint64_t tail; /* bytes that do not fill a word yet, the first one in the lowest bits */
    uint64_t n;    /* bytes so far */
};

void siphash_begin(struct siphash *, const struct siphash_key *key);
void siphash_add(struct siphash *, const void *bytes, size_t n);
uint64_t siphash_end(struct siphash *);

/* In one call. */
uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t n);

/* 128 bits of the 8 bytes of one word, the lowest first. */
void siphash_word(const struct siphash_key *key, uint64_t word, uint64_t hash[2]);

#endif
