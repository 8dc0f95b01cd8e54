/* Who asks, and how, behind trusted balancers (worker/http/origin.h). */
#include "worker/http/origin.h"

#include "base/conf/conf.h"
#include "t/unit/tap.h"
#include "worker/http/h1.h"

/* 192.0.2.0/24 and 2001:db8:1::/48 are trusted. */
static const struct conf_prefix networks[] = {{{[10] = 0xff, [11] = 0xff, 192, 0, 2}, 120},
                                              {{0x20, 1, 0x0d, 0xb8, 0, 1}, 48}};
static const struct conf conf = {.trusted = networks, .n_trusted = 2};
static struct http_request req;
static struct origin o;
static char text[512];

/* The request that these fields make, over TLS or not, from a trusted peer or not; what comes
 * out as one text. */
static const char *found(const char *fields, bool tls, bool trusted)
{
    static char head[20000];
    const struct h1_request_policy policy = {.is_tls = tls};
    static const struct sockaddr_in address = {.sin_family = AF_INET};
    const struct origin_peer peer = {.address = (const struct sockaddr *)&address,
                                     .ip = STR("192.0.2.7"),
                                     .server_port = 8080,
                                     .trusted = trusted};
    struct h1_scan scan = {0};
    char authority[ORIGIN_AUTHORITY];

    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: in.test\r\n%s\r\n", fields);
    if (h1_request_parse(&req, head, strlen(head), &scan, &http_limits_default, &policy) <= 0)
        fail("the test's own request parses: %s", fields);
    memset(&o, 0x55, sizeof o);
    origin_find(&o, &req, &peer, &conf);
    struct str a = origin_authority(&o, authority);
    snprintf(text, sizeof text, "%.*s %s %.*s %.*s %u", STR_ARG(o.ip),
             o.https ? "https" : "http", STR_ARG(a), STR_ARG(o.host), o.port);
    return text;
}

#define FOUND(fields, want, name) is_str(found(fields, false, true), want, name)

#define XFF(list) "X-Forwarded-For: " list "\r\n"

static void test_x_forwarded(void)
{
    FOUND("", "192.0.2.7 http in.test in.test 8080", "nothing told: the connection");
    is_int(o.hop, -1, "which is the client's own");
    FOUND(XFF("1.1.1.1") "X-Forwarded-Proto: https\r\n", "1.1.1.1 https in.test in.test 443",
          "address and scheme; the port follows");
    is_int(o.hop, 0, "by somebody else");
    FOUND(XFF("6.6.6.6, 1.1.1.1, 192.0.2.9"), "1.1.1.1 http in.test in.test 8080",
          "the first from the right that is not trusted");
    FOUND(XFF("6.6.6.6") XFF("1.1.1.1") XFF("192.0.2.9"), "1.1.1.1 http in.test in.test 8080",
          "over several lines");
    FOUND(XFF("192.0.2.8, 2001:db8:1::5"), "192.0.2.8 http in.test in.test 8080",
          "all trusted: the first of all");
    FOUND(XFF("6.6.6.6, nonsense, 192.0.2.9"), "192.0.2.9 http in.test in.test 8080",
          "no further than what is readable");
    FOUND(XFF("1.1.1.1:4711"), "1.1.1.1 http in.test in.test 8080", "with a port");
    is_int(ntohs(((const struct sockaddr_in *)o.address)->sin_port), 4711, "that is kept");
    FOUND(XFF("[2001:db8::1]:4711"), "2001:db8::1 http in.test in.test 8080", "IPv6 with one");
    FOUND(XFF("2001:DB8::1"), "2001:db8::1 http in.test in.test 8080", "and without");
    FOUND(XFF("::ffff:1.1.1.1"), "1.1.1.1 http in.test in.test 8080", "IPv4 in IPv6");
    FOUND("X-Real-IP: 1.1.1.1\r\n", "1.1.1.1 http in.test in.test 8080", "X-Real-IP alone");
    FOUND(XFF("1.1.1.1") "X-Real-IP: 6.6.6.6\r\n", "1.1.1.1 http in.test in.test 8080",
          "which does not count beside the other");
}

