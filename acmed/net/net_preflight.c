#include "acmed/net/net_preflight.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "acmed/net/caa.h"
#include "acmed/net/dns.h"
#include "acmed/net/preflight.h"
#include "acmed/net/transport_look.h"
#include "base/clock.h"

enum {
    BUDGET_MS = 25000, /* for all names, so that the order is not delayed for longer */
    SHUT_MAX = 16,     /* addresses that did not respond, and are not tried again */
    LINE_NAME = 253,   /* bytes of a name in a finding */
};

struct flight {
    struct net *net;
    struct dns *dns;
    uint64_t until_ms;
    bool http, dns_told, cut;
    char path[160], expected[129];
    char shut[SHUT_MAX][DNS_ADDRESS];
    size_t n_shut;
    char text[PREFLIGHT_MAX];
    size_t n;
};

/* ---- findings */

static __attribute__((format(printf, 3, 4))) void found(struct flight *f, char what,
                                                        const char *fmt, ...)
{
    char line[PREFLIGHT_LINE];
    va_list ap;
    int n;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    for (char *p = line; *p; p++)
        if (*p < 0x20 || *p > 0x7e)
            *p = '?';
    n = snprintf(f->text + f->n, sizeof f->text - f->n, "%c %s\n", what, line);
    if (n > 0 && (size_t)n < sizeof f->text - f->n)
        f->n += (size_t)n;
}

static bool dns_silent(struct flight *f)
{
    if (!dns_is_dead(f->dns))
        return false;
    if (!f->dns_told)
        found(f, PREFLIGHT_UNSURE,
              "no DNS server responds, so nothing was checked; see acme.resolver");
    f->dns_told = true;
    return true;
}

/* ---- the marker */

static void look_at_address(struct flight *f, const char *name, const char *address)
{
    uint16_t port = (uint16_t)net_begin(f->net)->http_port;
    const struct look look = {name, address, port, f->path, f->expected};
    char came[LOOK_TEXT];

    for (size_t i = 0; i < f->n_shut; i++)
        if (strcmp(f->shut[i], address) == 0)
            return; /* reported already */
    switch (transport_look(&look, came)) {
    case LOOK_FOUND:
        found(f, PREFLIGHT_SEEN, "%.*s at %s", LINE_NAME, name, address);
        return;
    case LOOK_OTHER:
        found(f, PREFLIGHT_MISSED,
              "%.*s: another server responds at %s (%s); make that address lead here, or "
              "remove it from DNS",
              LINE_NAME, name, address, came);
        return;
    case LOOK_REDIRECT:
        found(f, PREFLIGHT_UNSURE,
              "%.*s: %s port %u redirects elsewhere (%s), and the CA will follow it", LINE_NAME,
              name, address, port, came);
        return;
    case LOOK_NO_WAY:
        found(f, PREFLIGHT_UNSURE, "%.*s: %s could not be checked, there is no route from here",
              LINE_NAME, name, address);
        return;
    case LOOK_CLOSED:
        found(f, PREFLIGHT_MISSED,
              "%.*s: nothing responds at %s port %u (%s); open it, or make it lead here",
              LINE_NAME, name, address, port, came);
        break;
    }
    if (f->n_shut < SHUT_MAX)
        snprintf(f->shut[f->n_shut++], DNS_ADDRESS, "%s", address);
}

static void look_at_name(struct flight *f, const char *name, bool is_address)
{
    char addresses[DNS_ADDRESSES][DNS_ADDRESS];
    size_t n = 0;

    if (is_address) {
        look_at_address(f, name, name);
        return;
    }
    switch (dns_addresses(f->dns, name, addresses, &n)) {
    case DNS_NO_NAME:
    case DNS_NONE:
        /* Only unsure: the CA's DNS may know more than this host's. */
        found(f, PREFLIGHT_UNSURE,
              "%.*s has no address in the DNS of this host; create an A or AAAA record that "
              "leads here",
              LINE_NAME, name);
        break;
    case DNS_FAILED:
        if (!dns_silent(f))
            found(f, PREFLIGHT_UNSURE, "the address of %.*s cannot be looked up", LINE_NAME,
                  name);
        break;
    case DNS_GOOD:
        for (size_t i = 0; i < n; i++)
            look_at_address(f, name, addresses[i]);
        break;
    }
}

