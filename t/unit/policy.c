/* Which certificates are ordered, and which never. */
#include "acmed/order/policy.h"
#include "base/conf/conf.h"
#include "t/unit/tap.h"

static const char le[] = "https://acme-v02.api.letsencrypt.org/directory";
static const char staging[] = "https://acme-staging-v02.api.letsencrypt.org/directory";
static const char own[] = "https://ca.intra:14000/dir";

static bool ordered(const char *directory, const char *email, const char *name)
{
    struct conf_cert cert = {.names = &name, .n_names = 1, .source = CONF_CERT_ACME};
    struct conf conf = {
        .acme = {.directory = directory, .email = email, .agree_tos = true, .profile = ""}};
    bool meant;

    return policy_refuses(&conf, &cert, &meant) == NULL;
}

static void test_names(void)
{
    static const char *const nobodys[] = {
        "localhost",       "pas1",        "a.localhost", "x.local",   "shop.test",
        "www.example.com", "example.org", "10.1.2.3",    "127.0.0.1", "172.31.0.1",
        "192.168.1.1",     "169.254.1.1", "100.64.0.1",  "::1",       "fe80::1",
        "fd00::1",         "a.home.arpa"};
    static const char *const publics[] = {"www.shop.nl", "myexample.com", "local.de",
                                          "192.0.43.8",  "172.32.0.1",    "2a01:4f8::1",
                                          "test.dev",    "*.shop.nl"};

    for (size_t i = 0; i < sizeof nobodys / sizeof *nobodys; i++)
        ok(policy_private(nobodys[i]), "%s is nobody's", nobodys[i]);
    for (size_t i = 0; i < sizeof publics / sizeof *publics; i++)
        ok(!policy_private(publics[i]), "%s is somebody's", publics[i]);
}

static void test_policy(void)
{
    struct conf conf = {.acme = {.directory = own, .email = "", .profile = ""}};
    const char *name = "a.intra";
    struct conf_cert cert = {.names = &name, .n_names = 1, .source = CONF_CERT_ACME};
    bool meant;

    ok(ordered(le, "a@b.nl", "www.shop.nl"), "an email says that it is meant");
    ok(!ordered(le, "", "www.shop.nl"), "nothing says so: the defaults alone order nothing");
    ok(ordered(staging, "", "www.shop.nl"), "another directory says so too");
    ok(!ordered(le, "a@b.nl", "localhost") && !ordered(staging, "a@b.nl", "shop.test"),
       "no private names from Let's Encrypt");
    ok(ordered(own, "", "localhost") && ordered(own, "", "127.0.0.1"), "but from one's own CA");
    ok(!ordered(own, "", "*.a.intra"), "no wildcard without dns-01");
    ok(!ordered(le, "a@b.nl", "192.0.43.8"), "no address without its profile");
    ok(policy_refuses(&conf, &cert, &meant) && !meant, "not without agreeing");
    conf.acme.agree_tos = true;
    cert.source = CONF_CERT_SELF;
    ok(policy_refuses(&conf, &cert, &meant) && !meant, "not what is to be self-signed");
    is_str(policy_refuses(&conf, &cert, &meant),
           "it is not ordered from a CA, but self-signed, as configured", "  in words");
    cert.source = CONF_CERT_FILES;
    is_str(policy_refuses(&conf, &cert, &meant),
           "it comes from files: replace key and chain there, which is noticed",
           "nor what comes from files: what to do instead");
    cert.source = CONF_CERT_ACME;
    name = "*.a.intra";
    ok(policy_refuses(&conf, &cert, &meant) && meant, "a wildcard was meant");
    static const char *const dns[] = {"http-01", "dns-01"};
    conf.acme.challenges = dns;
    conf.acme.n_challenges = 2;
    ok(!policy_refuses(&conf, &cert, &meant), "and is ordered with dns-01");
}

int main(void)
{
    test_names();
    test_policy();
    return done();
}
