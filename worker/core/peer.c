#include "worker/core/peer.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/conf/conf.h"

void peer_name(struct peer *peer, const struct conf *conf, const struct sockaddr *from,
               socklen_t len)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;

    memcpy(&peer->address, from, len < sizeof peer->address ? len : sizeof peer->address);
    /* A dual-stack listener shows IPv4 as ::ffff:a.b.c.d; use plain IPv4 from here on. */
    if (from->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = six->sin6_port};

        memcpy(&four.sin_addr, &six->sin6_addr.s6_addr[12], 4);
        peer->address.v4 = four;
    }
    if (peer->address.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &peer->address.v4.sin_addr, peer->ip, sizeof peer->ip);
        peer->port = ntohs(peer->address.v4.sin_port);
    } else {
        inet_ntop(AF_INET6, &peer->address.v6.sin6_addr, peer->ip, sizeof peer->ip);
        peer->port = ntohs(peer->address.v6.sin6_port);
    }
    peer->ip_len = (uint8_t)strlen(peer->ip);
    peer->trusted = conf_trusts(conf, &peer->address.any);
}
