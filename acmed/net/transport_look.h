/* Fetching one small text over plain HTTP from one address: does a name lead here? acmed's
 * network half only; libcurl stays behind this header. */
#ifndef ACMED_NET_TRANSPORT_LOOK_H
#define ACMED_NET_TRANSPORT_LOOK_H

#include <stddef.h>
#include <stdint.h>

enum {
    LOOK_CONNECT_MS = 3000,
    LOOK_TOTAL_MS = 5000,
    LOOK_BODY_MAX = 256, /* bytes that are compared; the rest is not read */
    LOOK_TEXT = 64,
};

enum look_result {
    LOOK_FOUND,    /* the text that was expected */
    LOOK_OTHER,    /* another answer: text is "status 404", or what kind of redirect */
    LOOK_REDIRECT, /* elsewhere, which a CA follows: text is "status 301" */
    LOOK_CLOSED,   /* no connection, or no answer: text tells why */
    LOOK_NO_WAY,   /* this host has no route to such addresses */
};

struct look {
    const char *name;    /* as a client would write it: a host name or an address */
    const char *address; /* numeric, of name */
    uint16_t port;
    const char *path;
    const char *expected;
};

/* text: what came, in printable ASCII. Blocks for LOOK_TOTAL_MS at most. */
enum look_result transport_look(const struct look *look, char text[LOOK_TEXT]);

#endif
