#include "acmed/net/dns.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

enum { WAIT_S = 2 }; /* for a response; tried twice */

struct dns {
    struct __res_state state;
    bool ready, dead;
    uint8_t reply[DNS_REPLY];
};

/* The configuration has validated server. */
static void use_server(struct dns *dns, const char *server)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    size_t colon = str_index(str_from(server), ':');
    char host[INET_ADDRSTRLEN];

    str_copy(host, sizeof host, str_head(str_from(server), colon));
    if (server[colon] != ':' || inet_pton(AF_INET, host, &to.sin_addr) != 1)
        return;
    to.sin_port = htons((uint16_t)atoi(server + colon + 1));
    dns->state.nscount = 1;
    dns->state.nsaddr_list[0] = to;
}

struct dns *dns_new(const char *server)
{
    struct dns *dns = calloc(1, sizeof *dns);

    if (!dns)
        return NULL;
    dns->ready = res_ninit(&dns->state) == 0;
    dns->state.retrans = WAIT_S;
    dns->state.retry = 2;
    if (*server)
        use_server(dns, server);
    return dns;
}

struct dns *dns_new_server(const char *address, uint16_t port)
{
    char server[DNS_ADDRESS + 8];
    struct dns *dns;

    snprintf(server, sizeof server, "%s:%u", address, port);
    dns = dns_new(server);
    if (dns) {
        dns->state.retry = 1;
        dns->state.options &= ~(unsigned long)RES_RECURSE;
    }
    return dns;
}

void dns_free(struct dns *dns)
{
    if (dns && dns->ready)
        res_nclose(&dns->state);
    free(dns);
}

bool dns_is_dead(const struct dns *dns)
{
    return dns->dead;
}

typedef int asker(struct dns *, const char *name, int type);

/* Only a response with such a record counts. */
static int ask_for_record(struct dns *dns, const char *name, int type)
{
    return res_nquery(&dns->state, name, ns_c_in, type, dns->reply, sizeof dns->reply);
}

/* Any response counts. */
static int ask_for_reply(struct dns *dns, const char *name, int type)
{
    uint8_t question[NS_PACKETSZ];
    int n = res_nmkquery(&dns->state, ns_o_query, name, ns_c_in, type, NULL, 0, NULL, question,
                         sizeof question);

    return n < 0 ? -1 : res_nsend(&dns->state, question, n, dns->reply, sizeof dns->reply);
}

/* Over UDP the library treats some responses as silence, though at once: a failure, or no such
 * record from a server that does not recurse. Over TCP it returns them. */
static int query(struct dns *dns, asker *ask_library, const char *name, int type)
{
    uint64_t begun_ms = clock_mono_ms();
    int got;

    errno = 0;
    got = ask_library(dns, name, type);
    dns->dead = got < 0 && (errno == ETIMEDOUT || errno == ECONNREFUSED);
    if (!dns->dead || errno != ETIMEDOUT || clock_mono_ms() - begun_ms >= WAIT_S * 1000)
        return got;
    dns->dead = false;
    dns->state.options |= RES_USEVC;
    got = ask_library(dns, name, type);
    dns->state.options &= ~(unsigned long)RES_USEVC;
    return got;
}

enum dns_result dns_ask(struct dns *dns, const char *name, int type, const uint8_t **reply,
                        size_t *n)
{
    int got;

    *reply = dns->reply;
    *n = 0;
    if (!dns->ready || dns->dead)
        return DNS_FAILED;
    got = query(dns, ask_for_record, name, type);
    if (got >= 0) {
        *n = (size_t)got < sizeof dns->reply ? (size_t)got : sizeof dns->reply;
        return DNS_GOOD;
    }
    if (dns->state.res_h_errno == HOST_NOT_FOUND)
        return DNS_NO_NAME;
    if (dns->state.res_h_errno == NO_DATA)
        return DNS_NONE;
    return DNS_FAILED;
}

bool dns_reply(struct dns *dns, const char *name, int type, const uint8_t **reply, size_t *n)
{
    int got;

    if (!dns->ready || dns->dead)
        return false;
    got = query(dns, ask_for_reply, name, type);
    if (got < 0 || (size_t)got > sizeof dns->reply)
        return false;
    *reply = dns->reply;
    *n = (size_t)got;
    return true;
}

void dns_read_addresses(const uint8_t *reply, size_t size, bool v6,
                        char out[DNS_ADDRESSES][DNS_ADDRESS], size_t *n)
{
    int type = v6 ? ns_t_aaaa : ns_t_a, family = v6 ? AF_INET6 : AF_INET;
    int length = v6 ? 16 : 4;
    ns_msg message;
    ns_rr record;

    if (size > DNS_REPLY || ns_initparse(reply, (int)size, &message) < 0)
        return;
    for (int i = 0; i < ns_msg_count(message, ns_s_an) && *n < DNS_ADDRESSES; i++)
        if (ns_parserr(&message, ns_s_an, i, &record) == 0 && (int)ns_rr_type(record) == type &&
            ns_rr_class(record) == ns_c_in && ns_rr_rdlen(record) == length &&
            inet_ntop(family, ns_rr_rdata(record), out[*n], DNS_ADDRESS))
            ++*n;
}

enum dns_result dns_addresses(struct dns *dns, const char *name,
                              char out[DNS_ADDRESSES][DNS_ADDRESS], size_t *n)
{
    enum dns_result worst = DNS_NONE, result;
    const uint8_t *reply;
    size_t size;

    *n = 0;
    for (int v6 = 0; v6 < 2; v6++) {
        result = dns_ask(dns, name, v6 ? ns_t_aaaa : ns_t_a, &reply, &size);
        if (result == DNS_GOOD)
            dns_read_addresses(reply, size, v6, out, n);
        else if (result > worst)
            worst = result;
    }
    return *n ? DNS_GOOD : worst;
}