/* ---- CAA */

/* Looks at the name itself, then at its parents, until there are records (RFC 8659 section
 * 3). */
static void check_caa(struct flight *f, const char *name, bool wildcard)
{
    const char *identities = f->net->directory.caa;
    struct str first = str_from(identities);
    const uint8_t *reply;
    char why[CAA_TEXT];
    size_t n;

    for (const char *at = name; at && *at && !dns_silent(f); at = caa_parent(at)) {
        switch (dns_ask(f->dns, at, CAA_TYPE, &reply, &n)) {
        case DNS_NONE:
        case DNS_NO_NAME:
            continue;
        case DNS_FAILED:
            if (!dns_silent(f))
                found(f, PREFLIGHT_UNSURE,
                      "the CAA records of %.*s cannot be looked up; the CA will refuse it",
                      LINE_NAME, at);
            return;
        case DNS_GOOD:
            break;
        }
        switch (caa_judge(reply, n, identities, wildcard, why)) {
        case CAA_NONE:
            continue;
        case CAA_BAD:
            found(f, PREFLIGHT_UNSURE, "the CAA records of %.*s cannot be read", LINE_NAME, at);
            return;
        case CAA_FORBIDS:
            found(f, PREFLIGHT_FORBIDDEN, "CAA at %.*s forbids it (%.60s); add 0 %s \"%.*s\"",
                  LINE_NAME, at, why, wildcard ? "issuewild" : "issue",
                  (int)str_index(first, ','), first.p);
            return;
        case CAA_ALLOWS:
            return;
        }
    }
}

/* ---- all names */

static void check_name(struct flight *f, const char *name)
{
    bool wildcard = name[0] == '*';
    unsigned char address[16];
    bool is_address =
        inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;

    if (clock_mono_ms() >= f->until_ms) {
        if (!f->cut)
            found(f, PREFLIGHT_UNSURE, "it took too long: not all names were checked");
        f->cut = true;
        return;
    }
    if (f->net->directory.caa[0] && !is_address)
        check_caa(f, wildcard ? name + 2 : name, wildcard);
    if (f->http && !wildcard && f->expected[0])
        look_at_name(f, name, is_address);
}

static bool wants_http(const struct net *net)
{
    for (uint64_t kinds = net_begin(net)->challenges; kinds; kinds >>= 4)
        if ((kinds & 15) == JOB_HTTP_01)
            return true;
    return false;
}

bool net_preflight(struct net *net)
{
    struct flight *f = calloc(1, sizeof *f); /* with the findings; kept until exit */
    struct str names = net_begin(net)->names;
    char server[65], token[129], name[256];

    if (f)
        f->dns = dns_new(str_copy(server, sizeof server, net_begin(net)->resolver));
    if (!f || !f->dns) {
        free(f);
        return net_fail(net, "net.response", "no memory");
    }
    f->net = net;
    f->http = wants_http(net);
    f->until_ms = clock_mono_ms() + BUDGET_MS;
    snprintf(f->path, sizeof f->path, "/.well-known/acme-challenge/%s",
             str_copy(token, sizeof token, net_begin(net)->marker));
    str_copy(f->expected, sizeof f->expected, net_begin(net)->marker_text);
    while (names.n) {
        size_t end = str_index(names, '\n');

        str_copy(name, sizeof name, str_head(names, end));
        names = str_skip(names, end < names.n ? end + 1 : end);
        check_name(f, name);
    }
    net->done.info = str_make(f->text, f->n);
    dns_free(f->dns);
    return true;
}
