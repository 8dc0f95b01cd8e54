#include "base/escape.h"

#include <stdarg.h>

enum { PRINT_MAX = 4096 }; /* bytes of what escape_print() formats */

static const char hex[] = "0123456789abcdef";

/* Length of the well-formed UTF-8 sequence at p (RFC 3629: no overlong form, no surrogate) that
 * is neither ASCII nor a C1 control; otherwise 0. */
static size_t sequence(const unsigned char *p, size_t n)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t len;

    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        len = 2;
        if (p[0] == 0xc2)
            low = 0xa0;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        len = 3;
        if (p[0] == 0xe0)
            low = 0xa0;
        if (p[0] == 0xed)
            high = 0x9f;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        len = 4;
        if (p[0] == 0xf0)
            low = 0x90;
        if (p[0] == 0xf4)
            high = 0x8f;
    } else {
        return 0;
    }
    if (n < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    return len;
}

/* U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069: line breaks, and characters that make a
 * text appear in another order than it is stored in. */
static bool misleads(const unsigned char *p)
{
    if (p[0] != 0xe2)
        return false;
    return (p[1] == 0x80 && (p[2] == 0x8e || p[2] == 0x8f || (p[2] >= 0xa8 && p[2] <= 0xae))) ||
           (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9);
}

static bool escape_plain(unsigned char c, enum escape_mode mode)
{
    if (c < 0x20 || c >= 0x7f)
        return false;
    switch (mode) {
    case ESCAPE_QUOTED:
    case ESCAPE_JSON:
    case ESCAPE_LABEL:
        return c != '"' && c != '\\';
    case ESCAPE_HTML:
        return !strchr("&<>\"'", c);
    default:
        return true;
    }
}

/* JSON strings hold characters, not bytes: a byte that is not part of a character becomes the
 * four characters \xab, as in other logs. So does NUL, because some JSON readers refuse \u0000.
 */
static size_t byte(char out[ESCAPE_UNIT], unsigned char c, enum escape_mode mode)
{
    size_t n = 0;

    if (mode == ESCAPE_HTML && c >= 0x20 && c < 0x7f) {
        out[n++] = '&';
        out[n++] = '#';
        out[n++] = (char)('0' + c / 10);
        out[n++] = (char)('0' + c % 10);
        out[n++] = ';';
        return n;
    }
    out[n++] = '\\';
    if (c >= 0x20 && c < 0x7f) { /* a quote or a backslash */
        out[n++] = (char)c;
        return n;
    }
    if (c == '\n' && mode != ESCAPE_JSON && mode != ESCAPE_QUOTED) {
        out[n++] = 'n';
        return n;
    }
    if (mode == ESCAPE_JSON && c < 0x80 && c != 0) {
        memcpy(out + n, "u00", 3);
        n += 3;
    } else {
        if (mode == ESCAPE_JSON || mode == ESCAPE_LABEL)
            out[n++] = '\\';
        out[n++] = 'x';
    }
    out[n++] = hex[c >> 4];
    out[n++] = hex[c & 15];
    return n;
}

size_t escape_unit(char out[ESCAPE_UNIT], const char **p, const char *end,
                   enum escape_mode mode)
{
    const unsigned char *at = (const unsigned char *)*p;
    size_t n;

    if (escape_plain(*at, mode)) {
        out[0] = (char)*at;
        *p += 1;
        return 1;
    }
    n = mode == ESCAPE_ASCII ? 0 : sequence(at, (size_t)(end - *p));
    if (n > 0 && !misleads(at)) {
        memcpy(out, at, n);
        *p += n;
        return n;
    }
    *p += 1;
    return byte(out, *at, mode);
}

size_t escape_text(char *out, size_t cap, struct str text, enum escape_mode mode)
{
    const char *p = text.n ? text.p : "", *end = p + text.n;
    char unit[ESCAPE_UNIT];
    size_t n = 0;

    while (p < end) {
        size_t len = escape_unit(unit, &p, end, mode);

        if (len >= cap - n)
            break;
        memcpy(out + n, unit, len);
        n += len;
    }
    out[n] = '\0';
    return n;
}

void escape_print(FILE *out, const char *fmt, ...)
{
    char text[PRINT_MAX], unit[ESCAPE_UNIT];
    const char *p = text, *end;
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    bool newline = fmt[0] && fmt[strlen(fmt) - 1] == '\n';
    end = p + ((size_t)n < sizeof text ? (size_t)n - newline : sizeof text - 1);
    while (p < end) {
        size_t len = escape_unit(unit, &p, end, ESCAPE_LINE);

        fwrite(unit, 1, len, out);
    }
    if (newline)
        fputc('\n', out);
}
