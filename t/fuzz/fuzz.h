/* fuzz.h: what the fuzz targets share. An invariant that does not hold aborts. */
#ifndef T_FUZZ_FUZZ_H
#define T_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(cond) ((cond) ? (void)0 : abort())

/* A copy that ends where its bytes end, so that ASan sees the first byte read beyond. */
static inline char *fuzz_copy(const void *data, size_t n)
{
    char *copy = malloc(n ? n : 1);

    HOLDS(copy);
    if (n)
        memcpy(copy, data, n);
    return copy;
}

static inline bool fuzz_inside(struct str s, const char *buf, size_t n)
{
    return s.n == 0 || (s.p >= buf && s.p + s.n <= buf + n);
}

/* No byte that could end a line, or a C string. */
static inline bool fuzz_one_line(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

#endif
