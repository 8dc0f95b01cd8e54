#include "worker/http/origin.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/conf/conf.h"
#include "worker/http/http.h"

/* What one proxy reports about its client and the request. */
struct element {
    struct str from, host, proto;
};

/* The last elements of a list: element i is at[i % ORIGIN_HOPS]. */
struct chain {
    struct element at[ORIGIN_HOPS];
    unsigned seen;
};

static unsigned kept(const struct chain *chain)
{
    return chain->seen < ORIGIN_HOPS ? chain->seen : ORIGIN_HOPS;
}

/* The i-th of the elements that are kept, oldest first. */
static const struct element *element_at(const struct chain *chain, unsigned i)
{
    return &chain->at[(chain->seen - kept(chain) + i) % ORIGIN_HOPS];
}

static void origin_add(struct chain *chain, const struct element *e)
{
    chain->at[chain->seen++ % ORIGIN_HOPS] = *e;
}

static uint16_t number_of_port(struct str text)
{
    unsigned port = 0;

    if (!text.n || text.n > 5)
        return 0;
    for (size_t i = 0; i < text.n; i++) {
        if (!ascii_is_digit((unsigned char)text.p[i]))
            return 0;
        port = port * 10 + (unsigned)(text.p[i] - '0');
    }
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* ---- addresses: "192.0.2.1", "192.0.2.1:4711", "2001:db8::1", "[2001:db8::1]:4711" */

struct hop_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    char text[INET6_ADDRSTRLEN];
};

static bool parse_address(struct hop_address *parsed, struct str s)
{
    struct str ip = s, port = STR_EMPTY;
    char text[INET6_ADDRSTRLEN];
    struct in6_addr six;

    if (s.n && s.p[0] == '[') {
        ip = str_head(str_skip(s, 1), str_index(str_skip(s, 1), ']'));
        if (ip.n + 2 > s.n)
            return false;
        port = str_skip(s, ip.n + 2);
    } else if (str_index(s, ':') < s.n && str_index(s, '.') < str_index(s, ':')) {
        ip = str_head(s, str_index(s, ':'));
        port = str_skip(s, ip.n);
    }
    if (port.n && (port.p[0] != ':' || !number_of_port(str_skip(port, 1))))
        return false;
    if (!ip.n || ip.n >= sizeof text || memchr(ip.p, '\0', ip.n))
        return false;
    str_copy(text, sizeof text, ip);
    memset(&parsed->address, 0, sizeof parsed->address);
    if (inet_pton(AF_INET, text, &parsed->address.v4.sin_addr) == 1) {
        parsed->address.v4.sin_family = AF_INET;
    } else if (inet_pton(AF_INET6, text, &six) == 1) {
        if (IN6_IS_ADDR_V4MAPPED(&six)) {
            parsed->address.v4.sin_family = AF_INET;
            memcpy(&parsed->address.v4.sin_addr, six.s6_addr + 12, 4);
        } else {
            parsed->address.v6.sin6_family = AF_INET6;
            parsed->address.v6.sin6_addr = six;
        }
    } else {
        return false;
    }
    if (parsed->address.any.sa_family == AF_INET) {
        parsed->address.v4.sin_port = htons(port.n ? number_of_port(str_skip(port, 1)) : 0);
        inet_ntop(AF_INET, &parsed->address.v4.sin_addr, parsed->text, sizeof parsed->text);
    } else {
        parsed->address.v6.sin6_port = htons(port.n ? number_of_port(str_skip(port, 1)) : 0);
        inet_ntop(AF_INET6, &parsed->address.v6.sin6_addr, parsed->text, sizeof parsed->text);
    }
    return true;
}

/* ---- X-Forwarded-* */

static void read_x_forwarded(const struct http_request *r, struct chain *chain)
{
    const struct http_field *real;
    struct str list, item;

    for (unsigned i = 0; i < r->nfields; i++) {
        list = r->fields[i].value;
        while (r->fields[i].id == HTTP_F_X_FORWARDED_FOR && str_next_item(&list, &item))
            if (item.n)
                origin_add(chain, &(struct element){.from = item});
    }
    real = chain->seen ? NULL : http_request_field(r, HTTP_F_X_REAL_IP);
    if (real && real->value.n)
        origin_add(chain, &(struct element){.from = real->value});
}

/* If each proxy appends to the field, the item that corresponds to the client's address is
 * used; if one proxy sets the field, the first item is used. */
