#include <string.h>

#include "worker/http/h1.h"
#include "worker/http/h1_chars.h"

enum {
    SIZE,
    SIZE_LF,
    EXT_NAME_START,
    EXT_NAME,
    EXT_VALUE_START,
    EXT_TOKEN,
    EXT_QUOTED,
    EXT_ESCAPED,
    EXT_AFTER_QUOTED,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    DONE,
};

/* 15 digits: a size stays below 2^60, so sums stay far below 2^64 (case 62). */
#define SIZE_DIGITS_MAX 15

/* Limit of the decoded bytes of one body; keeps the sum from wrapping whatever the peer
 * claims. */
#define BODY_MAX ((uint64_t)INT64_MAX)

void h1_chunked_init(struct h1_chunked *c)
{
    *c = (struct h1_chunked){.state = SIZE};
}

/* The CR of the size line was read. */
static enum h1_error end_of_size(struct h1_chunked *c, const struct http_limits *limits)
{
    c->state = SIZE_LF;
    c->total += c->left;
    if (c->total > BODY_MAX || (limits->body && c->total > limits->body))
        return H1_E_CHUNK_OVER;
    return H1_E_NONE;
}

static enum h1_error size_byte(struct h1_chunked *c, unsigned char b,
                               const struct http_limits *limits)
{
    int digit = ascii_hex(b);

    if (digit >= 0) {
        if (++c->digits > SIZE_DIGITS_MAX)
            return H1_E_CHUNK_SIZE;
        c->left = c->left << 4 | (unsigned)digit;
        return H1_E_NONE;
    }
    if (c->digits == 0)
        return H1_E_CHUNK_SIZE;
    if (b == '\r')
        return end_of_size(c, limits);
    if (b == '\n')
        return H1_E_CHUNK_CRLF;
    if (b != ';')
        return H1_E_CHUNK_SIZE;
    c->state = EXT_NAME_START;
    return H1_E_NONE;
}

/* After a name or a value: the next extension, or the end of the line. */
static enum h1_error ext_delimiter(struct h1_chunked *c, unsigned char b,
                                   const struct http_limits *limits)
{
    if (b == '\r')
        return end_of_size(c, limits);
    if (b == '\n')
        return H1_E_CHUNK_CRLF;
    if (b != ';')
        return H1_E_CHUNK_EXT;
    c->state = EXT_NAME_START;
    return H1_E_NONE;
}

/* RFC 9112 7.1.1, without the "bad" white space (BWS). */
static enum h1_error ext_byte(struct h1_chunked *c, unsigned char b,
                              const struct http_limits *limits)
{
    bool token = h1_class[b] & H1_C_TOKEN;

    if (++c->ext > limits->chunk_ext)
        return H1_E_CHUNK_EXT;
    switch (c->state) {
    case EXT_NAME_START:
        c->state = EXT_NAME;
        return token ? H1_E_NONE : H1_E_CHUNK_EXT;
    case EXT_NAME:
        if (token)
            return H1_E_NONE;
        if (b != '=')
            return ext_delimiter(c, b, limits);
        c->state = EXT_VALUE_START;
        return H1_E_NONE;
    case EXT_VALUE_START:
        c->state = b == '"' ? EXT_QUOTED : EXT_TOKEN;
        return b == '"' || token ? H1_E_NONE : H1_E_CHUNK_EXT;
    case EXT_TOKEN:
        return token ? H1_E_NONE : ext_delimiter(c, b, limits);
    case EXT_QUOTED:
        if (b == '"')
            c->state = EXT_AFTER_QUOTED;
        else if (b == '\\')
            c->state = EXT_ESCAPED;
        else if (!(h1_class[b] & H1_C_QUOTED))
            return H1_E_CHUNK_EXT;
        return H1_E_NONE;
    case EXT_ESCAPED:
        c->state = EXT_QUOTED;
        return (b >= 0x20 && b != 0x7f) || b == '\t' ? H1_E_NONE : H1_E_CHUNK_EXT;
    default:
        return ext_delimiter(c, b, limits);
    }
}

/* Trailers must follow the rules for fields; they are dropped unless they are collected (case
 * 68). */
