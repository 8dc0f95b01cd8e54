/* Lists of clients: text, and who is admitted. */
#include "base/conf/networks.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/conf/value.h"
#include "t/unit/tap.h"

enum { MOST = 8 };

static bool admits(const char *const *texts, const char *addr)
{
    struct conf_client list[MOST];
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    size_t n = 0;

    for (; texts[n]; n++)
        if (!conf_parse_client(texts[n], &list[n]))
            fail("cannot parse \"%s\"", texts[n]);
    if (inet_pton(AF_INET, addr, &v4.sin_addr) == 1)
        return conf_networks_admit(list, n, (const struct sockaddr *)&v4);
    if (inet_pton(AF_INET6, addr, &v6.sin6_addr) != 1)
        fail("no address: %s", addr);
    return conf_networks_admit(list, n, (const struct sockaddr *)&v6);
}

#define ADMITS(addr, ...) \
    ok(admits((const char *const[]){__VA_ARGS__, NULL}, addr), "in: " addr)
#define REFUSES(addr, ...) \
    ok(!admits((const char *const[]){__VA_ARGS__, NULL}, addr), "out: " addr)

static void test_text(void)
{
    static const char *const right[] = {"allow 10.0.0.0/8", "deny fd00::/8",
                                        "allow all",        "deny ::/0",
                                        "deny 0.0.0.0/0",   "allow 192.0.2.7/32"};
    static const char *const wrong[] = {"",
                                        "allow",
                                        "allow ",
                                        "10.0.0.0/8",
                                        "Allow 10.0.0.0/8",
                                        "deny  all",
                                        "deny all ",
                                        " deny all",
                                        "allow any",
                                        "allow 10.0.0.1/8",
                                        "deny 10.0.0.0/33",
                                        "allow\tall",
                                        "allowall",
                                        "deny ::1/129"};
    struct conf_client client;
    char buf[64];

    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        ok(conf_parse_client(right[i], &client), "rule \"%s\"", right[i]);
        is_str(conf_format_client(&client, buf, sizeof buf), right[i], "is spelled the same");
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ok(!conf_parse_client(wrong[i], &client), "no rule: \"%s\"", wrong[i]);
}

static void test_admit(void)
{
    const struct sockaddr other = {.sa_family = AF_UNIX};
    struct conf_client all;

    diag("the first match decides");
    REFUSES("10.1.2.3", "deny 10.1.0.0/16", "allow 10.0.0.0/8");
    ADMITS("10.2.0.1", "deny 10.1.0.0/16", "allow 10.0.0.0/8");
    ADMITS("10.1.2.3", "allow 10.0.0.0/8", "deny 10.1.0.0/16");
    diag("no match: out if any is allowed, else in");
    REFUSES("192.0.2.1", "deny 10.1.0.0/16", "allow 10.0.0.0/8");
    REFUSES("192.0.2.1", "allow 10.0.0.0/8", "deny 10.1.0.0/16");
    ADMITS("192.0.2.1", "deny 10.0.0.0/8");
    ADMITS("192.0.2.1", "allow 10.0.0.0/8", "allow all");
    REFUSES("192.0.2.1", "deny 10.0.0.0/8", "deny all");
    diag("both families");
    ADMITS("fd12::1", "allow fd00::/8");
    REFUSES("fe80::1", "allow fd00::/8");
    REFUSES("10.0.0.1", "allow ::/0");
    ADMITS("2001:db8::1", "allow ::/0");
    ADMITS("10.0.0.1", "allow 0.0.0.0/0");
    REFUSES("2001:db8::1", "allow 0.0.0.0/0");
    ADMITS("::ffff:10.0.0.1", "allow 10.0.0.0/8");
    REFUSES("::ffff:11.0.0.1", "allow 10.0.0.0/8");
    REFUSES("::10.0.0.1", "allow 10.0.0.0/8");
    ADMITS("192.0.2.7", "allow 192.0.2.7");
    REFUSES("192.0.2.6", "allow 192.0.2.7");
    diag("neither");
    ok(conf_networks_admit(NULL, 0, &other), "an empty list admits what it cannot read");
    ok(conf_parse_client("allow all", &all) && !conf_networks_admit(&all, 1, &other),
       "no other list does");
}

static bool hides(const char *first, const char *later)
{
    struct conf_client a, b;

    return conf_parse_client(first, &a) && conf_parse_client(later, &b) &&
           conf_networks_hide(&a, &b);
}

static void test_hide(void)
{
    ok(hides("deny all", "allow 10.0.0.0/8"), "all hides what follows");
    ok(!hides("allow 10.0.0.0/8", "deny all"), "and is hidden by no network");
    ok(hides("allow 10.0.0.0/8", "deny 10.1.0.0/16"), "a network hides a part of it");
    ok(hides("allow 10.0.0.0/8", "allow 10.0.0.0/8"), "and itself");
    ok(!hides("allow 10.1.0.0/16", "deny 10.0.0.0/8"), "but not a larger one");
    ok(!hides("allow 10.0.0.0/8", "deny 11.0.0.0/8"), "nor another one");
    ok(!hides("deny ::/0", "allow 10.0.0.0/8"), "IPv6 does not hide IPv4");
    ok(hides("deny ::/0", "allow fd00::/8"), "but IPv6");
}

int main(void)
{
    test_text();
    test_admit();
    test_hide();
    return done();
}
