/* The folders of the store in the order in which to look, and whose names a certificate has. */
#include <fcntl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "shm/stored.h"
#include "shm/stored_leaf.h"
#include "t/unit/tap.h"

static int certs;

/* A folder with a link that was set at this second; 0: none. */
static void dir(const char *name, const char *to, time_t at)
{
    const struct timespec times[2] = {{.tv_sec = at}, {.tv_sec = at}};
    char path[CERT_DIR_SIZE + 16];

    snprintf(path, sizeof path, "%s/current", name);
    CHECK(mkdirat(certs, name, 0755) == 0);
    if (at)
        CHECK(symlinkat(to, certs, path) == 0 &&
              utimensat(certs, path, times, AT_SYMLINK_NOFOLLOW) == 0);
}

static void publish(struct table *table, uint32_t i, const char *name, uint32_t generation,
                    enum cert_source source)
{
    struct cert_row row = {.generation = generation, .source = (uint8_t)source};

    snprintf(row.name, sizeof row.name, "%s", name);
    cert_publish(&table->cert[i], &row);
}

static void test_order(struct table *table)
{
    static const char *const order[] = {"live", "newest", "newer", "old", "same", "none"};
    struct stored_live live;
    struct stored stored;

    publish(table, 0, "live", 4, CERT_ACME);
    publish(table, 1, "old", 1, CERT_SELF_SIGNED);
    publish(table, 2, "gone", 1, CERT_FILE);
    dir("none", "", 0);
    dir("old", "1", 100);
    dir("same", "1", 100);
    dir("live", "3", 50);
    dir("newest", "07", 300);
    dir("newer", "2", 200);
    stored_live_read(table, &live);
    is_int(live.n, 2, "two are live that are not self-signed");
    is_int(stored_read(certs, &live, &stored), 0, "folders are read");
    is_int(stored.n, 6, "each of them");
    is_int(stored.left_out, 0, "none is left out");
    for (size_t i = 0; i < stored.n; i++)
        is_str(stored.v[i].name, order[i], "number %zu", i + 1);
    is_int(stored.v[0].generation, 4, "the table knows better than the link");
    is_int(stored.v[1].generation, 0, "a link to no generation");
    is_int(stored.v[2].generation, 2, "what a link leads to");
    stored_release(&stored);
    stored_live_release(&live);
}

/* Of all but those of the test before, nobody knows what is live. */
static void test_many(void)
{
    struct stored_live live = {0};
    struct stored stored;
    char name[32];

    for (int i = 0; i < STORED_LOOKS; i++) {
        snprintf(name, sizeof name, "many%d", i);
        close(openat(certs, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    is_int(stored_read(certs, &live, &stored), 0, "very many");
    is_int(stored.n, STORED_LOOKS, "the bound holds");
    is_int(stored.left_out, 6, "what is left out is counted");
    is_str(stored.v[0].name, "newest", "that which was linked last is first");
    is_str(stored.v[4].name, "live", "then the others that were linked");
    is_int(stored.v[5].since_ns, 0, "then the rest");
    stored_release(&stored);
}

static void test_names(void)
{
    static const char names[] = "shop.test\0*.shop.test\0Mixed.test\0"
                                "192.0.2.1\0"
                                "*.lan\0";
    static const struct {
        const char *wanted;
        bool covered;
    } cases[] = {
        {"shop.test", true},
        {"www.shop.test", true},
        {"*.shop.test", true},
        {"WWW.Shop.test", true},
        {"mixed.TEST", true},
        {"192.0.2.1", true},
        {"a.b.shop.test", false},
        {".shop.test", false},
        {"*.www.shop.test", false},
        {"*.mixed.test", false},
        {"192.0.2.2", false},
        {"hop.test", false},
        {"shop.test.evil", false},
        {"test", false},
        {"*.lan", true},
        {"pc.lan", false},
        {"", false},
    };
    const char *const both[] = {"192.0.2.1", "shop.test"}, *const not [] = {"shop.test",
                                                                            "x.test"};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        is_int(stored_covers(names, &cases[i].wanted, 1), cases[i].covered, "\"%s\"",
               cases[i].wanted);
    ok(stored_covers(names, both, 2), "all of them, in any order");
    ok(!stored_covers(names, not, 2), "not when one is missing");
    ok(!stored_covers("", both, 1), "no names");
}

/* A certificate with these names, as OpenSSL writes them in a configuration. */
static X509 *cert_for(const char *names)
{
    X509 *cert = X509_new();
    X509_EXTENSION *one = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);

    CHECK(cert && one && X509_add_ext(cert, one, -1));
    X509_EXTENSION_free(one);
    return cert;
}

static void test_leaf(void)
{
    X509 *some = cert_for("DNS:shop.test,email:a@b.test,DNS:*.shop.test,IP:192.0.2.1,"
                          "IP:2001:db8::1,URI:https://x.test"),
         *none = X509_new();
    static const char want[] = "shop.test\0*.shop.test\0"
                               "192.0.2.1\0"
                               "2001:db8::1\0";
    const char *const wanted[] = {"www.shop.test", "192.0.2.1"};
    char *names = stored_leaf_names(some);

    ok(names && memcmp(names, want, sizeof want) == 0, "names and addresses, nothing else");
    ok(stored_covers(names, wanted, 2), "as they are compared");
    free(names);
    names = stored_leaf_names(none);
    ok(names && !*names, "a certificate without names has none");
    free(names);
    X509_free(some);
    X509_free(none);
}

#define HEX(c) c c c c c c c c c c c c c c c c
#define A      HEX("aaaa")
#define B      HEX("bbbb")
#define C      HEX("cccc")

static void test_revoked(void)
{
    static const char list[] = "damaged\n\n" A "=" B " 1700000000000 4 1800000000000\n" B "=" C
                               " 1700000000000 1 1800000000000\n" A "=";

    ok(stored_revoked(list, A, C), "revoked for a reason");
    ok(!stored_revoked(list, C, B), "for most of them its key may serve on");
    ok(stored_revoked(list, C, C), "but one that others know does not");
    ok(!stored_revoked("", A, A), "an empty list");
    ok(!stored_revoked("\n", "", ""), "what has no digest is on no list");
}

int main(void)
{
    char dir[] = "/tmp/pasgate-stored-XXXXXX", command[64];
    struct table *table = aligned_alloc(TABLE_PAGE, sizeof *table);

    CHECK(table && mkdtemp(dir));
    memset(table, 0, sizeof *table);
    table->cert_rows = TABLE_CERTS;
    certs = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    test_order(table);
    test_many();
    test_names();
    test_leaf();
    test_revoked();
    close(certs);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK(system(command) == 0);
    free(table);
    return done();
}
