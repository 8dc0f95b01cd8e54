/* FNV-1a of 64 bits: for names of files, for equality and for spreading over a table that no
 * peer fills (there: base/siphash.h). What is stored on disk depends on it: it stays as it is.
 *
 *   hash_text(hash_bytes(HASH_START, &port, sizeof port), name) */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(14695981039346656037)

static inline uint64_t hash_byte(uint64_t hash, uint8_t byte)
{
    return (hash ^ byte) * UINT64_C(1099511628211);
}

static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;

    for (size_t i = 0; i < n; i++)
        hash = hash_byte(hash, p[i]);
    return hash;
}

/* Without the NUL. */
static inline uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = hash_byte(hash, (uint8_t)*text);
    return hash;
}

/* With the NUL, so that {"ab", "c"} and {"a", "bc"} differ. */
static inline uint64_t hash_name(uint64_t hash, const char *name)
{
    return hash_byte(hash_text(hash, name), 0);
}

#endif
