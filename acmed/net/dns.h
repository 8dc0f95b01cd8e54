/* Questions to a DNS server, as a CA would ask them: no hosts file, no search list. Blocks for
 * a few seconds at most. acmed's network half only. */
#ifndef ACMED_NET_DNS_H
#define ACMED_NET_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DNS_REPLY = 8192,  /* bytes of a reply that are looked at */
    DNS_ADDRESSES = 8, /* of one name */
    DNS_ADDRESS = 46,  /* INET6_ADDRSTRLEN */
};

struct dns;

enum dns_result {
    DNS_GOOD,
    DNS_NONE,    /* the name is there, but no record of this type */
    DNS_NO_NAME, /* there is no such name */
    DNS_FAILED,  /* no answer, or the server has trouble */
};

/* server: "192.0.2.53:53", or "" for those of the system. NULL: no memory. */
struct dns *dns_new(const char *server);
void dns_free(struct dns *dns);

/* One server of a zone: asked once and for what it has itself, without recursion. */
struct dns *dns_new_server(const char *address, uint16_t port);

/* The reply's bytes, until the next question. */
enum dns_result dns_ask(struct dns *dns, const char *name, int type, const uint8_t **reply,
                        size_t *n);

/* The same, also a reply that says no, with all of its sections. false: none came. */
bool dns_reply(struct dns *dns, const char *name, int type, const uint8_t **reply, size_t *n);

/* A and AAAA, numeric. *n: how many. */
enum dns_result dns_addresses(struct dns *dns, const char *name,
                              char out[DNS_ADDRESSES][DNS_ADDRESS], size_t *n);

/* The addresses of a reply, which is a stranger's, added to those that are there; *n grows to
 * DNS_ADDRESSES at most. Pure. */
void dns_read_addresses(const uint8_t *reply, size_t size, bool v6,
                        char out[DNS_ADDRESSES][DNS_ADDRESS], size_t *n);

/* No server has answered: further questions are not worth their time. */
bool dns_is_dead(const struct dns *dns);

#endif
