/* conf/networks.c - addresses and networks; see conf/networks.h. */
#include "base/conf/networks.h"

#include <netinet/in.h>
#include <string.h>

static bool to_mapped(const struct sockaddr *addr, uint8_t bytes[16])
{
    memset(bytes, 0, 10);
    bytes[10] = bytes[11] = 0xff;
    if (addr->sa_family == AF_INET)
        memcpy(bytes + 12, &((const struct sockaddr_in *)(const void *)addr)->sin_addr, 4);
    else if (addr->sa_family == AF_INET6)
        memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr, 16);
    else
        return false;
    return true;
}

static bool in_network(const struct conf_prefix *net, const uint8_t addr[16])
{
    size_t whole = net->bits / 8;
    unsigned rest = net->bits % 8;

    if (memcmp(net->addr, addr, whole) != 0)
        return false;
    return rest == 0 || (net->addr[whole] ^ addr[whole]) >> (8 - rest) == 0;
}

bool conf_networks_hold(const struct conf_prefix *nets, size_t n, const struct sockaddr *addr)
{
    uint8_t bytes[16];

    if (n == 0 || !to_mapped(addr, bytes))
        return false;
    for (size_t i = 0; i < n; i++)
        if (in_network(&nets[i], bytes))
            return true;
    return false;
}

#define V4_BITS 96 /* of the prefix that mapped addresses share */

static bool is_mapped(const uint8_t addr[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(addr, mapped, sizeof mapped) == 0;
}

static bool networks_match(const struct conf_client *client, const uint8_t addr[16], bool v4)
{
    return client->all ||
           ((!v4 || client->net.bits >= V4_BITS) && in_network(&client->net, addr));
}

bool conf_networks_admit(const struct conf_client *list, size_t n, const struct sockaddr *addr)
{
    bool named = false, v4;
    uint8_t bytes[16];

    if (n == 0)
        return true;
    if (!to_mapped(addr, bytes))
        return false;
    v4 = is_mapped(bytes);
    for (size_t i = 0; i < n; i++) {
        if (networks_match(&list[i], bytes, v4))
            return list[i].allow;
        named |= list[i].allow;
    }
    return !named;
}

bool conf_networks_hide(const struct conf_client *first, const struct conf_client *later)
{
    bool v4 = later->net.bits >= V4_BITS && is_mapped(later->net.addr);

    if (first->all || later->all)
        return first->all;
    return first->net.bits <= later->net.bits && networks_match(first, later->net.addr, v4);
}
