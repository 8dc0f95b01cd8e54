#include "worker/http/uri.h"

#include <stdbool.h>

#include "worker/http/h1_chars.h"

static const char *const texts[URI_ERRORS] = {
    [URI_E_NONE] = "no error",
    [URI_E_START] = "path without leading slash",
    [URI_E_CHAR] = "bad byte in path",
    [URI_E_PERCENT] = "bad percent-encoding in path",
    [URI_E_CONTROL] = "encoded control byte in path",
    [URI_E_SEPARATOR] = "encoded separator in path",
    [URI_E_OVERLONG] = "overlong UTF-8 in path",
    [URI_E_ABOVE] = "path above the root",
    [URI_E_PARAM] = "dot or empty segment with parameters",
    [URI_E_LONG] = "path too long",
};

const char *uri_error_text(int err)
{
    if (err < 0)
        err = -err;
    return texts[err < URI_ERRORS ? err : URI_E_NONE];
}

/* The path under construction in the caller's buffer. */
struct builder {
    char *out;
    size_t n;
    size_t segment; /* where the last segment starts; out[segment - 1] is a slash */
    size_t cap;
};

static const char hex[] = "0123456789ABCDEF";

/* Whether a segment, or a part of one between encoded slashes, is "." or "..", with or without
 * parameters. */
static bool uri_is_dots(struct str s)
{
    size_t dots = 0;

    while (dots < 2 && dots < s.n && s.p[dots] == '.')
        dots++;
    s = str_skip(s, dots);
    return dots && (s.n == 0 || s.p[0] == ';' || str_starts(s, STR("%3B")));
}

/* Dots between encoded slashes: "..%2F" climbs if a backend decodes before it normalises. */
static bool climbs_encoded(struct str segment)
{
    size_t begin = 0;
    bool encoded = false;

    for (size_t i = 0; i + 3 <= segment.n; i++) {
        if (memcmp(segment.p + i, "%2F", 3) != 0)
            continue;
        if (uri_is_dots(str_span(segment.p + begin, segment.p + i)))
            return true;
        encoded = true;
        begin = i + 3;
    }
    return encoded && uri_is_dots(str_skip(segment, begin));
}

/*
 * The last segment is complete (a slash or the end follows): handles dots and empty segments.
 * Afterwards either the segment stays, or the builder is right after a slash.
 */
static enum uri_error end_segment(struct builder *b)
{
    const char *s = b->out + b->segment;
    size_t n = b->n - b->segment;
    size_t dots = n >= 2 && s[0] == '.' && s[1] == '.' ? 2 : n >= 1 && s[0] == '.' ? 1 : 0;

    if (n > dots && s[dots] == ';')
        return URI_E_PARAM;
    if (dots && n >= dots + 3 && memcmp(s + dots, "%3B", 3) == 0)
        return URI_E_PARAM;
    if (climbs_encoded(str_make(s, n)))
        return URI_E_SEPARATOR;
    if (n == 0 || n != dots)
        return URI_E_NONE;
    b->n = b->segment;
    if (dots == 1)
        return URI_E_NONE;
    if (b->segment == 1)
        return URI_E_ABOVE;
    do {
        b->n--;
    } while (b->out[b->n - 1] != '/');
    b->segment = b->n;
    return URI_E_NONE;
}

static enum uri_error add_slash(struct builder *b)
{
    enum uri_error err = end_segment(b);

    if (err != URI_E_NONE)
        return err;
    if (b->n != b->segment) { /* else: already right after a slash, merged */
        if (b->n == b->cap)
            return URI_E_LONG;
        b->out[b->n++] = '/';
        b->segment = b->n;
    }
    return URI_E_NONE;
}

static enum uri_error uri_put_encoded(struct builder *b, unsigned value)
{
    if (b->cap - b->n < 3)
        return URI_E_LONG;
    b->out[b->n++] = '%';
    b->out[b->n++] = hex[value >> 4];
    b->out[b->n++] = hex[value & 15];
    return URI_E_NONE;
}

/* Two consecutive encoded bytes that are an overlong form (RFC 3629 3). */
static bool is_overlong(unsigned before, unsigned value)
{
    if (value < 0x80 || value > 0xbf)
        return false;
    return before == 0xc0 || before == 0xc1 || (before == 0xe0 && value < 0xa0) ||
           (before == 0xf0 && value < 0x90) || (before == 0xf8 && value < 0x88) ||
           (before == 0xfc && value < 0x84);
}

