/* conf/value.c - see conf/value.h. */
#include "base/conf/value.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define COUNT_DIGITS   18      /* fit in 63 bits */
#define MEASURE_DIGITS 12      /* before a unit */
#define MEASURE_SCALE  1000000 /* of a fraction: six digits are used */
#define LABEL_LEN      63      /* RFC 1035 section 2.3.4 */
#define DISTANCE_LEN   40      /* longer names are never compared */

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: format_measure() uses the first one that divides the value. */
static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"min", 60000},
    {"s", 1000},     {"ms", 1},      {"", 1000},
};
static const struct unit sizes[] = {
    {"t", (uint64_t)1 << 40}, {"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1},
};

bool conf_parse_count(const char *s, uint64_t *out)
{
    uint64_t v = 0;
    size_t n = 0;

    for (; ascii_is_digit((unsigned char)s[n]); n++) {
        if (n == COUNT_DIGITS)
            return false;
        v = 10 * v + (uint64_t)(s[n] - '0');
    }
    if (n == 0 || s[n] != '\0')
        return false;
    *out = v;
    return true;
}

/* A number with an optional fraction and one of the units. */
static bool parse_measure(const char *s, const struct unit *units, size_t n_units,
                          uint64_t *out)
{
    uint64_t whole = 0, part = 0, scale = 1;
    unsigned digits = 0;

    for (; ascii_is_digit((unsigned char)*s); s++, digits++) {
        if (digits == MEASURE_DIGITS)
            return false;
        whole = 10 * whole + (uint64_t)(*s - '0');
    }
    if (digits == 0)
        return false;
    if (*s == '.') {
        for (s++; ascii_is_digit((unsigned char)*s); s++) {
            if (scale == MEASURE_SCALE)
                continue; /* beyond the precision that is kept */
            part = 10 * part + (uint64_t)(*s - '0');
            scale *= 10;
        }
        if (scale == 1)
            return false;
    }
    while (*s == ' ')
        s++;
    for (size_t i = 0; i < n_units; i++) {
        uint64_t v;
        if (!str_eq_case(str_from(s), str_from(units[i].name)))
            continue;
        if (__builtin_mul_overflow(whole, units[i].factor, &v) ||
            __builtin_add_overflow(v, part * units[i].factor / scale, out))
            return false;
        return true;
    }
    return false;
}

bool conf_parse_duration(const char *s, uint64_t *ms)
{
    return parse_measure(s, durations, sizeof durations / sizeof *durations, ms);
}

bool conf_parse_size(const char *s, uint64_t *bytes)
{
    return parse_measure(s, sizes, sizeof sizes / sizeof *sizes, bytes);
}

static char *format_measure(uint64_t v, const struct unit *units, char out[CONF_FORMAT_LEN])
{
    while (units->factor > 1 && (v == 0 || v % units->factor != 0 || !units->name[0]))
        units++;
    snprintf(out, CONF_FORMAT_LEN, "%" PRIu64 "%s", v / units->factor, units->name);
    return out;
}

char *conf_format_duration(uint64_t ms, char out[static CONF_FORMAT_LEN])
{
    return ms == 0 ? strcpy(out, "0s") : format_measure(ms, durations, out);
}

char *conf_format_size(uint64_t bytes, char out[static CONF_FORMAT_LEN])
{
    return format_measure(bytes, sizes, out);
}

static bool parse_port(const char *s, uint16_t *port)
{
    uint64_t v;
    if (!conf_parse_count(s, &v) || v < 1 || v > 65535)
        return false;
    *port = (uint16_t)v;
    return true;
}

/* Splits "host:port" and "[v6]:port" at the last colon; removes the brackets of host. */
static bool split_port(const char *s, char *host, size_t cap, bool *brackets, uint16_t *port)
{
    const char *colon = strrchr(s, ':');
    if (!colon || !parse_port(colon + 1, port))
        return false;
    struct str h = str_span(s, colon);
    *brackets = h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']';
    if (*brackets)
        h = str_make(h.p + 1, h.n - 2);
    else if (str_index(h, ':') != h.n)
        return false; /* IPv6 without brackets: ambiguous */
    if (h.n >= cap)
        return false;
    str_copy(host, cap, h);
    return true;
}

bool conf_parse_listen(const char *s, struct conf_listen *out)
{
    char host[INET6_ADDRSTRLEN];
    bool brackets;
    uint16_t port;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};

    if (!split_port(s, host, sizeof host, &brackets, &port))
        return false;
    bool any = !brackets && (host[0] == '\0' || strcmp(host, "*") == 0);
    memset(&out->addr, 0, sizeof out->addr);
    if (any || (brackets && inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)) {
        v6.sin6_port = htons(port);
        memcpy(&out->addr, &v6, sizeof v6);
        out->addr_len = sizeof v6;
    } else if (!brackets && inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        v4.sin_port = htons(port);
        memcpy(&out->addr, &v4, sizeof v4);
        out->addr_len = sizeof v4;
    } else {
        return false;
    }
    out->dual = any;
    out->port = port;
    return true;
}

