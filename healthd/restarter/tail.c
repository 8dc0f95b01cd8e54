#include "healthd/restarter/tail.h"

#include <stdlib.h>
#include <string.h>

int tail_init(struct tail *tail, size_t cap)
{
    *tail = (struct tail){.cap = cap, .bytes = malloc(cap)};
    return tail->bytes ? 0 : -1;
}

void tail_release(struct tail *tail)
{
    free(tail->bytes);
    *tail = (struct tail){0};
}

void tail_add(struct tail *tail, const void *bytes, size_t n)
{
    const char *from = bytes;

    if (n > tail->cap) { /* the first of them would be overwritten at once */
        size_t lost = n - tail->cap;

        from += lost;
        n -= lost;
        tail->total += lost;
    }
    while (n > 0) {
        size_t part = tail->cap - tail->at < n ? tail->cap - tail->at : n;

        memcpy(tail->bytes + tail->at, from, part);
        tail->at = (tail->at + part) % tail->cap;
        tail->total += part;
        from += part;
        n -= part;
    }
}

static void reverse(char *p, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        char c = p[i];

        p[i] = p[n - 1 - i];
        p[n - 1 - i] = c;
    }
}

/* Rotates the ring so that its oldest byte comes first. */
static void straighten(struct tail *tail)
{
    reverse(tail->bytes, tail->at);
    reverse(tail->bytes + tail->at, tail->cap - tail->at);
    reverse(tail->bytes, tail->cap);
    tail->at = 0;
}

const char *tail_bytes(struct tail *tail, size_t *n)
{
    *n = 0;
    if (!tail->bytes)
        return "";
    if (tail->total <= tail->cap) {
        *n = (size_t)tail->total;
        return tail->bytes;
    }
    straighten(tail);
    const char *end = memchr(tail->bytes, '\n', tail->cap);
    const char *from = end ? end + 1 : tail->bytes;

    *n = tail->cap - (size_t)(from - tail->bytes);
    return from;
}

char *tail_plain(char *out, size_t cap, const char *text, size_t n)
{
    size_t take = n < cap - 1 ? n : cap - 1;

    if (take < n)
        while (take > 0 && ((unsigned char)text[take] & 0xc0) == 0x80)
            take--;
    for (size_t i = 0; i < take; i++)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
    out[take] = '\0';
    return out;
}

char *tail_last_line(struct tail *tail, char *out, size_t cap)
{
    size_t n;
    const char *bytes = tail_bytes(tail, &n);

    while (n > 0 && strchr(" \t\r\n", bytes[n - 1])) /* finds a NUL too */
        n--;
    const char *end = n ? memrchr(bytes, '\n', n) : NULL;
    const char *from = end ? end + 1 : bytes;

    return tail_plain(out, cap, from, n - (size_t)(from - bytes));
}
