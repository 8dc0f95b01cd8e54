#include "acmed/net/dns_read.h"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <resolv.h>
#include <string.h>
#include <strings.h>

#include "acmed/net/dns.h"
#include "acmed/net/ipc.h"

static bool dns_read_parse(const uint8_t *reply, size_t n, ns_msg *message)
{
    return n <= DNS_REPLY && ns_initparse(reply, (int)n, message) == 0;
}

/* false: not a record of this type. */
static bool record_of(ns_msg *message, ns_sect section, int i, ns_type type, ns_rr *record)
{
    return ns_parserr(message, section, i, record) == 0 && ns_rr_type(*record) == type &&
           ns_rr_class(*record) == ns_c_in;
}

/* Reads a record whose data is a name. */
static bool name_in(ns_msg *message, const ns_rr *record, char out[DNS_NAME])
{
    return ns_name_uncompress(ns_msg_base(*message), ns_msg_end(*message), ns_rr_rdata(*record),
                              out, DNS_NAME) >= 0 &&
           ipc_is_host(str_from(out));
}

static size_t servers_in(ns_msg *message, ns_sect section, char out[DNS_SERVERS][DNS_NAME])
{
    size_t n = 0;
    ns_rr record;

    for (int i = 0; i < ns_msg_count(*message, section) && n < DNS_SERVERS; i++)
        if (record_of(message, section, i, ns_t_ns, &record) &&
            name_in(message, &record, out[n]))
            n++;
    return n;
}

enum dns_says dns_read_says(const uint8_t *reply, size_t n)
{
    char servers[DNS_SERVERS][DNS_NAME];
    ns_msg message;
    int rcode;

    if (!dns_read_parse(reply, n, &message))
        return DNS_SAYS_NOTHING;
    rcode = (int)ns_msg_getflag(message, ns_f_rcode);
    if (rcode == ns_r_nxdomain)
        return DNS_SAYS_NO;
    if (rcode != ns_r_noerror)
        return DNS_SAYS_NOTHING;
    if (ns_msg_count(message, ns_s_an) > 0)
        return DNS_SAYS_YES;
    return !ns_msg_getflag(message, ns_f_aa) && servers_in(&message, ns_s_ns, servers) > 0
               ? DNS_SAYS_ELSEWHERE
               : DNS_SAYS_NO;
}

int dns_read_cname(const uint8_t *reply, size_t n, const char *name, char out[DNS_NAME])
{
    ns_msg message;
    ns_rr record;

    if (!dns_read_parse(reply, n, &message))
        return 0;
    for (int i = 0; i < ns_msg_count(message, ns_s_an); i++)
        if (record_of(&message, ns_s_an, i, ns_t_cname, &record) &&
            strcasecmp(ns_rr_name(record), name) == 0)
            return name_in(&message, &record, out) ? 1 : -1;
    return 0;
}

/* The data of a TXT record is split into strings of at most 255 bytes. */
static bool dns_read_is_text(const ns_rr *record, const char *text)
{
    const uint8_t *at = ns_rr_rdata(*record), *end = at + ns_rr_rdlen(*record);
    size_t left = strlen(text);

    while (at < end) {
        size_t n = *at++;

        if (n > (size_t)(end - at) || n > left || memcmp(at, text, n) != 0)
            return false;
        at += n;
        text += n;
        left -= n;
    }
    return left == 0;
}

bool dns_read_txt(const uint8_t *reply, size_t n, const char *text)
{
    ns_msg message;
    ns_rr record;

    if (!dns_read_parse(reply, n, &message))
        return false;
    for (int i = 0; i < ns_msg_count(message, ns_s_an); i++)
        if (record_of(&message, ns_s_an, i, ns_t_txt, &record) &&
            dns_read_is_text(&record, text))
            return true;
    return false;
}

size_t dns_read_servers(const uint8_t *reply, size_t n, char out[DNS_SERVERS][DNS_NAME])
{
    ns_msg message;
    size_t found;

    if (!dns_read_parse(reply, n, &message))
        return 0;
    found = servers_in(&message, ns_s_an, out);
    return found ? found : servers_in(&message, ns_s_ns, out);
}
