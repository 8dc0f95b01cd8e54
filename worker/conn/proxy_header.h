/* The header of the PROXY protocol, in which a load balancer in front tells who its client is
 * (haproxy.org, proxy-protocol.txt, versions 1 and 2). Worker only, pure. */
#ifndef WORKER_PROXY_HEADER_H
#define WORKER_PROXY_HEADER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROXY_HEADER_V1_MAX = 107, /* bytes of a line, its CRLF included (section 2.1) */
    /* Bytes of any header: the largest that a load balancer sends, one with the client's
     * certificate in it, has less. */
    PROXY_HEADER_MAX = 4096,
};

struct proxy_header {
    /* The client is the one of the connection itself: a check of the balancer (LOCAL), or a
     * client whose address it does not know or cannot tell (UNKNOWN, UNSPEC, a unix socket). */
    bool local;
    union { /* otherwise: the client */
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } client;
};

/* Reads the header at the start of these bytes. Returns its length; 0: more bytes are needed
 * (never with PROXY_HEADER_MAX of them); -1: malformed, or larger than that. */
int proxy_header_parse(const uint8_t *bytes, size_t n, struct proxy_header *);

#endif
