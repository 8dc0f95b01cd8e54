/*
 * The head of an HTTP/2 request as HTTP/1.1 text (RFC 9113 8.2, 8.3).
 *
 * The strict parser of http/h1.h then reads that text, so that a request is judged by the same
 * rules, whatever the protocol. Here is what HTTP/2 itself forbids, and what the text could not
 * express without becoming something else. Worker only, pure; no allocation.
 */
#ifndef WORKER_HTTP_H2_HEAD_H
#define WORKER_HTTP_H2_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

enum {
    /* Field lines of one request, each crumb of Cookie included: 431. Browsers send a crumb for
     * each cookie, so this is more than limits.header_fields. */
    H2_HEAD_FIELDS = 256,
    H2_HEAD_ENTRY = 32, /* what HPACK adds to the size of each field (RFC 7541 4.1) */
};

enum h2_head_pseudo {
    H2_HEAD_METHOD,
    H2_HEAD_SCHEME,
    H2_HEAD_AUTHORITY,
    H2_HEAD_PATH,
    H2_HEAD_PROTOCOL, /* RFC 8441 */
    H2_HEAD_PSEUDOS
};

struct h2_head {
    char *text; /* the head so far, [n] of [cap] */
    size_t n, cap;
    char *side; /* values of pseudo-headers, then the cookies; [nside] of [side_cap] */
    size_t nside, side_cap;
    struct str pseudo[H2_HEAD_PSEUDOS];
    size_t cookies_at;
    size_t decoded;     /* bytes of all fields, as HPACK counts them */
    unsigned nfields;   /* those that came */
    uint8_t seen;       /* bits: pseudo-headers that came */
    bool begun;         /* the request line is written */
    bool websocket;     /* an extended CONNECT: written as a GET with Upgrade */
    bool over;          /* too large: 431 */
    const char *broken; /* why it is malformed: a stream error. NULL: it is not, so far */
    /* Set before the first field: extended CONNECT is welcome, with this Sec-WebSocket-Key. */
    struct str key;
};

/* text: for the head, of at most cap bytes. side: memory for the work, valid until the end. */
void h2_head_init(struct h2_head *, char *text, size_t cap, char *side, size_t side_cap);

/* The next field, as decoded. After an error (broken, over) it only counts. */
void h2_head_field(struct h2_head *, struct str name, struct str value);

/* All fields have come. Returns the length of the text, or 0: broken, or over. */
size_t h2_head_end(struct h2_head *);

/* Does this name, in lower case, belong to the connection, so that HTTP/2 forbids it (8.2.2)?
 */
bool h2_head_of_connection(struct str name);

#endif
