/* Values of the configuration: durations, sizes, addresses, networks. */
#include "base/conf/value.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "t/unit/conf_text.h"

static void test_durations(void)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } right[] = {
        {"0", 0},          {"5", 5000},         {"5s", 5000},    {"200ms", 200},
        {"1.5s", 1500},    {"0.25", 250},       {"10m", 600000}, {"10min", 600000},
        {"12h", 43200000}, {"90d", 7776000000}, {"5 s", 5000},   {"1.00000001s", 1000},
    };
    static const char *const wrong[] = {"",    "s",   "-5s",
                                        "5x",  "5ss", "1e3",
                                        "5.",  ".5s", "0x5",
                                        "+5",  " 5",  "99999999999999d",
                                        "5s ", "NaN", "213503982334.602d"};
    char buf[CONF_FORMAT_LEN];
    uint64_t v;

    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        v = 1;
        ok(conf_parse_duration(right[i].text, &v) && v == right[i].ms, "duration \"%s\"",
           right[i].text);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ok(!conf_parse_duration(wrong[i], &v), "no duration: \"%s\"", wrong[i]);
    is_str(conf_format_duration(1500, buf), "1500ms", "a duration is spelled exactly");
    is_str(conf_format_duration(90000, buf), "90s", "in the largest unit that divides it");
    is_str(conf_format_duration(86400000, buf), "1d", "up to days");
    is_str(conf_format_duration(0, buf), "0s", "and zero");
}

static void test_sizes(void)
{
    char buf[CONF_FORMAT_LEN];
    uint64_t v;

    ok(conf_parse_size("64k", &v) && v == 65536, "64k");
    ok(conf_parse_size("2M", &v) && v == 2 << 20, "2M");
    ok(conf_parse_size("1g", &v) && v == 1 << 30, "1g");
    ok(conf_parse_size("100", &v) && v == 100, "100 bytes");
    ok(!conf_parse_size("64q", &v) && !conf_parse_size("k", &v), "no sizes");
    ok(!conf_parse_size("999999999999t", &v), "a size that overflows");
    is_str(conf_format_size(65536, buf), "64k", "a size is spelled");
    is_str(conf_format_size(65537, buf), "65537", "exactly");
}

static void test_addresses(void)
{
    struct conf_listen l;
    char host[CONF_HOST_LEN + 1];
    uint16_t port;

    ok(conf_parse_listen("*:443", &l) && l.dual && l.addr.ss_family == AF_INET6, "*:443");
    ok(conf_parse_listen(":443", &l) && l.dual && l.port == 443, ":443");
    ok(conf_parse_listen("127.0.0.1:80", &l) && !l.dual && l.addr.ss_family == AF_INET, "IPv4");
    is_int(((struct sockaddr_in *)&l.addr)->sin_port, htons(80), "port in network order");
    ok(conf_parse_listen("[::1]:80", &l) && !l.dual && l.addr.ss_family == AF_INET6, "IPv6");
    static const char *const no_listener[] = {"443",    "*",        "*:0",     "*:65536",
                                              "::1:80", "[::1]",    "host:80", "[127.0.0.1]:80",
                                              "",       "1.2.3:80", "*: 80",   "*:80 "};
    for (size_t i = 0; i < sizeof no_listener / sizeof *no_listener; i++)
        ok(!conf_parse_listen(no_listener[i], &l), "no listener: \"%s\"", no_listener[i]);

    ok(conf_parse_hostport("Pas1:8810", host, &port) && port == 8810, "host and port");
    is_str(host, "pas1", "a host is in lower case");
    ok(conf_parse_hostport("[FD00::7]:1", host, &port), "IPv6 backend");
    is_str(host, "fd00::7", "without brackets");
    static const char *const no_backend[] = {"pas1",        ":80",    "a b:80",
                                             "a..b:80",     "-a:80",  "fd00::7:80",
                                             "http://a:80", "a:80/x", "[a]:80"};
    for (size_t i = 0; i < sizeof no_backend / sizeof *no_backend; i++)
        ok(!conf_parse_hostport(no_backend[i], host, &port), "no backend: \"%s\"",
           no_backend[i]);
}

static void test_networks(void)
{
    static const char *const right[] = {"10.0.0.0/8", "127.0.0.1/32", "0.0.0.0/0",
                                        "fd00::/8",   "::1/128",      "::/0"};
    static const char *const wrong[] = {"10.0.0.1/8", "10.0.0.0/33", "10/8",
                                        "fd00::/129", "10.0.0.0/",   "",
                                        "a/8",        "10.0.0.0/-1"};
    struct conf_prefix net;
    char buf[80];

    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        ok(conf_parse_network(right[i], &net), "network %s", right[i]);
        is_str(conf_format_network(&net, buf, sizeof buf), right[i], "is spelled the same");
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ok(!conf_parse_network(wrong[i], &net), "no network: \"%s\"", wrong[i]);
}

static bool trusts(const struct conf *conf, const char *addr)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, addr, &v4.sin_addr) == 1)
        return conf_trusts(conf, (struct sockaddr *)&v4);
    inet_pton(AF_INET6, addr, &v6.sin6_addr);
    return conf_trusts(conf, (struct sockaddr *)&v6);
}

static void test_trusted(void)
{
    struct conf *conf = good(FOUR "trusted = [ \"10.20.0.0/14\", \"fd00::/8\" ];\n");

    ok(trusts(conf, "10.20.0.1") && trusts(conf, "10.23.255.255"), "in the network");
    ok(!trusts(conf, "10.24.0.0") && !trusts(conf, "10.19.255.255"), "just beside it");
    ok(trusts(conf, "::ffff:10.21.0.1"), "IPv4 as a dual socket reports it");
    ok(trusts(conf, "fdff::1") && !trusts(conf, "fe80::1"), "IPv6");
    conf_free(conf);

    conf = good(FOUR);
    ok(!trusts(conf, "127.0.0.1"), "by default nobody is trusted");
    conf_free(conf);
}

int main(void)
{
    test_durations();
    test_sizes();
    test_addresses();
    test_networks();
    test_trusted();
    return done();
}
