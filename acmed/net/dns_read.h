/* What stands in a reply of a DNS server, which is a stranger's. Pure; acmed's network half. */
#ifndef ACMED_NET_DNS_READ_H
#define ACMED_NET_DNS_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DNS_NAME = 256,  /* bytes of a name with its NUL */
    DNS_SERVERS = 6, /* of a zone that are asked */
};

/* What a server of a zone says to a question for one type of records. */
enum dns_says {
    DNS_SAYS_NOTHING,   /* it is not responsible, has trouble, or talks nonsense */
    DNS_SAYS_YES,       /* there are answers, maybe of another type */
    DNS_SAYS_NO,        /* neither name nor record */
    DNS_SAYS_ELSEWHERE, /* the servers of a zone below it know */
};
enum dns_says dns_read_says(const uint8_t *reply, size_t n);

/* The name that the CNAME record of this name holds. false: none that could be a host's. */
bool dns_read_cname(const uint8_t *reply, size_t n, const char *name, char out[DNS_NAME]);

/* Is there a TXT record with this text? */
bool dns_read_txt(const uint8_t *reply, size_t n, const char *text);

/* The names of servers: in the answers, or, where that has none, in the authority section.
 * Returns how many. */
size_t dns_read_servers(const uint8_t *reply, size_t n, char out[DNS_SERVERS][DNS_NAME]);

#endif
