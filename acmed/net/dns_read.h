/* Parses responses of DNS servers, which are untrusted. Pure; acmed's network helper only. */
#ifndef ACMED_NET_DNS_READ_H
#define ACMED_NET_DNS_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DNS_NAME = 256,  /* bytes of a name with its NUL */
    DNS_SERVERS = 6, /* servers of a zone that are asked */
};

/* What a zone's server says to a query for one type of record. */
enum dns_says {
    DNS_SAYS_NOTHING,   /* not responsible, failure, or an invalid response */
    DNS_SAYS_YES,       /* there are answers, maybe of another type */
    DNS_SAYS_NO,        /* neither the name nor the record exists */
    DNS_SAYS_ELSEWHERE, /* a referral to the servers of a zone below */
};
enum dns_says dns_read_says(const uint8_t *reply, size_t n);

/* The name that the CNAME record of this name holds. 1: found; 0: there is no such record;
 * -1: there is one, but what it holds cannot be a host name. */
int dns_read_cname(const uint8_t *reply, size_t n, const char *name, char out[DNS_NAME]);

/* Whether there is a TXT record with this text. */
bool dns_read_txt(const uint8_t *reply, size_t n, const char *text);

/* The names of servers, from the answer section or, if it has none, from the authority section.
 * Returns how many. */
size_t dns_read_servers(const uint8_t *reply, size_t n, char out[DNS_SERVERS][DNS_NAME]);

#endif
