/* Questions about a record that is about to appear: they go to the servers of its zone.
 *
 * A resolver that is asked too early remembers that the name is not there, for as long as the
 * zone says, which may be an hour, and tells so everybody who asks it, us too. So the resolver
 * is asked only which servers these are, for the names above; it is asked for the record itself
 * only where none of them answers, as behind a firewall.
 *
 * Blocks, for a few seconds for each server that does not answer; such a one is not asked
 * again. acmed's network half only. */
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
};

/* Where the records of a name stand: the name itself, or what CNAME records lead to. */
void dns_zone_target(struct dns_zone *zone, const char *name, char target[DNS_NAME]);

enum dns_seen {
    DNS_SEEN,     /* by all servers that answer */
    DNS_NOT_SEEN, /* at least one does not have it */
    DNS_UNSEEN,   /* nobody could be asked */
};
enum dns_seen dns_zone_sees(struct dns_zone *zone, const char *target, const char *text);

#endif
