/* DNS queries as a CA makes them: no hosts file, no search list. Blocks for a few seconds at
 * most. acmed's network helper only. */
#ifndef ACMED_NET_DNS_H
#define ACMED_NET_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DNS_REPLY = 8192,  /* bytes of a response that are read */
    DNS_ADDRESSES = 8, /* of one name */
    DNS_ADDRESS = 46,  /* INET6_ADDRSTRLEN */
};

struct dns;

enum dns_result {
    DNS_GOOD,
    DNS_NONE,    /* the name exists, but has no record of this type */
    DNS_NO_NAME, /* the name does not exist */
    DNS_FAILED,  /* no response, or the server reports a failure */
};

/* server: "192.0.2.53:53", or "" for the servers of the system. NULL: no memory. */
struct dns *dns_new(const char *server);
void dns_free(struct dns *dns);

/* Asks one server of a zone, once, and without recursion, for its own data only. */
struct dns *dns_new_server(const char *address, uint16_t port);

/* The response's bytes, valid until the next query. */
enum dns_result dns_ask(struct dns *dns, const char *name, int type, const uint8_t **reply,
                        size_t *n);

/* The same, but also returns negative responses, with all of their sections. false: no
 * response. */
bool dns_reply(struct dns *dns, const char *name, int type, const uint8_t **reply, size_t *n);

/* A and AAAA, numeric. *n: how many. */
enum dns_result dns_addresses(struct dns *dns, const char *name,
                              char out[DNS_ADDRESSES][DNS_ADDRESS], size_t *n);

/* Adds the addresses in a response, which is untrusted, to those already in out; *n grows to at
 * most DNS_ADDRESSES. Pure. */
void dns_read_addresses(const uint8_t *reply, size_t size, bool v6,
                        char out[DNS_ADDRESSES][DNS_ADDRESS], size_t *n);

/* No server responded: further queries would only waste time. */
bool dns_is_dead(const struct dns *dns);

#endif