/* One %XX at p. *last is the value of the encoded byte just before, 0 if there was none. */
static enum uri_error add_encoded(struct builder *b, const char *p, const char *end,
                                  unsigned flags, unsigned *last)
{
    int high = end - p >= 3 ? ascii_hex((unsigned char)p[1]) : -1;
    int low = high >= 0 ? ascii_hex((unsigned char)p[2]) : -1;

    if (low < 0)
        return URI_E_PERCENT;
    unsigned value = (unsigned)(high << 4 | low);
    if (value < 0x20 || value == 0x7f)
        return URI_E_CONTROL;
    if (value == '\\' || (value == '/' && !(flags & URI_ALLOW_ENCODED_SLASH)))
        return URI_E_SEPARATOR;
    if (is_overlong(*last, value))
        return URI_E_OVERLONG;
    *last = value;
    if (h1_class[value] & H1_C_UNRESERVED) {
        if (b->n == b->cap)
            return URI_E_LONG;
        b->out[b->n++] = (char)value;
        return URI_E_NONE;
    }
    return uri_put_encoded(b, value);
}

/* A byte that is not part of a percent-encoding. */
static enum uri_error add_byte(struct builder *b, unsigned char c, unsigned flags)
{
    if (c == '/')
        return add_slash(b);
    if (!(h1_class[c] & H1_C_PATH)) {
        bool raw = flags & URI_ENCODE_RAW && h1_class[c] & H1_C_RAW && c != '\\';
        return raw ? uri_put_encoded(b, c) : URI_E_CHAR;
    }
    if (b->n == b->cap)
        return URI_E_LONG;
    b->out[b->n++] = (char)c;
    return URI_E_NONE;
}

/* Whether the path needs no change, as is the case for nearly every path. */
static bool uri_is_plain(struct str path)
{
    for (size_t i = 0; i < path.n; i++) {
        unsigned char c = (unsigned char)path.p[i];
        if (!(h1_class[c] & H1_C_PATH) || c == ';')
            return false;
        if (c == '/' && i + 1 < path.n && (path.p[i + 1] == '/' || path.p[i + 1] == '.'))
            return false;
    }
    return true;
}

ssize_t uri_normalise(char *out, size_t cap, struct str path, unsigned flags)
{
    struct builder b = {.out = out, .n = 1, .segment = 1, .cap = cap};
    const char *end = path.p + path.n;
    unsigned last = 0;
    enum uri_error err;

    if (path.n == 0 || path.p[0] != '/')
        return -URI_E_START;
    if (cap == 0)
        return -URI_E_LONG;
    if (path.n <= cap && uri_is_plain(path)) {
        memcpy(out, path.p, path.n);
        return (ssize_t)path.n;
    }
    out[0] = '/';
    for (const char *p = path.p + 1; p < end; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '%') {
            err = add_encoded(&b, p, end, flags, &last);
            p += 2;
        } else {
            err = is_overlong(last, c) ? URI_E_OVERLONG : add_byte(&b, c, flags);
            last = c >= 0x80 ? c : 0; /* it is forwarded encoded, like one that arrived so */
        }
        if (err != URI_E_NONE)
            return -(ssize_t)err;
    }
    err = end_segment(&b);
    return err != URI_E_NONE ? -(ssize_t)err : (ssize_t)b.n;
}

bool uri_has_encoded_slash(struct str path)
{
    const char *end = path.p + path.n;

    for (const char *p = path.p; path.n && (p = memchr(p, '%', (size_t)(end - p))) != NULL; p++)
        if (end - p >= 3 && p[1] == '2' && p[2] == 'F')
            return true;
    return false;
}

size_t uri_encoded_size(struct str text)
{
    size_t n = text.n;

    for (size_t i = 0; i < text.n; i++)
        n += h1_class[(unsigned char)text.p[i]] & H1_C_RAW ? 2 : 0;
    return n;
}

ssize_t uri_encode(char *out, size_t cap, struct str text)
{
    size_t n = 0;

    if (uri_encoded_size(text) > cap)
        return -1;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (h1_class[c] & H1_C_RAW) {
            out[n++] = '%';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        } else {
            out[n++] = (char)c;
        }
    }
    return (ssize_t)n;
}