static void test_scheme_and_host(void)
{
    FOUND("X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.test\r\n",
          "192.0.2.7 https shop.test shop.test 443", "scheme and host without an address");
    FOUND("X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.test:8443\r\n",
          "192.0.2.7 https shop.test:8443 shop.test 8443", "a host with its port");
    FOUND("X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.test\r\n"
          "X-Forwarded-Port: 8443\r\n",
          "192.0.2.7 https shop.test:8443 shop.test 8443", "a port of its own");
    FOUND("X-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n",
          "192.0.2.7 https in.test in.test 443", "the scheme's own is not said");
    FOUND("X-Forwarded-Host: a b, c\r\nX-Forwarded-Port: 0\r\nX-Forwarded-Proto: gopher\r\n",
          "192.0.2.7 http in.test in.test 8080", "nonsense counts for nothing");
    FOUND(XFF("6.6.6.6, 1.1.1.1, 192.0.2.9") "X-Forwarded-Proto: http, https, http\r\n",
          "1.1.1.1 https in.test in.test 443",
          "where each adds, what stands beside the client");
    FOUND(XFF("1.1.1.1, 192.0.2.9") "X-Forwarded-Proto: https\r\n",
          "1.1.1.1 https in.test in.test 443", "where one sets it, that");
    is_str(found("X-Forwarded-Proto: http\r\n", true, true),
           "192.0.2.7 http in.test in.test 80", "also from https to http");
    FOUND("X-Forwarded-Proto: HTTPS\r\n", "192.0.2.7 https in.test in.test 443", "any case");
}

static void test_forwarded(void)
{
    FOUND("Forwarded: for=1.1.1.1;proto=https;host=shop.test\r\n",
          "1.1.1.1 https shop.test shop.test 443", "Forwarded");
    FOUND("Forwarded: for=\"[2001:db8::1]:4711\" ; Proto=https;by=_x , for=192.0.2.9;proto=http"
          "\r\n",
          "2001:db8::1 https in.test in.test 443", "the element of the client counts");
    FOUND("Forwarded: for=6.6.6.6;proto=http\r\nForwarded: for=1.1.1.1;proto=https\r\n",
          "1.1.1.1 https in.test in.test 443", "over lines");
    FOUND("Forwarded: for=1.1.1.1;proto=https;for=6.6.6.6\r\n",
          "192.0.2.7 http in.test in.test 8080", "twice in one element: none of it");
    FOUND("Forwarded: for=\"1.1.1.1\r\n", "192.0.2.7 http in.test in.test 8080",
          "half a quote");
    FOUND("Forwarded: for=1.1.1.1 proto=https\r\n", "192.0.2.7 http in.test in.test 8080",
          "no semicolon");
    FOUND("Forwarded: for=unknown;proto=https\r\n", "192.0.2.7 https in.test in.test 443",
          "a client that is hidden, but its scheme");
    FOUND(XFF("1.1.1.1") "Forwarded: for=6.6.6.6;proto=https\r\n",
          "1.1.1.1 http in.test in.test 8080", "X-Forwarded-For goes before it");
}

static void test_untrusted_and_bounds(void)
{
    static char many[16000];
    struct origin_hop hops[ORIGIN_HOPS];

    is_str(found(XFF("6.6.6.6") "X-Forwarded-Proto: https\r\nX-Request-Id: x\r\n"
                                "Forwarded: for=6.6.6.6;proto=https\r\n",
                 false, false),
           "192.0.2.7 http in.test in.test 8080", "others are not believed");
    ok(!o.request_id.n, "in anything");
    found("X-Request-Id: theirs\r\n", false, true);
    ok(str_eq(o.request_id, STR("theirs")), "the id of a trusted one");
    int n = snprintf(many, sizeof many, "X-Forwarded-For: 6.6.6.6");
    for (int i = 0; i < 1000; i++)
        n += snprintf(many + n, sizeof many - (size_t)n, ", 192.0.2.%d", i % 250);
    snprintf(many + n, sizeof many - (size_t)n, "\r\n");
    FOUND(many, "192.0.2.218 http in.test in.test 8080", "only the last 32 are looked at");
    is_int(origin_hops(&o, &req, hops), ORIGIN_HOPS, "and told");
    is_str(hops[ORIGIN_HOPS - 1].text, "192.0.2.249", "in their order");
    found(XFF("1.1.1.1, a\"b;c, ,192.0.2.9"), false, true);
    is_int(origin_hops(&o, &req, hops), 3, "what is empty does not count");
    is_str(hops[1].text, "unknown", "what is no address is not repeated");
}

int main(void)
{
    test_x_forwarded();
    test_scheme_and_host();
    test_forwarded();
    test_untrusted_and_bounds();
    return done();
}
