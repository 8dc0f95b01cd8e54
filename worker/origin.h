/* Where a request comes from: the one notion of the client's address, and of the scheme,
 * host and port that it used.
 *
 * Without a balancer before us this is what the connection shows. Where the peer is one of
 * the `trusted` networks it is what that says, and everything follows it: redirects,
 * Location, Secure cookies, the fields that the backend gets, the access log, affinity by
 * address. Pure; computed once for each request.
 *
 * Whom to believe: fields are read from the right, as each proxy adds at the end. The
 * client is the first address that is no trusted one; what stands to the left of it is its
 * own word and counts for nothing. X-Forwarded-For, -Proto, -Host, -Port (or X-Real-IP) go
 * before Forwarded (RFC 7239): most balancers set only the former and pass the latter on as
 * it came. The backend gets both, and they agree. */
#ifndef WORKER_ORIGIN_H
#define WORKER_ORIGIN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/str.h"

struct conf;
struct http_request;

enum {
    ORIGIN_HOPS = 32,            /* addresses looked at: the last ones that were told */
    ORIGIN_AUTHORITY = 255 + 8,  /* bytes of origin_authority() at most */
    ORIGIN_REQUEST_ID_MAX = 128, /* a longer X-Request-Id is not taken over */
};

/* What the connection shows. */
struct origin_peer {
    const struct sockaddr *address; /* AF_INET or AF_INET6, not mapped */
    struct str ip;                  /* its text */
    uint16_t server_port;           /* where it connected to */
    bool trusted;
};

/* Whose words were believed. */
enum origin_source {
    ORIGIN_CONNECTION,  /* nobody's */
    ORIGIN_X_FORWARDED, /* X-Forwarded-*, X-Real-IP */
    ORIGIN_FORWARDED,   /* Forwarded */
};

struct origin {
    const struct sockaddr *address; /* the client's; the port is 0 when it is not known */
    struct str ip;                  /* its text; IPv6 without brackets */
    struct str authority;           /* host[:port] as the client named it; empty: it did not */
    struct str host;                /* the same without port and brackets */
    struct str request_id;          /* X-Request-Id of a trusted peer; empty: none */
    uint16_t port;                  /* that the client connected to */
    uint8_t source;                 /* enum origin_source */
    int8_t hop;                     /* the client in origin_hops(); -1: the peer is it */
    bool https;
    bool add_port; /* authority lacks the port, which is not the scheme's own */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } told; /* what address and ip point to when hop >= 0; so a struct origin stays in place */
    char text[INET6_ADDRSTRLEN];
};

/* conf: for the trusted networks. Slices live as long as the request and the peer's. */
void origin_find(struct origin *origin, const struct http_request *request,
                 const struct origin_peer *peer, const struct conf *conf);

/* host[:port] for URLs that the client is to use; buf is used where that must be made. */
struct str origin_authority(const struct origin *origin, char buf[ORIGIN_AUTHORITY]);

/* The addresses that were told, oldest first, as text of ours: "192.0.2.1", "2001:db8::1",
 * or "unknown" for what is no address. How many. */
struct origin_hop {
    uint8_t n;
    char text[INET6_ADDRSTRLEN];
};
unsigned origin_hops(const struct origin *origin, const struct http_request *request,
                     struct origin_hop hops[ORIGIN_HOPS]);

#endif
