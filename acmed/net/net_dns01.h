/* Where a TXT record of dns-01 belongs, and whether it is visible. Network helper only. */
#ifndef ACMED_NET_NET_DNS01_H
#define ACMED_NET_NET_DNS01_H

#include <stddef.h>

#include "acmed/net/net_core.h"

enum { NET_DNS_TARGET = 256 }; /* bytes of a name with its NUL */

struct net_dns_record {
    const char *target, *value;
    bool seen;
};

/* Where the TXT record of dns-01 for this name belongs: follows CNAMEs. */
void net_dns_target(struct net *net, const char *name, char target[NET_DNS_TARGET]);

/* Waits until all records are visible, for at most begin->dns_wait_ms. Those that are not are
 * named in net->dns_missing, and the job continues: the CA may see more than this host. */
void net_dns_await(struct net *net, struct net_dns_record *records, size_t n);

#endif