static struct str pick(const struct http_request *r, enum http_field_id id, unsigned of,
                       unsigned at)
{
    struct str list, item, first = STR_EMPTY, beside = STR_EMPTY;
    unsigned n = 0;

    for (unsigned i = 0; i < r->nfields; i++) {
        list = r->fields[i].value;
        while (r->fields[i].id == id && str_next_item(&list, &item)) {
            if (n == 0)
                first = item;
            if (n++ == at)
                beside = item;
        }
    }
    return n == of && n ? beside : first;
}

/* ---- Forwarded (RFC 7239) */

static bool is_token(char c)
{
    unsigned char b = (unsigned char)c;

    return ascii_is_alpha(b) || ascii_is_digit(b) || (b && strchr("!#$%&'*+-.^_`|~", b));
}

/* A token or the inside of a quoted string; backslashes are not allowed, as they are of no use
 * here. */
static bool take_value(struct str *rest, struct str *value)
{
    size_t n = 0;

    if (rest->n && rest->p[0] == '"') {
        n = str_index(str_skip(*rest, 1), '"');
        if (n + 2 > rest->n)
            return false;
        *value = str_make(rest->p + 1, n);
        *rest = str_skip(*rest, n + 2);
        return memchr(value->p, '\\', value->n) == NULL;
    }
    /* Some senders omit the quotes around an IPv6 address or an address with a port. */
    while (n < rest->n && (is_token(rest->p[n]) || rest->p[n] == ':' || rest->p[n] == '[' ||
                           rest->p[n] == ']'))
        n++;
    *value = str_head(*rest, n);
    *rest = str_skip(*rest, n);
    return n > 0;
}

static void skip_blanks(struct str *s)
{
    while (s->n && (s->p[0] == ' ' || s->p[0] == '\t'))
        *s = str_skip(*s, 1);
}

/* One name=value of an element. */
static bool take_pair(struct str *rest, struct element *e)
{
    struct str name, value, *to = NULL;
    size_t n = 0;

    while (n < rest->n && is_token(rest->p[n]))
        n++;
    name = str_head(*rest, n);
    *rest = str_skip(*rest, n);
    if (!n || !rest->n || rest->p[0] != '=')
        return false;
    *rest = str_skip(*rest, 1);
    if (!take_value(rest, &value))
        return false;
    if (str_eq_case(name, STR("for")))
        to = &e->from;
    else if (str_eq_case(name, STR("host")))
        to = &e->host;
    else if (str_eq_case(name, STR("proto")))
        to = &e->proto;
    if (to && to->n)
        return false; /* given twice */
    if (to)
        *to = value;
    return true;
}

/* false: it is malformed, and nothing in it is believed. */
static bool read_forwarded(const struct http_request *r, struct chain *chain)
{
    for (unsigned i = 0; i < r->nfields; i++) {
        struct str rest = r->fields[i].value;
        struct element e = {0};

        if (r->fields[i].id != HTTP_F_FORWARDED)
            continue;
        for (;;) {
            skip_blanks(&rest);
            if (rest.n && rest.p[0] != ',' && rest.p[0] != ';' && !take_pair(&rest, &e))
                return false;
            skip_blanks(&rest);
            if (rest.n && rest.p[0] != ',' && rest.p[0] != ';')
                return false;
            if (!rest.n || rest.p[0] == ',') {
                origin_add(chain, &e);
                e = (struct element){0};
            }
            if (!rest.n)
                break;
            rest = str_skip(rest, 1);
        }
    }
    return chain->seen > 0;
}

/* ---- all together */

static enum origin_source origin_read_chain(const struct http_request *r, struct chain *chain)
{
    uint64_t ids = 0;

    chain->seen = 0;
    for (unsigned i = 0; i < r->nfields; i++)
        ids |= UINT64_C(1) << r->fields[i].id;
    if (ids & (UINT64_C(1) << HTTP_F_X_FORWARDED_FOR | UINT64_C(1) << HTTP_F_X_FORWARDED_PROTO |
               UINT64_C(1) << HTTP_F_X_FORWARDED_HOST | UINT64_C(1) << HTTP_F_X_FORWARDED_PORT |
               UINT64_C(1) << HTTP_F_X_REAL_IP)) {
        read_x_forwarded(r, chain);
        return ORIGIN_X_FORWARDED;
    }
    if (ids & UINT64_C(1) << HTTP_F_FORWARDED && read_forwarded(r, chain))
        return ORIGIN_FORWARDED;
    return ORIGIN_CONNECTION;
}

