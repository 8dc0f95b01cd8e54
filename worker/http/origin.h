/* Where a request comes from: the only definition of the client's address, and of the scheme,
 * host and port that the client used.
 *
 * Without a load balancer in front, this is what the connection shows. If the peer is in one of
 * the `trusted` networks, it is what that peer reports, and everything follows it: redirects,
 * Location, Secure cookies, the fields that the backend gets, the access log, affinity by
 * address. Pure; computed once for each request.
 *
 * Which fields to believe: they are read from the right, as each proxy appends at the end. The
 * client is the first address that is not trusted; everything to the left of it was written by
 * the client itself and is ignored. X-Forwarded-For, -Proto, -Host, -Port (or X-Real-IP) take
 * precedence over Forwarded (RFC 7239): most load balancers set only the former and pass the
 * latter on unchanged. The backend gets both, and they agree. */
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
    ORIGIN_HOPS = 32,            /* addresses that are considered: the last ones of the list */
    ORIGIN_AUTHORITY = 255 + 8,  /* largest size of origin_authority(), in bytes */
    ORIGIN_REQUEST_ID_MAX = 128, /* a longer X-Request-Id is not taken over */
};

/* What the connection itself shows. */
struct origin_peer {
    const struct sockaddr *address; /* AF_INET or AF_INET6, not mapped */
    struct str ip;                  /* as text */
    uint16_t server_port;           /* the local port that it connected to */
    bool trusted;
};

/* The source of the information. */
enum origin_source {
    ORIGIN_CONNECTION,  /* only the connection */
    ORIGIN_X_FORWARDED, /* X-Forwarded-*, X-Real-IP */
    ORIGIN_FORWARDED,   /* Forwarded */
};

struct origin {
    const struct sockaddr *address; /* the client's; its port is 0 if unknown */
    struct str ip;                  /* as text; IPv6 without brackets */
    struct str authority;  /* host[:port] as sent by the client; empty: none was sent */
    struct str host;       /* the same without port and brackets */
    struct str request_id; /* X-Request-Id of a trusted peer; empty: none */
    uint16_t port;         /* port that the client connected to */
    uint8_t source;        /* enum origin_source */
    int8_t hop; /* index of the client in origin_hops(); -1: the peer is the client */
    bool https;
    bool add_port; /* authority lacks the port, and it is not the scheme's default */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } told; /* storage for address and ip when hop >= 0, so a struct origin must not move */
    char text[INET6_ADDRSTRLEN];
};

/* Fills *origin. conf: for the trusted networks. The slices point into the request, the peer
 * and *origin. */
void origin_find(struct origin *origin, const struct http_request *request,
                 const struct origin_peer *peer, const struct conf *conf);

/* host[:port] for URLs that the client is to use; built in buf if the port has to be added. */
struct str origin_authority(const struct origin *origin, char buf[ORIGIN_AUTHORITY]);

/* The reported addresses, oldest first, in canonical text: "192.0.2.1", "2001:db8::1", or
 * "unknown" for anything that is not an address. Returns how many. */
struct origin_hop {
    uint8_t n;
    char text[INET6_ADDRSTRLEN];
};
unsigned origin_hops(const struct origin *origin, const struct http_request *request,
                     struct origin_hop hops[ORIGIN_HOPS]);

#endif
