/*
 * Fields that belong to one connection and are not forwarded (RFC 9110 7.6.1), in either
 * direction. Worker only, pure; private to forward.c and headers.c.
 */
#ifndef WORKER_HTTP_HOP_FIELDS_H
#define WORKER_HTTP_HOP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "worker/http/h1.h"
#include "worker/http/http.h"

#define FIELD_BIT(name) (UINT64_C(1) << HTTP_F_##name)

/* Hop-by-hop fields (RFC 9110 7.6.1; cases 70, 72, 75) and those that framing generates
 * anew. */
#define FIELDS_OF_THE_HOP                                                                     \
    (FIELD_BIT(CONTENT_LENGTH) | FIELD_BIT(TRANSFER_ENCODING) | FIELD_BIT(CONNECTION) |       \
     FIELD_BIT(KEEP_ALIVE) | FIELD_BIT(PROXY_CONNECTION) | FIELD_BIT(TE) |                    \
     FIELD_BIT(TRAILER) | FIELD_BIT(UPGRADE) | FIELD_BIT(HTTP2_SETTINGS) | FIELD_BIT(PROXY) | \
     FIELD_BIT(PROXY_AUTHORIZATION) | FIELD_BIT(PROXY_AUTHENTICATE))

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

#endif
