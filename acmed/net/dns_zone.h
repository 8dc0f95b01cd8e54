/* Looks for a record that is about to appear, by asking the servers of its zone.
 *
 * A resolver that is asked too early remembers that the name does not exist, for as long as the
 * zone says (maybe an hour), and returns that to everybody who asks it, including us. So the
 * resolver is only asked which servers these are, by the names above the record. It is asked
 * for the record itself only when none of the servers responds, for example behind a firewall.
 *
 * Blocks for a few seconds for each server that does not respond; such a server is not asked
 * again. acmed's network helper only. */
#ifndef ACMED_NET_DNS_ZONE_H
#define ACMED_NET_DNS_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/net/dns.h"
#include "acmed/net/dns_read.h"

enum { DNS_SHUT_MAX = 16 };

struct dns_zone {
    struct dns *resolver; /* borrowed */
    uint16_t port;        /* of the servers: 53 */
    char shut[DNS_SHUT_MAX][DNS_ADDRESS];
    size_t n_shut;
    char lacks[DNS_ADDRESS]; /* a server that the last dns_zone_sees() found without the record,
                              * or "" */
};

/* Where the records of a name are: at the name itself, or where CNAME records point. false: a
 * CNAME record cannot be followed (a loop, or no host name in it). */
bool dns_zone_target(struct dns_zone *zone, const char *name, char target[DNS_NAME]);

enum dns_seen {
    DNS_SEEN,     /* by all servers that respond */
    DNS_NOT_SEEN, /* at least one server does not have it */
    DNS_UNSEEN,   /* nothing could be asked */
};
enum dns_seen dns_zone_sees(struct dns_zone *zone, const char *target, const char *text);

#endif