/* Goes from the right, as long as the addresses are trusted. */
static void find_client(struct origin *o, const struct chain *chain, const struct conf *conf)
{
    struct hop_address parsed;

    for (unsigned i = kept(chain); i-- > 0;) {
        if (!parse_address(&parsed, element_at(chain, i)->from))
            break;
        o->hop = (int8_t)i;
        memcpy(&o->told, &parsed.address, sizeof o->told);
        memcpy(o->text, parsed.text, sizeof o->text);
        if (!conf_trusts(conf, &parsed.address.any))
            break;
    }
    if (o->hop < 0)
        return;
    o->address = &o->told.any;
    o->ip = str_from(o->text);
}

static void take_scheme(struct origin *o, struct str proto, bool *told)
{
    *told = true;
    if (str_eq_case(proto, STR("https")) || str_eq_case(proto, STR("wss")))
        o->https = true;
    else if (str_eq_case(proto, STR("http")) || str_eq_case(proto, STR("ws")))
        o->https = false;
    else
        *told = false;
}

static void take_public_authority(struct origin *o, const struct http_request *r,
                                  struct str authority, struct str told_port, bool told_scheme)
{
    uint16_t given = r->port, port = number_of_port(told_port);
    struct str host;
    uint16_t scheme_port = o->https ? 443 : 80;

    if (http_authority_parse(authority, &host, &given)) {
        o->authority = authority;
        o->host = host;
    } else {
        given = r->port;
    }
    if (port)
        o->port = port;
    else if (given)
        o->port = given;
    else if (told_scheme)
        o->port = scheme_port;
    o->add_port = port && !given && port != scheme_port && o->authority.n;
}

void origin_find(struct origin *o, const struct http_request *r, const struct origin_peer *peer,
                 const struct conf *conf)
{
    struct str proto, host, port = STR_EMPTY;
    const struct http_field *id;
    struct chain chain;
    bool told_scheme;

    o->address = peer->address;
    o->ip = peer->ip;
    o->authority = r->authority;
    o->host = r->host;
    o->request_id = STR_EMPTY;
    o->port = peer->server_port;
    o->source = ORIGIN_CONNECTION;
    o->hop = -1;
    o->https = r->scheme.n == 5;
    o->add_port = false;
    if (!peer->trusted)
        return;
    id = http_request_field(r, HTTP_F_X_REQUEST_ID);
    if (id && id->value.n <= ORIGIN_REQUEST_ID_MAX)
        o->request_id = id->value;
    o->source = (uint8_t)origin_read_chain(r, &chain);
    if (o->source == ORIGIN_CONNECTION)
        return;
    find_client(o, &chain, conf);
    if (o->source == ORIGIN_X_FORWARDED) {
        unsigned at = chain.seen - kept(&chain) + (unsigned)(o->hop < 0 ? 0 : o->hop);

        proto = pick(r, HTTP_F_X_FORWARDED_PROTO, chain.seen, at);
        host = pick(r, HTTP_F_X_FORWARDED_HOST, chain.seen, at);
        port = pick(r, HTTP_F_X_FORWARDED_PORT, chain.seen, at);
    } else {
        const struct element *e =
            element_at(&chain, o->hop < 0 ? kept(&chain) - 1 : (unsigned)o->hop);

        proto = e->proto;
        host = e->host;
    }
    take_scheme(o, proto, &told_scheme);
    take_public_authority(o, r, host, port, told_scheme);
}

struct str origin_authority(const struct origin *o, char buf[ORIGIN_AUTHORITY])
{
    int n;

    if (!o->add_port || o->authority.n > ORIGIN_AUTHORITY - 7)
        return o->authority;
    n = snprintf(buf, ORIGIN_AUTHORITY, "%.*s:%u", STR_ARG(o->authority), o->port);
    return str_make(buf, (size_t)n);
}

unsigned origin_hops(const struct origin *o, const struct http_request *r,
                     struct origin_hop hops[ORIGIN_HOPS])
{
    struct chain chain;
    struct hop_address parsed;

    if (o->source == ORIGIN_CONNECTION)
        return 0;
    origin_read_chain(r, &chain);
    for (unsigned i = 0; i < kept(&chain); i++) {
        bool known = parse_address(&parsed, element_at(&chain, i)->from);
        const char *text = known ? parsed.text : "unknown";

        hops[i].n = (uint8_t)strlen(text);
        memcpy(hops[i].text, text, hops[i].n + 1u);
    }
    return kept(&chain);
}