static enum h1_error trailer_byte(struct h1_chunked *c, unsigned char b,
                                  const struct http_limits *limits)
{
    bool token = h1_class[b] & H1_C_TOKEN;

    if (c->state == TRAILER_START && b == '\r') {
        c->state = LAST_LF;
        return H1_E_NONE;
    }
    if (++c->trailers > limits->trailers)
        return H1_E_TRAILER_LONG;
    if (c->kept < c->keep_cap)
        c->keep[c->kept++] = (char)b;
    switch (c->state) {
    case TRAILER_START:
        c->state = TRAILER_NAME;
        return token ? H1_E_NONE : b == '\n' ? H1_E_CHUNK_CRLF : H1_E_TRAILER;
    case TRAILER_NAME:
        if (token)
            return H1_E_NONE;
        c->state = TRAILER_VALUE;
        return b == ':' ? H1_E_NONE : H1_E_TRAILER;
    case TRAILER_VALUE:
        if (b == '\r')
            c->state = TRAILER_LF;
        else if ((b < 0x20 && b != '\t') || b == 0x7f)
            return b == '\n' ? H1_E_CHUNK_CRLF : H1_E_TRAILER;
        return H1_E_NONE;
    default: /* TRAILER_LF */
        c->state = TRAILER_START;
        return b == '\n' ? H1_E_NONE : H1_E_TRAILER;
    }
}

/* One byte of framing, not of data. */
static enum h1_error frame_byte(struct h1_chunked *c, unsigned char b,
                                const struct http_limits *limits)
{
    switch (c->state) {
    case SIZE:
        return size_byte(c, b, limits);
    case SIZE_LF:
        c->digits = 0;
        c->state = c->left ? DATA : TRAILER_START;
        return b == '\n' ? H1_E_NONE : H1_E_CHUNK_CRLF;
    case DATA_CR:
        c->state = DATA_LF;
        return b == '\r' ? H1_E_NONE : H1_E_CHUNK_CRLF;
    case DATA_LF:
        c->state = SIZE;
        return b == '\n' ? H1_E_NONE : H1_E_CHUNK_CRLF;
    case LAST_LF:
        c->state = DONE;
        c->done = true;
        return b == '\n' ? H1_E_NONE : H1_E_CHUNK_CRLF;
    case TRAILER_START:
    case TRAILER_NAME:
    case TRAILER_VALUE:
    case TRAILER_LF:
        return trailer_byte(c, b, limits);
    default:
        return ext_byte(c, b, limits);
    }
}

ssize_t h1_chunked_next(struct h1_chunked *c, const char *in, size_t n, struct str *data,
                        const struct http_limits *limits)
{
    const char *p = in, *end = in + n;

    *data = STR_EMPTY;
    while (p < end && c->state != DONE) {
        if (c->state == DATA) {
            size_t take = (uint64_t)(end - p) < c->left ? (size_t)(end - p) : (size_t)c->left;
            *data = str_make(p, take);
            c->left -= take;
            if (c->left == 0)
                c->state = DATA_CR;
            return p + take - in;
        }
        enum h1_error err = frame_byte(c, (unsigned char)*p++, limits);
        if (err != H1_E_NONE)
            return -(ssize_t)err;
    }
    return p - in;
}

ssize_t h1_chunked_squeeze(struct h1_chunked *c, char *buf, size_t n, size_t *body,
                           const struct http_limits *limits)
{
    size_t used = 0;

    *body = 0;
    while (used < n && !c->done) {
        struct str data;
        ssize_t rc = h1_chunked_next(c, buf + used, n - used, &data, limits);
        if (rc < 0)
            return rc;
        if (data.n && data.p != buf + *body)
            memmove(buf + *body, data.p, data.n);
        *body += data.n;
        used += (size_t)rc;
    }
    return (ssize_t)used;
}

size_t h1_chunk_head(char out[H1_CHUNK_HEAD_MAX], size_t n)
{
    size_t digits = 1, at;

    while (digits < 2 * sizeof(n) && n >> (4 * digits))
        digits++;
    at = digits;
    for (size_t i = digits; i-- > 0; n >>= 4)
        out[i] = "0123456789abcdef"[n & 15];
    out[at++] = '\r';
    out[at++] = '\n';
    return at;
}

size_t h1_chunk_frame(char **data, size_t n, bool last)
{
    char *end = *data + n;
    char head[H1_CHUNK_HEAD_MAX];

    if (n) {
        size_t len = h1_chunk_head(head, n);

        *data -= len;
        memcpy(*data, head, len);
        memcpy(end, H1_CHUNK_TAIL, sizeof H1_CHUNK_TAIL - 1);
        end += sizeof H1_CHUNK_TAIL - 1;
    }
    if (last) {
        memcpy(end, H1_CHUNK_LAST, sizeof H1_CHUNK_LAST - 1);
        end += sizeof H1_CHUNK_LAST - 1;
    }
    return (size_t)(end - *data);
}
