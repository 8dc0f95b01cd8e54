/*
 * A slice of bytes: a pointer and a length, no terminator, no ownership.
 *
 * Callable from any process; pure. A slice is valid as long as the memory that it points into,
 * which it does not own. An empty slice may have a NULL pointer. All case folding is ASCII
 * only.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

/* A slice of a string literal, usable in initialisers of automatic and static objects alike. */
#define STR(lit) ((struct str){"" lit, sizeof(lit) - 1})
#define STR_INIT(lit)           \
    {                           \
        "" lit, sizeof(lit) - 1 \
    }
#define STR_EMPTY ((struct str){NULL, 0})

/* printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).n, (s).n ? (s).p : ""

static inline struct str str_make(const char *p, size_t n)
{
    return (struct str){p, n};
}

/* Slice of a C string; NULL gives the empty slice. */
static inline struct str str_from(const char *cstr)
{
    return (struct str){cstr, cstr ? strlen(cstr) : 0};
}

/* Slice from `begin` up to, but not including, `end`. */
static inline struct str str_span(const char *begin, const char *end)
{
    return (struct str){begin, (size_t)(end - begin)};
}

static inline unsigned char ascii_lower(unsigned char c)
{
    return (unsigned)c - 'A' < 26U ? (unsigned char)(c | 0x20) : c;
}

static inline bool ascii_is_digit(unsigned char c)
{
    return (unsigned)c - '0' < 10U;
}

static inline bool ascii_is_alpha(unsigned char c)
{
    return ((unsigned)c | 0x20U) - 'a' < 26U;
}

/* Value of a hex digit, or -1. */
static inline int ascii_hex(unsigned char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline bool mem_eq_case(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (ascii_lower((unsigned char)a[i]) != ascii_lower((unsigned char)b[i]))
            return false;
    }
    return true;
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_eq_case(struct str a, struct str b)
{
    return a.n == b.n && mem_eq_case(a.p, b.p, a.n);
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_starts_case(struct str s, struct str prefix)
{
    return s.n >= prefix.n && mem_eq_case(s.p, prefix.p, prefix.n);
}

static inline bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0);
}

static inline bool str_ends_case(struct str s, struct str suffix)
{
    return s.n >= suffix.n && mem_eq_case(s.p + (s.n - suffix.n), suffix.p, suffix.n);
}

/* The slice without its first n bytes (n may not exceed its length). */
static inline struct str str_skip(struct str s, size_t n)
{
    return n ? (struct str){s.p + n, s.n - n} : s;
}

/* The first n bytes, or all of them if there are fewer. */
static inline struct str str_head(struct str s, size_t n)
{
    return (struct str){s.p, n < s.n ? n : s.n};
}

/* Index of the first byte c, or s.n if there is none. */
static inline size_t str_index(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}

/* Removes SP and HTAB (RFC 9110 OWS; no other byte is white space) at both ends. */
static inline struct str str_trim(struct str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/*
 * Takes the next element of a comma-separated list off *list, trimmed (it may be empty).
 * False at the end of the list. Does not parse quoted strings: for token lists only.
 */
static inline bool str_next_item(struct str *list, struct str *item)
{
    if (!list->p)
        return false;
    size_t at = str_index(*list, ',');
    *item = str_trim(str_head(*list, at));
    if (at == list->n)
        *list = STR_EMPTY;
    else
        *list = str_skip(*list, at + 1);
    return true;
}

/* The end of a noun after a number: "1 request", "2 requests". */
static inline const char *str_plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* Copies into a C buffer, cut to fit, always NUL-terminated (cap > 0). Returns dst. */
static inline char *str_copy(char *dst, size_t cap, struct str s)
{
    size_t n = s.n < cap - 1 ? s.n : cap - 1;
    if (n)
        memcpy(dst, s.p, n);
    dst[n] = '\0';
    return dst;
}

/* The same for people: a text that does not fit ends with " ...", after a whole word if one
 * ends in the second half, so that the cut is visible. */
static inline char *str_fit(char *dst, size_t cap, struct str s)
{
    static const char more[] = " ...";
    size_t n;

    str_copy(dst, cap, s);
    if (s.n < cap || cap <= sizeof more)
        return dst;
    n = cap - sizeof more;
    for (size_t back = n; back > n / 2; back--)
        if (dst[back] == ' ') {
            n = back;
            break;
        }
    while (n > 0 && ((unsigned char)dst[n] & 0xc0) == 0x80) /* inside a UTF-8 character */
        n--;
    memcpy(dst + n, more, sizeof more);
    return dst;
}

enum { STR_DECIMAL = 20 }; /* bytes of the longest number; no NUL */

/* A number in decimal digits, in the last bytes of text. */
static inline struct str str_decimal(char text[STR_DECIMAL], uint64_t value)
{
    size_t at = STR_DECIMAL;

    do {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return str_make(text + at, STR_DECIMAL - at);
}

#endif
