/* Fetches one small text over plain HTTP from one address, to see whether a name leads to this
 * service. libcurl stays behind this header; acmed's network helper only. */
#ifndef ACMED_NET_TRANSPORT_LOOK_H
#define ACMED_NET_TRANSPORT_LOOK_H

#include <stddef.h>
#include <stdint.h>

enum {
    LOOK_CONNECT_MS = 3000,
    LOOK_TOTAL_MS = 5000,
    LOOK_BODY_MAX = 256, /* bytes that are compared; more is not read */
    LOOK_TEXT = 64,
};

enum look_result {
    LOOK_FOUND,    /* the expected text */
    LOOK_OTHER,    /* another response: text is "status 404" or similar */
    LOOK_REDIRECT, /* a redirect, which a CA would follow: text is "status 301" or similar */
    LOOK_CLOSED,   /* no connection or no response: text says why */
    LOOK_NO_WAY,   /* this host has no route to this address */
};

struct look {
    const char *name;    /* a host name or an address, for the URL */
    const char *address; /* numeric; of name */
    uint16_t port;
    const char *path;
    const char *expected;
};

/* text: the result, in printable ASCII. Blocks for at most LOOK_TOTAL_MS. */
enum look_result transport_look(const struct look *look, char text[LOOK_TEXT]);

#endif