bool conf_parse_hostport(const char *s, char host[static CONF_HOST_LEN + 1], uint16_t *port)
{
    char h[CONF_HOST_LEN + 1];
    struct in6_addr v6;
    bool brackets;
    uint16_t p;

    if (!split_port(s, h, sizeof h, &brackets, &p))
        return false;
    if (brackets ? inet_pton(AF_INET6, h, &v6) != 1 : !conf_is_host(h, false))
        return false;
    for (size_t i = 0; i <= strlen(h); i++)
        host[i] = (char)ascii_lower((unsigned char)h[i]);
    *port = p;
    return true;
}

bool conf_parse_network(const char *s, struct conf_prefix *out)
{
    char addr[INET6_ADDRSTRLEN];
    struct conf_prefix net = {.addr = {[10] = 0xff, [11] = 0xff}};
    const char *slash = strchr(s, '/');
    size_t n = slash ? (size_t)(slash - s) : strlen(s);
    uint64_t bits, width;

    if (n >= sizeof addr)
        return false;
    str_copy(addr, sizeof addr, str_make(s, n));
    if (inet_pton(AF_INET, addr, net.addr + 12) == 1)
        width = 32;
    else if (inet_pton(AF_INET6, addr, net.addr) == 1)
        width = 128;
    else
        return false;
    bits = width;
    if (slash && (!conf_parse_count(slash + 1, &bits) || bits > width))
        return false;
    net.bits = (uint8_t)(bits + 128 - width);
    for (unsigned i = net.bits; i < 128; i++) {
        if (net.addr[i / 8] & (0x80 >> i % 8))
            return false;
    }
    *out = net;
    return true;
}

char *conf_format_network(const struct conf_prefix *net, char *out, size_t cap)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char addr[INET6_ADDRSTRLEN];
    bool v4 = net->bits >= 96 && memcmp(net->addr, mapped, sizeof mapped) == 0;

    inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? net->addr + 12 : net->addr, addr, sizeof addr);
    snprintf(out, cap, "%s/%d", addr, v4 ? net->bits - 96 : net->bits);
    return out;
}

bool conf_parse_client(const char *s, struct conf_client *out)
{
    struct conf_client client = {.allow = strncmp(s, "allow ", 6) == 0};

    if (!client.allow && strncmp(s, "deny ", 5) != 0)
        return false;
    s += client.allow ? 6 : 5;
    client.all = strcmp(s, "all") == 0;
    if (!client.all && !conf_parse_network(s, &client.net))
        return false;
    *out = client;
    return true;
}

char *conf_format_client(const struct conf_client *client, char *out, size_t cap)
{
    char net[INET6_ADDRSTRLEN + 8] = "all";

    if (!client->all)
        conf_format_network(&client->net, net, sizeof net);
    snprintf(out, cap, "%s %s", client->allow ? "allow" : "deny", net);
    return out;
}

bool conf_parse_status(const char *s, struct conf_status_range *out)
{
    char low[4];
    uint64_t a, b;
    size_t n = strcspn(s, "-");

    if (n != 3)
        return false;
    str_copy(low, sizeof low, str_make(s, n));
    if (!conf_parse_count(low, &a) || !conf_parse_count(s[n] ? s + n + 1 : low, &b))
        return false;
    if (a < 100 || b > 599 || a > b)
        return false;
    *out = (struct conf_status_range){(uint16_t)a, (uint16_t)b};
    return true;
}

bool conf_is_host(const char *s, bool wildcard)
{
    size_t label = 0;
    char prev = '.';

    if (wildcard && strncmp(s, "*.", 2) == 0 && strchr(s + 2, '.'))
        s += 2;
    size_t n = strlen(s);
    if (n == 0 || n > CONF_HOST_LEN)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '.') {
            if (label == 0 || prev == '-')
                return false;
            label = 0;
        } else {
            if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '_' && c != '-')
                return false;
            if ((c == '-' && label == 0) || ++label > LABEL_LEN)
                return false;
        }
        prev = (char)c;
    }
    return label > 0 && prev != '-';
}

bool conf_is_path(const char *s, bool query)
{
    if (s[0] != '/')
        return false;
    for (const char *seg = s; *seg == '/';) {
        size_t n = strcspn(++seg, "/?");
        if (n == 0 && (seg[0] == '/' || (seg - s > 1 && !query)))
            return false;
        if ((n == 1 && seg[0] == '.') || (n == 2 && strncmp(seg, "..", 2) == 0))
            return false;
        seg += n;
        if (*seg == '?')
            break;
    }
    for (; *s; s++) {
        if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f || strchr("\\#\"<>", *s) ||
            (*s == '?' && !query) || (*s == ';' && !query))
            return false;
    }
    return true;
}

unsigned conf_distance(const char *a, const char *b)
{
    unsigned row[3][DISTANCE_LEN + 1]; /* the last three rows, by i % 3 */
    size_t n = strlen(a), m = strlen(b);

    if (n > DISTANCE_LEN || m > DISTANCE_LEN)
        return DISTANCE_LEN;
    memset(row, 0, sizeof row);
    for (size_t j = 0; j <= m; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *cur = row[i % 3], *one = row[(i + 2) % 3], *two = row[(i + 1) % 3];
        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = one[j - 1] + (a[i - 1] != b[j - 1]);
            if (one[j] + 1 < best)
                best = one[j] + 1;
            if (cur[j - 1] + 1 < best)
                best = cur[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                two[j - 2] + 1 < best)
                best = two[j - 2] + 1;
            cur[j] = best;
        }
    }
    return row[n % 3][m];
}
