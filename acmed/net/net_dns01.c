#include "acmed/net/net_dns01.h"

#include <stdio.h>
#include <string.h>

#include "acmed/net/dns_zone.h"
#include "base/clock.h"

enum { DNS_PORT = 53 };

/* Static, so that servers that do not respond are remembered for the whole job. */
static struct dns_zone zone = {.port = DNS_PORT};

/* Each round uses a new resolver: one that did not respond may do so now. */
static bool begin_round(struct net *net)
{
    char server[65];

    zone.resolver = dns_new(str_copy(server, sizeof server, net_begin(net)->resolver));
    return zone.resolver != NULL;
}

static void end_round(void)
{
    dns_free(zone.resolver);
    zone.resolver = NULL;
}

void net_dns_target(struct net *net, const char *name, char target[NET_DNS_TARGET])
{
    char own[DNS_NAME + 16], found[DNS_NAME];

    _Static_assert((int)NET_DNS_TARGET == (int)DNS_NAME, "a name is a name");
    snprintf(own, sizeof own, "_acme-challenge.%s", name);
    snprintf(target, NET_DNS_TARGET, "%.*s", NET_DNS_TARGET - 1, own);
    if (!ipc_is_host(str_from(own)) || !begin_round(net))
        return;
    if (!dns_zone_target(&zone, own, found))
        snprintf(
            net->dns_missing, sizeof net->dns_missing,
            "the CNAME record at %.100s cannot be used: it leads to too many others, or to "
            "no host name",
            own);
    end_round();
    snprintf(target, NET_DNS_TARGET, "%s", found);
}

/* What one look at all records found. */
struct dns01_round {
    size_t missing;
    bool asked;              /* some server responded */
    const char *first;       /* of those missing: its target */
    char lacks[DNS_ADDRESS]; /* a server without it, or "" */
};

/* Looks once for each record that was not seen yet. */
static struct dns01_round net_dns01_look(struct net *net, struct net_dns_record *records,
                                         size_t n)
{
    struct dns01_round round = {0};

    if (!begin_round(net))
        return round;
    for (size_t i = 0; i < n; i++) {
        enum dns_seen seen;

        if (records[i].seen)
            continue;
        seen = dns_zone_sees(&zone, records[i].target, records[i].value);
        records[i].seen = seen == DNS_SEEN;
        round.asked |= seen != DNS_UNSEEN;
        if (seen != DNS_SEEN && round.missing++ == 0) {
            round.first = records[i].target;
            memcpy(round.lacks, zone.lacks, sizeof round.lacks);
        }
    }
    end_round();
    return round;
}

/* Which records could not be seen, and where. */
static void note_missing(struct net *net, const struct dns01_round *round)
{
    if (round->asked)
        snprintf(net->dns_missing, sizeof net->dns_missing,
                 "the TXT record at %.80s%s not visible%s%s within %llu s (acme.dns_wait)",
                 round->first, round->missing > 1 ? ", and others, were" : " was",
                 round->lacks[0] ? " at name server " : "", round->lacks,
                 (unsigned long long)(net_begin(net)->dns_wait_ms / 1000));
    else
        snprintf(net->dns_missing, sizeof net->dns_missing,
                 "no DNS server responds: the TXT records were not looked up");
}

void net_dns_await(struct net *net, struct net_dns_record *records, size_t n)
{
    static const uint64_t pause_ms[] = {500, 1000, 2000, 4000};
    uint64_t wait_ms = net_begin(net)->dns_wait_ms, until_ms = clock_mono_ms() + wait_ms;
    struct dns01_round round;

    if (wait_ms == 0 || n == 0)
        return;
    for (size_t i = 0;; i++) {
        round = net_dns01_look(net, records, n);
        if (round.missing == 0 || !round.asked || clock_mono_ms() >= until_ms)
            break;
        net_sleep(net, pause_ms[i < 3 ? i : 3]);
    }
    if (round.missing > 0 && !net->dns_missing[0]) /* else a useless CNAME is the cause */
        note_missing(net, &round);
}
