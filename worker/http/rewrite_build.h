/*
 * The functions of the bounded builder, and what request and response rewriting share. Private
 * to rewrite*.c.
 */
#ifndef WORKER_REWRITE_BUILD_H
#define WORKER_REWRITE_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "base/str.h"
#include "worker/http/h1.h"
#include "worker/http/http.h"
#include "worker/http/rewrite.h"

#define FIELD_BIT(name) (UINT64_C(1) << HTTP_F_##name)

/* Hop-by-hop fields (RFC 9110 7.6.1; cases 70, 72, 75) and those that framing generates
 * anew. */
#define FIELDS_OF_THE_HOP                                                                     \
    (FIELD_BIT(CONTENT_LENGTH) | FIELD_BIT(TRANSFER_ENCODING) | FIELD_BIT(CONNECTION) |       \
     FIELD_BIT(KEEP_ALIVE) | FIELD_BIT(PROXY_CONNECTION) | FIELD_BIT(TE) |                    \
     FIELD_BIT(TRAILER) | FIELD_BIT(UPGRADE) | FIELD_BIT(HTTP2_SETTINGS) | FIELD_BIT(PROXY) | \
     FIELD_BIT(PROXY_AUTHORIZATION) | FIELD_BIT(PROXY_AUTHENTICATE))

/* Is there room for n bytes? If not, there is none for anything after them either, so that one
 * comparison decides. */
static inline bool has_room(struct rewrite_out *out, size_t n)
{
    if (n <= out->cap - out->n)
        return true;
    out->over = true;
    out->cap = out->n;
    return false;
}

static inline void put(struct rewrite_out *out, struct str s)
{
    if (!has_room(out, s.n))
        return;
    if (s.n)
        memcpy(out->p + out->n, s.p, s.n);
    out->n += s.n;
}

static inline void put_byte(struct rewrite_out *out, char c)
{
    put(out, str_make(&c, 1));
}

static inline void put_number(struct rewrite_out *out, uint64_t value)
{
    char text[STR_DECIMAL];

    put(out, str_decimal(text, value));
}

#define PUT(out, literal) put((out), STR(literal))

/* A whole line "name: value". */
static inline void put_field(struct rewrite_out *out, struct str name, struct str value)
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

static inline ssize_t put_done(const struct rewrite_out *out)
{
    return out->over ? -1 : (ssize_t)out->n;
}

/* The names that the Connection lines of one head nominate for removal. They are collected once
 * instead of for each field; the parser limits how many there can be (H1_CONNECTION_NAMES). */
struct nominations {
    struct str name[H1_CONNECTION_NAMES];
    unsigned n;
};

static inline void find_nominations(struct nominations *found, const struct http_field *fields,
                                    size_t n)
{
    struct str item;

    found->n = 0;
    for (size_t i = 0; i < n; i++) {
        struct str list = fields[i].value;
        if (fields[i].id != HTTP_F_CONNECTION)
            continue;
        while (found->n < H1_CONNECTION_NAMES && str_next_item(&list, &item)) {
            if (item.n)
                found->name[found->n++] = item;
        }
    }
}

/*
 * Whether a field is nominated. Only field names unknown to us can be: known ones are either
 * hop-by-hop anyway, or must not be lost (case 71).
 */
static inline bool is_nominated(const struct nominations *found, const struct http_field *field)
{
    if (field->id != HTTP_F_OTHER)
        return false;
    for (unsigned i = 0; i < found->n; i++) {
        if (str_eq_case(found->name[i], field->name))
            return true;
    }
    return false;
}

struct headers_info;

/* The value of Location or Content-Location as the client must see it. */
void put_location(struct rewrite_out *, struct str value, const struct headers_info *);

/* The value of Set-Cookie: Path is mapped, the backend's Domain dropped, a session gets its tag
 * appended, everything else is kept byte for byte. */
void put_set_cookie(struct rewrite_out *, struct str value, const struct headers_info *);

#endif
