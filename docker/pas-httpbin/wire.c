/* Buffers, the request head, query arguments, checksums. Knows nothing about connections. */
#include "httpbin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (b->n + n > b->size) {
        size_t size = b->size ? b->size : 1024;
        while (size < b->n + n)
            size *= 2;
        b->p = realloc(b->p, size);
        if (!b->p)
            abort();
        b->size = size;
    }
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buf_puts(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_num(struct buf *b, uint64_t v)
{
    char t[20];
    size_t n = sizeof t;

    do
        t[--n] = (char)('0' + v % 10);
    while (v /= 10);
    buf_add(b, t + n, sizeof t - n);
}

void buf_hex(struct buf *b, uint64_t v, int digits)
{
    char t[17];
    int n = snprintf(t, sizeof t, "%0*llx", digits, (unsigned long long)v);

    buf_add(b, t, (size_t)n);
}

void buf_json(struct buf *b, struct str s)
{
    size_t from = 0;
    char t[8];

    buf_add(b, "\"", 1);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            continue;
        buf_add(b, s.p + from, i - from);
        /* a byte that is not ASCII becomes its Latin-1 character, so the JSON is always valid
         */
        buf_add(b, t, (size_t)snprintf(t, sizeof t, "\\u%04x", c));
        from = i + 1;
    }
    buf_add(b, s.p + from, s.n - from);
    buf_add(b, "\"", 1);
}

bool str_is(struct str s, const char *lit)
{
    return s.n == strlen(lit) && memcmp(s.p, lit, s.n) == 0;
}

bool str_is_nocase(struct str s, const char *lit)
{
    return s.n == strlen(lit) && strncasecmp(s.p, lit, s.n) == 0;
}

bool str_has_prefix(struct str s, const char *lit)
{
    size_t n = strlen(lit);
    return s.n >= n && memcmp(s.p, lit, n) == 0;
}

/* True if `token` is one of the comma-separated elements of `list`. */
static bool list_has(struct str list, const char *token)
{
    for (size_t i = 0; i < list.n;) {
        size_t end = i;
        while (end < list.n && list.p[end] != ',')
            end++;
        struct str e = {list.p + i, end - i};
        while (e.n && (*e.p == ' ' || *e.p == '\t'))
            e.p++, e.n--;
        while (e.n && (e.p[e.n - 1] == ' ' || e.p[e.n - 1] == '\t'))
            e.n--;
        if (str_is_nocase(e, token))
            return true;
        i = end + 1;
    }
    return false;
}

static int parse_length(struct str v, uint64_t *out)
{
    uint64_t n = 0;

    if (v.n == 0 || v.n > 18)
        return 400;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return 400;
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    }
    *out = n;
    return 0;
}

/* Evaluates the fields that decide how the message is framed. */
static int parse_known(struct req *r, const struct header *h, bool *length_seen)
{
    switch (h->name.n) {
    case 6:
        if (str_is_nocase(h->name, "expect"))
            r->expect = str_is_nocase(h->value, "100-continue");
        break;
    case 7:
        if (str_is_nocase(h->name, "upgrade"))
            r->upgrade = list_has(h->value, "websocket");
        break;
    case 10:
        if (str_is_nocase(h->name, "connection")) {
            r->close |= list_has(h->value, "close");
            r->keepalive |= list_has(h->value, "keep-alive");
        }
        break;
    case 14:
        if (str_is_nocase(h->name, "content-length")) {
            if (*length_seen)
                return 400;
            *length_seen = true;
            return parse_length(h->value, &r->length);
        }
        break;
    case 17:
        if (str_is_nocase(h->name, "transfer-encoding")) {
            if (!str_is_nocase(h->value, "chunked"))
                return 501;
            if (r->chunked)
                return 400;
            r->chunked = true;
        }
        break;
    }
    return 0;
}

static int parse_request_line(struct req *r, const char *p, const char *end)
{
    const char *sp = memchr(p, ' ', (size_t)(end - p));
    if (!sp || sp == p)
        return 400;
    const char *sp2 = memchr(sp + 1, ' ', (size_t)(end - sp - 1));
    if (!sp2 || sp2 == sp + 1)
        return 400;
    r->method = (struct str){p, (size_t)(sp - p)};
    r->target = (struct str){sp + 1, (size_t)(sp2 - sp - 1)};
    struct str version = {sp2 + 1, (size_t)(end - sp2 - 1)};
    if (str_is(version, "HTTP/1.0"))
        r->http10 = true;
    else if (!str_is(version, "HTTP/1.1"))
        return str_has_prefix(version, "HTTP/") ? 505 : 400;

    struct str t = r->target;
    if (str_has_prefix(t, "http://")) { /* absolute form */
        const char *slash = memchr(t.p + 7, '/', t.n - 7);
        t = slash ? (struct str){slash, (size_t)(t.p + t.n - slash)} : (struct str){"/", 1};
    }
    const char *q = memchr(t.p, '?', t.n);
    r->path = (struct str){t.p, q ? (size_t)(q - t.p) : t.n};
    r->query = q ? (struct str){q + 1, (size_t)(t.p + t.n - q - 1)} : (struct str){NULL, 0};
    return 0;
}

