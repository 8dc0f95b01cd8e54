/*
 * A bounded builder of text: heads, and the values in them. Worker only, pure.
 *
 * The verbs have short names, because whole lines are put together with them.
 */
#ifndef WORKER_HTTP_TEXT_OUT_H
#define WORKER_HTTP_TEXT_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "base/str.h"

/* Over the caller's memory. After an overflow, `over` stays set and nothing
 * more is written. */
struct text_out {
    char *p;
    size_t n;
    size_t cap;
    bool over;
};

static inline void text_out_init(struct text_out *out, char *buf, size_t cap)
{
    *out = (struct text_out){.p = buf, .cap = cap};
}

/* Is there room for n bytes? If not, there is none for anything after them either, so that one
 * comparison decides. */
static inline bool has_room(struct text_out *out, size_t n)
{
    if (n <= out->cap - out->n)
        return true;
    out->over = true;
    out->cap = out->n;
    return false;
}

static inline void put(struct text_out *out, struct str s)
{
    if (!has_room(out, s.n))
        return;
    if (s.n)
        memcpy(out->p + out->n, s.p, s.n);
    out->n += s.n;
}

static inline void put_byte(struct text_out *out, char c)
{
    put(out, str_make(&c, 1));
}

static inline void put_number(struct text_out *out, uint64_t value)
{
    char text[STR_DECIMAL];

    put(out, str_decimal(text, value));
}

#define PUT(out, literal) put((out), STR(literal))

/* A whole line "name: value". */
static inline void put_field(struct text_out *out, struct str name, struct str value)
{
    /* One check for all four parts, as this is the function that is called most. */
    size_t n = name.n + value.n + 4;
    if (!has_room(out, n))
        return;
    char *p = out->p + out->n;
    memcpy(p, name.p, name.n);
    p += name.n;
    *p++ = ':';
    *p++ = ' ';
    if (value.n)
        memcpy(p, value.p, value.n);
    p += value.n;
    *p++ = '\r';
    *p++ = '\n';
    out->n += n;
}

static inline ssize_t put_done(const struct text_out *out)
{
    return out->over ? -1 : (ssize_t)out->n;
}

#endif
