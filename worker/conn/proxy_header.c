#include "worker/conn/proxy_header.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/str.h"

/* ---- version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n" */

/* The next word of the line, which ends at a space or at the end of the line. */
static struct str next_word(struct str *rest)
{
    struct str word = str_head(*rest, str_index(*rest, ' '));

    *rest = str_skip(*rest, word.n < rest->n ? word.n + 1 : word.n);
    return word;
}

static bool parse_port(struct str text, in_port_t *port)
{
    uint32_t value = 0;

    if (!text.n || text.n > 5 || (text.n > 1 && text.p[0] == '0'))
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (!ascii_is_digit((unsigned char)text.p[i]))
            return false;
        value = value * 10 + (uint32_t)(text.p[i] - '0');
    }
    *port = htons((uint16_t)value);
    return value <= UINT16_MAX;
}

static bool parse_ip(int family, struct str text, void *to)
{
    char copy[INET6_ADDRSTRLEN];

    if (!text.n || text.n >= sizeof copy || memchr(text.p, '\0', text.n))
        return false;
    str_copy(copy, sizeof copy, text);
    return inet_pton(family, copy, to) == 1;
}

/* source, destination, and their ports. */
static bool parse_line(struct str rest, int family, struct proxy_header *h)
{
    unsigned spaces = 0;
    struct in6_addr destination;
    in_port_t *port = family == AF_INET ? &h->client.v4.sin_port : &h->client.v6.sin6_port;
    void *ip =
        family == AF_INET ? (void *)&h->client.v4.sin_addr : (void *)&h->client.v6.sin6_addr;
    in_port_t other;

    for (size_t i = 0; i < rest.n; i++)
        spaces += rest.p[i] == ' ';
    h->client.any.sa_family = (sa_family_t)family;
    return spaces == 3 && parse_ip(family, next_word(&rest), ip) &&
           parse_ip(family, next_word(&rest), &destination) &&
           parse_port(next_word(&rest), port) && parse_port(next_word(&rest), &other);
}

static const char v1_start[] = "PROXY ";

static int parse_v1(const uint8_t *bytes, size_t n, struct proxy_header *h)
{
    size_t most = n < PROXY_HEADER_V1_MAX ? n : PROXY_HEADER_V1_MAX;
    const uint8_t *end = memchr(bytes, '\r', most);
    struct str line, word;
    bool good;

    if (!end || end + 1 == bytes + n)
        return end || most < PROXY_HEADER_V1_MAX ? 0 : -1;
    if (end + 1 == bytes + PROXY_HEADER_V1_MAX || end[1] != '\n')
        return -1;
    line = str_span((const char *)bytes + sizeof v1_start - 1, (const char *)end);
    word = next_word(&line);
    if (str_eq(word, STR("UNKNOWN"))) {
        h->local = true;
        good = true;
    } else {
        good = (str_eq(word, STR("TCP4")) && parse_line(line, AF_INET, h)) ||
               (str_eq(word, STR("TCP6")) && parse_line(line, AF_INET6, h));
    }
    return good ? (int)(end + 2 - bytes) : -1;
}

/* ---- version 2: binary */

static const uint8_t v2_start[] = {'\r', '\n', '\r', '\n', 0,   '\r',
                                   '\n', 'Q',  'U',  'I',  'T', '\n'};

enum {
    V2_FIXED = 16, /* signature, version and command, family, length */
    V2_VERSION = 0x20,
    V2_LOCAL = 0,
    V2_PROXY = 1,
    V2_UNSPEC = 0x00,
    V2_TCP4 = 0x11,
    V2_TCP6 = 0x21,
    V2_UNIX = 0x31,
    V2_TCP4_BYTES = 12, /* two addresses, two ports */
    V2_TCP6_BYTES = 36,
    V2_UNIX_BYTES = 216,
};

/* Type, length of 16 bits, value; we need none of them. */
static bool skip_tlvs(const uint8_t *p, size_t n)
{
    while (n >= 3) {
        size_t size = 3 + ((size_t)p[1] << 8 | p[2]);

        if (size > n)
            return false;
        p += size;
        n -= size;
    }
    return n == 0;
}

/* The n bytes behind the fixed part. */
static bool parse_addresses(uint8_t family, const uint8_t *p, size_t n, struct proxy_header *h)
{
    size_t size = family == V2_TCP4   ? V2_TCP4_BYTES
                  : family == V2_TCP6 ? V2_TCP6_BYTES
                  : family == V2_UNIX ? V2_UNIX_BYTES
                                      : 0;

    h->local = family == V2_UNSPEC || family == V2_UNIX;
    if (family == V2_UNSPEC)
        return true;
    if (!size || n < size || !skip_tlvs(p + size, n - size))
        return false;
    if (family == V2_TCP4) {
        h->client.v4.sin_family = AF_INET;
        memcpy(&h->client.v4.sin_addr, p, 4);
        memcpy(&h->client.v4.sin_port, p + 8, 2);
    } else if (family == V2_TCP6) {
        h->client.v6.sin6_family = AF_INET6;
        memcpy(&h->client.v6.sin6_addr, p, 16);
        memcpy(&h->client.v6.sin6_port, p + 32, 2);
    }
    return true;
}

static int parse_v2(const uint8_t *bytes, size_t n, struct proxy_header *h)
{
    size_t size;

    if (n < V2_FIXED)
        return 0;
    size = (size_t)bytes[14] << 8 | bytes[15];
    if (bytes[12] != (V2_VERSION | V2_LOCAL) && bytes[12] != (V2_VERSION | V2_PROXY))
        return -1;
    if (size > PROXY_HEADER_MAX - V2_FIXED)
        return -1;
    if (n < V2_FIXED + size)
        return 0;
    if (bytes[12] == (V2_VERSION | V2_LOCAL))
        h->local = true;
    else if (!parse_addresses(bytes[13], bytes + V2_FIXED, size, h))
        return -1;
    return (int)(V2_FIXED + size);
}

/* ---- both */

static bool begins(const uint8_t *bytes, size_t n, const void *start, size_t size)
{
    return memcmp(bytes, start, n < size ? n : size) == 0;
}

int proxy_header_parse(const uint8_t *bytes, size_t n, struct proxy_header *h)
{
    memset(h, 0, sizeof *h);
    if (n == 0)
        return 0;
    if (begins(bytes, n, v1_start, sizeof v1_start - 1))
        return n < sizeof v1_start ? 0 : parse_v1(bytes, n, h);
    if (begins(bytes, n, v2_start, sizeof v2_start))
        return parse_v2(bytes, n, h);
    return -1;
}
