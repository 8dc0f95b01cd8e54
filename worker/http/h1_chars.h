/*
 * Byte classes and fast scans, private to the HTTP/1.x parsers, the path and the text of heads.
 *
 * Pure, inline. Scans never read outside of [p, end).
 */
#ifndef WORKER_HTTP_H1_CHARS_H
#define WORKER_HTTP_H1_CHARS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    H1_C_TOKEN = 1,       /* RFC 9110 5.6.2 tchar */
    H1_C_UNDERSCORE = 2,  /* '_': such request field names are dropped (case 38) */
    H1_C_TARGET = 4,      /* a byte of a request target (cases 13, 14) */
    H1_C_PATH = 8,        /* RFC 3986 3.3 pchar and '/', without '%' and '[' ']' */
    H1_C_UNRESERVED = 16, /* RFC 3986 2.3 */
    H1_C_HOST = 32,       /* a byte of a host label */
    H1_C_QUOTED = 64,     /* qdtext of a quoted-string (RFC 9110 5.6.4) */
    H1_C_RAW = 128,       /* raw only if the policy allows it; forwarded percent-encoded */
};

extern const uint8_t h1_class[256];

/* First control byte of [p, end) except HTAB (0x00-0x08, 0x0a-0x1f, 0x7f), or end. */
static inline const char *h1_scan_value(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i last_ctl = _mm_set1_epi8(0x1f);
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i del = _mm_set1_epi8(0x7f);
    while (end - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i ctl = _mm_cmpeq_epi8(_mm_min_epu8(v, last_ctl), v);
        ctl = _mm_andnot_si128(_mm_cmpeq_epi8(v, tab), ctl);
        unsigned hit = (unsigned)_mm_movemask_epi8(_mm_or_si128(ctl, _mm_cmpeq_epi8(v, del)));
        if (hit)
            return p + __builtin_ctz(hit);
        p += 16;
    }
#else
    while (end - p >= 8) {
        const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
        uint64_t v, del;
        memcpy(&v, p, sizeof(v));
        del = v ^ (ones * 0x7f);
        /* classic "has a byte below n" and "has a zero byte"; stops at a tab too, then
         * bytewise */
        if ((((v - ones * 0x20) & ~v) | ((del - ones) & ~del)) & tops)
            break;
        p += 8;
    }
#endif
    for (; p < end; p++) {
        unsigned char c = (unsigned char)*p;
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            break;
    }
    return p;
}

/* First byte c of the n bytes at p, or NULL. Made for about as many as a field name has. */
static inline const char *h1_scan_byte(const char *p, size_t n, char c)
{
#ifdef __SSE2__
    if (n >= 16 && n <= 32) {
        const __m128i wanted = _mm_set1_epi8(c);
        const char *last = p + n - 16; /* overlaps the first 16 bytes, which do not have it */
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        unsigned hit = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, wanted));
        if (hit)
            return p + __builtin_ctz(hit);
        v = _mm_loadu_si128((const __m128i *)(const void *)last);
        hit = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, wanted));
        return hit ? last + __builtin_ctz(hit) : NULL;
    }
#endif
    return memchr(p, c, n);
}

/* First byte of [p, end) that is not in the class, or end. */
static inline const char *h1_scan_class(const char *p, const char *end, unsigned class)
{
    while (p < end && (h1_class[(unsigned char)*p] & class))
        p++;
    return p;
}

#endif
