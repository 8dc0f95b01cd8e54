/* Self-signed certificates, and judging pairs of chain and key. */
#include <stdlib.h>

#include "acmed/cert/pem.h"
#include "acmed/cert/selfsigned.h"
#include "t/unit/tap.h"

static const uint64_t now = UINT64_C(1795000000000); /* in 2026 */
static const uint64_t day = UINT64_C(24) * 3600 * 1000;

static struct pem_info info;
static char error[TABLE_REASON];

static void make(const char *const *names, size_t n, struct pem_pair *pair)
{
    is_int(selfsigned_make(names, n, now, pair, error), 0, "made one for %s", names[0]);
}

static int check(const struct pem_pair *pair, const char *name, uint64_t when)
{
    error[0] = '\0';
    return pem_check(pair, &name, 1, when, &info, error);
}

static void test_names(void)
{
    static const char *const names[] = {"shop.test", "*.shop.test", "192.0.2.1", "2001:db8::1",
                                        "Mixed.Test"};
    static const char *const others[] = {"other.test", "*.test", "192.0.2.2", "2001:db8::2",
                                         "a.b.shop.test"};
    static const char *const also[] = {"SHOP.test", "www.shop.test", "*.SHOP.test",
                                       "2001:DB8:0::1"};
    struct pem_pair pair;

    make(names, 5, &pair);
    is_int(pem_check(&pair, names, 5, now, &info, error), 0, "it is a good pair");
    ok(info.covers && info.warning[0] == '\0', "for all its names");
    is_int(info.n_names, 5, "and no others");
    for (int i = 0; i < 4; i++)
        ok(check(&pair, also[i], now) == 0 && info.covers, "also for %s", also[i]);
    for (int i = 0; i < 5; i++)
        ok(check(&pair, others[i], now) == 0 && !info.covers, "not for %s", others[i]);
    is_str(info.warning, "the certificate is not for a.b.shop.test", "and says so");
    is_str(info.issuer, "pasgate self-signed shop.test", "the issuer");
    pem_pair_release(&pair);
}

static void test_times(void)
{
    static const char *const names[] = {"shop.test"};
    struct pem_pair pair;

    make(names, 1, &pair);
    check(&pair, "shop.test", now);
    is_int(info.not_after_wall_ms, now + SELFSIGNED_DAYS * day, "ends after 90 days");
    ok(info.not_before_wall_ms < now && info.not_before_wall_ms > now - day, "a bit backdated");
    is_int(check(&pair, "shop.test", now + 91 * day), 0, "an expired one is a pair still");
    is_str(info.warning, "the certificate has expired", "with a warning");
    check(&pair, "shop.test", now - 10 * day);
    is_str(info.warning, "the certificate is not valid yet", "also before its time");
    pem_pair_release(&pair);
}

static void test_bad_pairs(void)
{
    static const char *const names[] = {"shop.test"};
    struct pem_pair a, b, mixed, half;
    uint8_t one[PEM_DIGEST], two[PEM_DIGEST];
    char both[8192];

    make(names, 1, &a);
    make(names, 1, &b);
    mixed = (struct pem_pair){a.chain, b.key, a.n_chain, b.n_key};
    ok(check(&mixed, "shop.test", now) < 0, "chain and key of two pairs");
    is_str(error, "the key does not match the certificate", "  do not match");

    half = (struct pem_pair){a.chain, a.key, a.n_chain / 2, a.n_key};
    ok(check(&half, "shop.test", now) < 0, "half a chain: %s", error);
    half = (struct pem_pair){a.chain, a.key, a.n_chain, a.n_key / 2};
    ok(check(&half, "shop.test", now) < 0, "half a key: %s", error);
    half = (struct pem_pair){a.chain, a.key, 0, a.n_key};
    ok(check(&half, "shop.test", now) < 0, "no chain");
    is_str(error, "the chain file holds no certificate", "  says so");
    half = (struct pem_pair){a.key, a.chain, a.n_key, a.n_chain};
    ok(check(&half, "shop.test", now) < 0, "exchanged files: %s", error);

    snprintf(both, sizeof both, "%s%s%s", a.key, a.chain, b.chain);
    half = (struct pem_pair){both, both, strlen(both), strlen(both)};
    ok(check(&half, "shop.test", now) == 0, "one file with key and chain works for both");
    is_str(info.warning, "", "two of one name are in order");

    pem_digest(&a, one);
    pem_digest(&b, two);
    ok(memcmp(one, two, sizeof one) != 0, "each pair is another");
    pem_digest(&a, two);
    ok(memcmp(one, two, sizeof one) == 0, "the same is the same");
    pem_pair_release(&a);
    pem_pair_release(&b);
}

static void test_encrypted(void)
{
    static char key[] = "-----BEGIN EC PRIVATE KEY-----\n"
                        "Proc-Type: 4,ENCRYPTED\n"
                        "DEK-Info: AES-128-CBC,000102030405060708090A0B0C0D0E0F\n"
                        "\n"
                        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
                        "-----END EC PRIVATE KEY-----\n";
    static const char *const names[] = {"shop.test"};
    struct pem_pair pair, locked;

    make(names, 1, &pair);
    locked = (struct pem_pair){pair.chain, key, pair.n_chain, sizeof key - 1};
    ok(check(&locked, "shop.test", now) < 0, "an encrypted key, and nobody is asked");
    is_str(error, "the key is encrypted: use one without a password", "  says so");
    pem_pair_release(&pair);
}

int main(void)
{
    test_names();
    test_times();
    test_bad_pairs();
    test_encrypted();
    return done();
}
