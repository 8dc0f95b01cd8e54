/* The header of the PROXY protocol: both versions, in one piece and byte by byte. */
#include "worker/conn/proxy_header.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "t/unit/tap.h"

/* The result for all bytes; fewer of a good header must ask for more, from any place on. */
static int parse(const void *bytes, size_t n, struct proxy_header *h)
{
    int all = proxy_header_parse(bytes, n, h), part = 0;

    for (size_t i = 0; all > 0 && i < (size_t)all && part == 0; i++) {
        struct proxy_header other;
        uint8_t *copy = malloc(i ? i : 1); /* ends where its bytes end */

        memcpy(copy, bytes, i);
        part = proxy_header_parse(copy, i, &other);
        free(copy);
    }
    if (part)
        fail("a part of it says %d", part);
    return all;
}

static const char *shown(const struct proxy_header *h)
{
    static char text[80];
    char ip[INET6_ADDRSTRLEN] = "?";
    bool v4 = h->client.any.sa_family == AF_INET;

    if (h->local)
        return "local";
    inet_ntop(h->client.any.sa_family,
              v4 ? (const void *)&h->client.v4.sin_addr : (const void *)&h->client.v6.sin6_addr,
              ip, sizeof ip);
    snprintf(text, sizeof text, "%s %u", ip,
             ntohs(v4 ? h->client.v4.sin_port : h->client.v6.sin6_port));
    return text;
}

static void good(const void *bytes, size_t n, size_t behind, const char *want, const char *what)
{
    struct proxy_header h;

    is_int(parse(bytes, n, &h), n - behind, "%s: its length", what);
    is_str(shown(&h), want, "%s: the client", what);
}

#define LINE(text, want) good(text, sizeof(text) - 1, 0, want, want)

static void test_v1(void)
{
    static const char *const wrong[] = {
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
        "proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n",
        "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX",
        "PROXY UNKNOWNX\r\n",
        "GET / HTTP/1.1\r\n",
        "\x16\x03\x01",
        "P\r",
        "\r\n\r\n\r\n",
    };
    char more[] = "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n\x16\x03\x01 and on";
    char many[200];
    struct proxy_header h;

    LINE("PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n", "192.0.2.1 4711");
    LINE("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255 65535");
    LINE("PROXY TCP6 2001:db8::1 ::1 0 443\r\n", "2001:db8::1 0");
    LINE("PROXY UNKNOWN\r\n", "local");
    LINE("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", "local");
    good(more, sizeof more - 1, 10, "192.0.2.1 4711", "bytes behind it");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        is_int(proxy_header_parse((const uint8_t *)wrong[i],
                                  strlen(wrong[i]) < 107 ? strlen(wrong[i]) : 107, &h),
               strncmp(wrong[i], "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", 31) == 0 ? 0 : -1,
               "no header: %.*s", (int)strcspn(wrong[i], "\r\n\x16"), wrong[i]);
    memset(many, ' ', sizeof many);
    memcpy(many, "PROXY UNKNOWN", 13);
    is_int(proxy_header_parse((uint8_t *)many, 106, &h), 0, "106 bytes without an end: wait");
    is_int(proxy_header_parse((uint8_t *)many, 107, &h), -1, "107: too many");
    memcpy(many + 105, "\r\n", 2);
    is_int(proxy_header_parse((uint8_t *)many, 120, &h), 107, "107 with their end are right");
    memcpy(many + 105, " \r\n", 3);
    is_int(proxy_header_parse((uint8_t *)many, 120, &h), -1, "108 are not");
}

#define V2                              "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(text, behind, want, what) good(text, sizeof(text) - 1, behind, want, what)

static int result(const char *bytes, size_t n)
{
    struct proxy_header h;

    return proxy_header_parse((const uint8_t *)bytes, n, &h);
}

#define WRONG(text, what) is_int(result(text, sizeof(text) - 1), -1, "no header: %s", what)

#define FOUR "\xc0\0\2\1\xc0\0\2\2\x12\x67\1\xbb"
#define SIX \
    "\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\2\x12\x67\1\xbb"

static void test_v2(void)
{
    static char large[PROXY_HEADER_MAX + 1] = V2 "\x21\x11\x0f\xf0" FOUR "\4\x0f\xe1";
    struct proxy_header h;

    BYTES(V2 "\x21\x11\0\x0c" FOUR, 0, "192.0.2.1 4711", "TCP over IPv4");
    BYTES(V2 "\x21\x21\0\x24" SIX, 0, "2001:db8::1 4711", "TCP over IPv6");
    BYTES(V2 "\x21\x11\0\x12" FOUR "\4\0\3abc", 0, "192.0.2.1 4711", "a TLV");
    BYTES(V2 "\x21\x11\0\x0f" FOUR "\4\0\0", 0, "192.0.2.1 4711", "an empty one");
    BYTES(V2 "\x20\0\0\0", 0, "local", "LOCAL");
    BYTES(V2 "\x20\x11\0\x0c" FOUR, 0, "local", "LOCAL with addresses");
    BYTES(V2 "\x20\xff\0\3abc", 0, "local", "LOCAL with anything");
    BYTES(V2 "\x21\0\0\0", 0, "local", "UNSPEC");
    BYTES(V2 "\x21\0\0\5\1\2\3\4\5", 0, "local", "UNSPEC with anything");
    BYTES(V2 "\x21\x11\0\x0c" FOUR "GET", 3, "192.0.2.1 4711", "bytes behind it");
    WRONG(V2 "\x11\x11\0\x0c" FOUR, "version 1");
    WRONG(V2 "\x31\x11\0\x0c" FOUR, "version 3");
    WRONG(V2 "\x22\x11\0\x0c" FOUR, "another command");
    WRONG(V2 "\x21\x12\0\x0c" FOUR, "UDP");
    WRONG(V2 "\x21\x10\0\x0c" FOUR, "no protocol");
    WRONG(V2 "\x21\x41\0\x0c" FOUR, "another family");
    WRONG(V2 "\x21\x11\0\x0b" FOUR, "too short for IPv4");
    WRONG(V2 "\x21\x21\0\x23" SIX, "too short for IPv6");
    WRONG(V2 "\x21\x31\0\x0c" FOUR, "too short for a unix socket");
    WRONG(V2 "\x21\x11\0\x0e" FOUR "\4\0", "half a TLV");
    WRONG(V2 "\x21\x11\0\x10" FOUR "\4\0\2x", "a TLV that is longer than the header");
    WRONG("\r\n\r\n\0\r\nQUIT\r\x21\0\0\0", "another signature");
    WRONG(V2 "\x21\x11\x10\0", "longer than the limit, refused at once");
    is_int(proxy_header_parse((uint8_t *)large, PROXY_HEADER_MAX, &h), PROXY_HEADER_MAX,
           "the largest one");
    is_int(proxy_header_parse((uint8_t *)large, PROXY_HEADER_MAX - 1, &h), 0,
           "and without its last byte");
}

int main(void)
{
    test_v1();
    test_v2();
    return done();
}
