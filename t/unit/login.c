/* Logins: the file of users, credentials, what is remembered, and who is wrong too often. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/conf/users.h"
#include "t/unit/tap.h"
#include "worker/http/basic.h"
#include "worker/login/login_cache.h"
#include "worker/login/login_limit.h"

#define BCRYPT "$2y$10$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define SHA256 \
    "$5$salt$" \
    "0123456789012345678901234567890123456789012"

static void test_lines(void)
{
    static const char *const good[] = {"anna:" BCRYPT, "anna:" SHA256,
                                       "a@b.example:" BCRYPT "\r"};
    static const char *const bad[] = {
        "anna",
        ":" BCRYPT,
        "an na:" BCRYPT,
        "anna:",
        "anna:x",
        "anna:$2y$10$",
        "anna:$2x" BCRYPT,
        "anna:" BCRYPT "x",
        "anna:" BCRYPT " ",
        "anna:$5$" SHA256,
        "anna:$5$rounds=$salt$x",
        "anna:$5$rounds=999$salt$0123456789012345678901234567890123456789012",
        "anna:$5",
        "anna:$",
        "anna:$1$salt$abc",
        "an\xc3\xa9:" BCRYPT};
    static const char *const none[] = {"", "# anna:x", "\r"};
    struct str name, hash;
    const char *why = NULL;

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        is_int(conf_users_line(str_from(good[i]), &name, &hash, &why), CONF_USERS_USER,
               "a user: %s", good[i]);
    is_mem(name.p, name.n, "a@b.example", 11, "its name");
    is_mem(hash.p, hash.n, BCRYPT, sizeof BCRYPT - 1, "and hash, without the end of the line");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ok(conf_users_line(str_from(bad[i]), &name, &hash, &why) == CONF_USERS_BAD && why,
           "none: %s", bad[i]);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        is_int(conf_users_line(str_from(none[i]), &name, &hash, &why), CONF_USERS_NONE,
               "no line");
}

static void test_credentials(void)
{
    static const struct {
        const char *value, *user, *password; /* user NULL: refused */
    } cases[] = {
        {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"},
        {"basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ", "Aladdin", "open sesame"},
        {"Basic YTpiOmM=", "a", "b:c"},
        {"Basic YTo=", "a", ""},
        {"Basic OmE=", NULL, NULL},  /* no name */
        {"Basic YWI=", NULL, NULL},  /* no colon */
        {"Basic YTpi=", NULL, NULL}, /* padding that is wrong */
        {"Basic YTo===", NULL, NULL},
        {"Basic YTp", NULL, NULL}, /* bits that are left over */
        {"Basic YTo=x", NULL, NULL},
        {"Basic YT-_", NULL, NULL},
        {"Basic YTo= ", NULL, NULL},
        {"Basic YQA6Yg==", NULL, NULL}, /* NUL */
        {"Basic YQo6Yg==", NULL, NULL}, /* a newline in the name */
        {"Basic", NULL, NULL},
        {"Basic ", NULL, NULL},
        {"Bearer YTpi", NULL, NULL},
        {"", NULL, NULL},
    };
    char buf[BASIC_MAX];
    struct str user, password;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool found = basic_decode(str_from(cases[i].value), buf, &user, &password);

        is_int(found, cases[i].user != NULL, "\"%s\"", cases[i].value);
        if (!found || !cases[i].user)
            continue;
        is_mem(user.p, user.n, cases[i].user, strlen(cases[i].user), "its name");
        is_mem(password.p, password.n, cases[i].password, strlen(cases[i].password),
               "password");
    }
}

static void test_cache(void)
{
    struct login_cache *cache = calloc(1, sizeof *cache);
    struct login_mac a, b;
    unsigned kept = 0;

    cache->key[0].k[0] = 1;
    cache->key[1].k[1] = 2;
    a = login_cache_mac(cache, 0, STR("anna"), STR("secret"));
    ok(!login_cache_has(cache, a, 0), "nothing is remembered");
    login_cache_add(cache, a, 1000);
    ok(login_cache_has(cache, a, 999), "until its time");
    ok(!login_cache_has(cache, a, 1000), "is over");
    b = login_cache_mac(cache, 0, STR("annas"), STR("ecret"));
    ok(!login_cache_same(a, b), "the border between name and password counts");
    ok(!login_cache_same(a, login_cache_mac(cache, 1, STR("anna"), STR("secret"))), "the file");
    ok(!login_cache_same(a, login_cache_mac(cache, 0, STR("anna"), STR("secre"))), "each byte");
    ok(login_cache_same(a, login_cache_mac(cache, 0, STR("anna"), STR("secret"))),
       "and no more");
    for (uint64_t i = 1; i <= 6; i++)
        login_cache_add(cache, (struct login_mac){{LOGIN_CACHE_SETS * i, i}}, 10000 + i);
    for (uint64_t i = 1; i <= 6; i++)
        kept += login_cache_has(cache, (struct login_mac){{LOGIN_CACHE_SETS * i, i}}, 1);
    is_int(kept, LOGIN_CACHE_WAYS, "one set keeps so many");
    ok(login_cache_has(cache, (struct login_mac){{LOGIN_CACHE_SETS * 6, 6}}, 1),
       "the last one too");
    free(cache);
}

static uint64_t who(const struct login_limit *limit, const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return login_limit_who(limit, (const struct sockaddr *)&v4);
    inet_pton(AF_INET6, text, &v6.sin6_addr);
    return login_limit_who(limit, (const struct sockaddr *)&v6);
}

static void test_limit(void)
{
    struct login_limit *limit = calloc(1, sizeof *limit);
    uint64_t a = who(limit, "192.0.2.1"), b = who(limit, "192.0.2.2");

    for (int i = 0; i < LOGIN_FAILURES; i++) {
        is_int(login_limit_left(limit, a, 1000 + (uint64_t)i), 0, "it may try, %d", i);
        login_limit_failed(limit, a, 1000 + (uint64_t)i);
    }
    is_int(login_limit_left(limit, a, 2000), LOGIN_WINDOW_MS - 1000, "it has to wait");
    is_int(login_limit_left(limit, b, 2000), 0, "another address has not");
    is_int(login_limit_left(limit, a, 1000 + LOGIN_WINDOW_MS), 0, "for a minute");
    login_limit_failed(limit, a, 1000 + LOGIN_WINDOW_MS);
    is_int(login_limit_left(limit, a, 1001 + LOGIN_WINDOW_MS), 0, "and begins anew");
    ok(who(limit, "2001:db8::1") == who(limit, "2001:db8::ffff:1"), "IPv6 by /64");
    ok(who(limit, "2001:db8::1") != who(limit, "2001:db8:0:1::1"), "and not by less");
    free(limit);
}

int main(void)
{
    test_lines();
    test_credentials();
    test_cache();
    test_limit();
    return done();
}
