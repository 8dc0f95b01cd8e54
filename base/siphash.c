#include "base/siphash.h"

#include <endian.h>
#include <string.h>

static uint64_t siphash_load(const void *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return le64toh(word);
}

static inline uint64_t rotate(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

static inline void round_of(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static inline void take_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    round_of(v);
    round_of(v);
    v[0] ^= word;
}

#define FIRST_STATE(key)                                                                    \
    (key)->k[0] ^ UINT64_C(0x736f6d6570736575), (key)->k[1] ^ UINT64_C(0x646f72616e646f6d), \
        (key)->k[0] ^ UINT64_C(0x6c7967656e657261), (key)->k[1] ^ UINT64_C(0x7465646279746573)

struct siphash_key siphash_key(const uint8_t bytes[SIPHASH_KEY])
{
    return (struct siphash_key){{siphash_load(bytes), siphash_load(bytes + 8)}};
}

void siphash_begin(struct siphash *h, const struct siphash_key *key)
{
    *h = (struct siphash){.v = {FIRST_STATE(key)}};
}

void siphash_add(struct siphash *h, const void *bytes, size_t n)
{
    const uint8_t *p = bytes, *end = p + n;

    while (p < end) {
        unsigned held = h->n & 7;

        if (held == 0 && end - p >= 8) {
            take_word(h->v, siphash_load(p));
            p += 8;
            h->n += 8;
            continue;
        }
        h->tail |= (uint64_t)*p++ << (8 * held);
        h->n++;
        if (held == 7) {
            take_word(h->v, h->tail);
            h->tail = 0;
        }
    }
}

static inline uint64_t finish_rounds(uint64_t v[4])
{
    for (int i = 0; i < 4; i++)
        round_of(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t siphash_end(struct siphash *h)
{
    take_word(h->v, h->tail | h->n << 56);
    h->v[2] ^= 0xff;
    return finish_rounds(h->v);
}

uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t n)
{
    struct siphash h;

    siphash_begin(&h, key);
    siphash_add(&h, bytes, n);
    return siphash_end(&h);
}

void siphash_word(const struct siphash_key *key, uint64_t word, uint64_t hash[2])
{
    uint64_t v[4] = {FIRST_STATE(key)};

    v[1] ^= 0xee;
    take_word(v, word);
    take_word(v, (uint64_t)sizeof word << 56);
    v[2] ^= 0xee;
    hash[0] = finish_rounds(v);
    v[1] ^= 0xdd;
    hash[1] = finish_rounds(v);
}
