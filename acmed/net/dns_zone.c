#include "acmed/net/dns_zone.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <stdio.h>
#include <string.h>

#include "acmed/net/caa.h"

enum {
    HOPS = 8,  /* CNAME records followed */
    DEPTH = 4, /* referrals followed */
};

struct servers {
    char address[DNS_SERVERS][DNS_ADDRESS];
    size_t n;
};

/* ---- which servers */

/* IPv4 only, which every server has. */
static void resolve(struct dns_zone *zone, char names[DNS_SERVERS][DNS_NAME], size_t n_names,
                    struct servers *out)
{
    char found[DNS_ADDRESSES][DNS_ADDRESS];
    struct in_addr v4;
    size_t n;

    out->n = 0;
    for (size_t i = 0; i < n_names && out->n < DNS_SERVERS; i++) {
        if (dns_addresses(zone->resolver, names[i], found, &n) != DNS_GOOD)
            continue;
        for (size_t k = 0; k < n && out->n < DNS_SERVERS; k++)
            if (inet_pton(AF_INET, found[k], &v4) == 1)
                memcpy(out->address[out->n++], found[k], DNS_ADDRESS);
    }
}

/* Finds the servers of the zone that contains this name. */
static void find_servers(struct dns_zone *zone, const char *name, struct servers *out)
{
    char names[DNS_SERVERS][DNS_NAME];
    const uint8_t *reply;
    size_t n, size;

    out->n = 0;
    for (const char *at = name; at && *at && !dns_is_dead(zone->resolver); at = caa_parent(at))
        if (dns_ask(zone->resolver, at, ns_t_ns, &reply, &size) == DNS_GOOD &&
            (n = dns_read_servers(reply, size, names)) > 0) {
            resolve(zone, names, n, out);
            return;
        }
}

/* ---- asking them */

static bool is_shut(const struct dns_zone *zone, const char *address)
{
    for (size_t i = 0; i < zone->n_shut; i++)
        if (strcmp(zone->shut[i], address) == 0)
            return true;
    return false;
}

/* Asks one server. The response stays in *dns, which the caller frees. */
static enum dns_says ask_server(struct dns_zone *zone, const char *address, const char *name,
                                int type, struct dns **dns, const uint8_t **reply, size_t *n)
{
    *dns = NULL;
    if (is_shut(zone, address))
        return DNS_SAYS_NOTHING;
    *dns = dns_new_server(address, zone->port);
    if (*dns && dns_reply(*dns, name, type, reply, n))
        return dns_read_says(*reply, *n);
    if (zone->n_shut < DNS_SHUT_MAX)
        snprintf(zone->shut[zone->n_shut++], DNS_ADDRESS, "%s", address);
    return DNS_SAYS_NOTHING;
}

/* A search and its result so far. */
struct search {
    struct dns_zone *zone;
    const char *name;
    int type;
    const char *text; /* for a TXT record; NULL: the first server decides */
    char *cname;      /* for a CNAME record: [DNS_NAME] */
    bool responded, found, missing;
    bool odd; /* a CNAME record that holds no host name */
};

static void dns_zone_take(struct search *s, enum dns_says says, const uint8_t *reply, size_t n)
{
    int cname =
        says == DNS_SAYS_YES && !s->text ? dns_read_cname(reply, n, s->name, s->cname) : 0;
    bool found =
        says == DNS_SAYS_YES && (s->text ? dns_read_txt(reply, n, s->text) : cname > 0);

    s->responded = true;
    s->odd |= cname < 0;
    s->found |= found;
    s->missing |= !found;
}

/* Asks each server once. true: they referred to a zone below, and *servers are now that
 * zone's. */
static bool ask_all(struct search *s, struct servers *servers)
{
    char names[DNS_SERVERS][DNS_NAME];

    for (size_t i = 0; i < servers->n && !(s->responded && !s->text); i++) {
        const uint8_t *reply = NULL;
        struct dns *dns;
        size_t n = 0, n_names = 0;
        enum dns_says says =
            ask_server(s->zone, servers->address[i], s->name, s->type, &dns, &reply, &n);

        if (says == DNS_SAYS_YES || says == DNS_SAYS_NO) {
            bool had_missing = s->missing;

            dns_zone_take(s, says, reply, n);
            if (s->missing && !had_missing)
                memcpy(s->zone->lacks, servers->address[i], DNS_ADDRESS);
        }
        if (says == DNS_SAYS_ELSEWHERE)
            n_names = dns_read_servers(reply, n, names);
        dns_free(dns);
        if (n_names) {
            resolve(s->zone, names, n_names, servers);
            return true;
        }
    }
    return false;
}

static void dns_zone_look(struct search *s)
{
    const char *above = caa_parent(s->name);
    const uint8_t *reply;
    struct servers servers;
    enum dns_result result;
    size_t n;

    find_servers(s->zone, above ? above : s->name, &servers);
    for (int depth = 0; depth < DEPTH && ask_all(s, &servers); depth++)
        s->responded = s->found = s->missing = false;
    if (s->responded)
        return;
    result = dns_ask(s->zone->resolver, s->name, s->type, &reply, &n);
    if (result != DNS_FAILED)
        dns_zone_take(s, result == DNS_GOOD ? DNS_SAYS_YES : DNS_SAYS_NO, reply, n);
}

bool dns_zone_target(struct dns_zone *zone, const char *name, char target[DNS_NAME])
{
    char next[DNS_NAME] = "";

    snprintf(target, DNS_NAME, "%s", name);
    for (int hops = 0; hops < HOPS; hops++) {
        struct search s = {.zone = zone, .name = target, .type = ns_t_cname, .cname = next};

        dns_zone_look(&s);
        if (!s.found)
            return !s.odd;
        memcpy(target, next, DNS_NAME);
    }
    return false;
}

enum dns_seen dns_zone_sees(struct dns_zone *zone, const char *target, const char *text)
{
    struct search s = {.zone = zone, .name = target, .type = ns_t_txt, .text = text};

    zone->lacks[0] = '\0';
    dns_zone_look(&s);
    return s.found && !s.missing ? DNS_SEEN : s.missing ? DNS_NOT_SEEN : DNS_UNSEEN;
}