int req_parse(struct req *r, const char *p, size_t n)
{
    const char *end = p + n;
    bool length_seen = false;

    memset(r, 0, offsetof(struct req, hdr));
    r->nhdr = 0;
    r->http10 = r->close = r->keepalive = r->chunked = r->expect = r->upgrade = false;
    r->length = 0;
    r->raw = (struct str){p, n};

    const char *eol = memmem(p, n, "\r\n", 2);
    int err = eol ? parse_request_line(r, p, eol) : 400;
    if (err)
        return err;
    for (p = eol + 2; p + 2 < end; p = eol + 2) {
        eol = memmem(p, (size_t)(end - p), "\r\n", 2);
        const char *colon = memchr(p, ':', (size_t)(eol - p));
        if (!colon || colon == p || colon[-1] == ' ' || *p == ' ' || *p == '\t')
            return 400;
        if (r->nhdr == MAX_HEADERS)
            return 400;
        struct header *h = &r->hdr[r->nhdr++];
        h->name = (struct str){p, (size_t)(colon - p)};
        const char *v = colon + 1, *ve = eol;
        while (v < ve && (*v == ' ' || *v == '\t'))
            v++;
        while (ve > v && (ve[-1] == ' ' || ve[-1] == '\t'))
            ve--;
        h->value = (struct str){v, (size_t)(ve - v)};
        if ((err = parse_known(r, h, &length_seen)))
            return err;
    }
    if (r->chunked && length_seen)
        return 400;
    return 0;
}

struct str req_header(const struct req *r, const char *name)
{
    for (unsigned i = 0; i < r->nhdr; i++)
        if (str_is_nocase(r->hdr[i].name, name))
            return r->hdr[i].value;
    return (struct str){NULL, 0};
}

bool req_next_arg(const struct req *r, size_t *at, struct str *name, struct str *value)
{
    while (*at < r->query.n) {
        const char *p = r->query.p + *at;
        size_t left = r->query.n - *at;
        const char *amp = memchr(p, '&', left);
        size_t n = amp ? (size_t)(amp - p) : left;

        *at += n + 1;
        if (n == 0)
            continue;
        const char *eq = memchr(p, '=', n);
        *name = (struct str){p, eq ? (size_t)(eq - p) : n};
        *value = eq ? (struct str){eq + 1, (size_t)(p + n - eq - 1)} : (struct str){p + n, 0};
        return true;
    }
    return false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t percent_decode(char *to, size_t size, struct str from)
{
    size_t n = 0;

    for (size_t i = 0; i < from.n && n + 1 < size; i++) {
        if (from.p[i] == '%' && i + 2 < from.n && hex_digit(from.p[i + 1]) >= 0 &&
            hex_digit(from.p[i + 2]) >= 0) {
            to[n++] = (char)(hex_digit(from.p[i + 1]) << 4 | hex_digit(from.p[i + 2]));
            i += 2;
        } else {
            to[n++] = from.p[i] == '+' ? ' ' : from.p[i];
        }
    }
    to[n] = 0;
    return n;
}

const char *req_arg(const struct req *r, const char *name)
{
    static char ring[8][512];
    static unsigned turn;
    struct str k, v;

    for (size_t at = 0; req_next_arg(r, &at, &k, &v);) {
        if (!str_is(k, name))
            continue;
        char *to = ring[turn++ % 8];
        percent_decode(to, sizeof ring[0], v);
        return to;
    }
    return "";
}

uint64_t req_arg_num(const struct req *r, const char *name, uint64_t deflt)
{
    const char *v = req_arg(r, name);
    return *v >= '0' && *v <= '9' ? strtoull(v, NULL, 10) : deflt;
}

/* Eight bytes at a time: an upload of 2 GiB must not cost more than its transfer. */
uint32_t crc32_add(uint32_t crc, const void *data, size_t n)
{
    static uint32_t t[8][256];
    const unsigned char *p = data;

    if (!t[0][1]) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int k = 0; k < 8; k++)
                c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
            t[0][i] = c;
        }
        for (int i = 0; i < 256; i++)
            for (int k = 1; k < 8; k++)
                t[k][i] = t[k - 1][i] >> 8 ^ t[0][t[k - 1][i] & 0xff];
    }
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t a = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                            (uint32_t)p[3] << 24);
        crc = t[7][a & 0xff] ^ t[6][a >> 8 & 0xff] ^ t[5][a >> 16 & 0xff] ^ t[4][a >> 24] ^
              t[3][p[4]] ^ t[2][p[5]] ^ t[1][p[6]] ^ t[0][p[7]];
    }
    while (n--)
        crc = crc >> 8 ^ t[0][(crc ^ *p++) & 0xff];
    return ~crc;
}

static char pattern[PATTERN_PERIOD + PATTERN_RUN];

void pattern_init(void)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t x = 12345;

    for (size_t i = 0; i < PATTERN_PERIOD; i++) {
        x = x * 1103515245u + 12345u;
        pattern[i] = i % 64 == 63 ? '\n' : digits[x >> 26];
    }
    for (size_t i = PATTERN_PERIOD; i < sizeof pattern; i++)
        pattern[i] = pattern[i - PATTERN_PERIOD];
}

const char *pattern_at(uint64_t offset)
{
    return pattern + offset % PATTERN_PERIOD;
}
