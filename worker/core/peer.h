/* The other end of a client's connection: facts that do not change while it lasts. Embedded in
 * the transport; read by everyone. Worker only. */
#ifndef WORKER_PEER_H
#define WORKER_PEER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct client;
struct conf;
struct conf_listen;
struct tls_conn;

struct peer {
    const struct conf_listen *listen;
    const struct tls_conn *tls; /* NULL: plain */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    struct client *client; /* whose limits apply (worker/core/clients.h); NULL: none */
    uint64_t accepted_us;  /* monotonic */
    uint64_t handshake_us; /* duration; 0: plain */
    uint32_t requests;     /* begun on this connection */
    uint16_t port;
    bool trusted; /* the fields in which it reports its client are believed */
    uint8_t ip_len;
    char ip[INET6_ADDRSTRLEN]; /* text; a mapped address is written as IPv4 */
};

/* Sets the address, in all its forms, and whether it is one of conf.trusted. */
void peer_name(struct peer *, const struct conf *conf, const struct sockaddr *from,
               socklen_t len);

static inline struct str peer_ip(const struct peer *peer)
{
    return str_make(peer->ip, peer->ip_len);
}

#endif
