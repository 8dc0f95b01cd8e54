/* worker/tls/selftest.h: what a worker finds of certificates that are good, odd or of no use,
 * and how long one step of it takes. */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "t/unit/tap.h"
#include "worker/tls/selftest.h"

enum { DAY_S = 24 * 3600, MANY = CONF_MAX_NAMES };

static char dir[] = "/tmp/pasgate-prove-XXXXXX";
static char err[TLS_ERROR_SIZE];

static const char *const names[] = {"a.test", "*.a.test", "192.0.2.7"};
static const char *const others[] = {"b.test"};
static const char *many[MANY];
static struct conf_cert certs[] = {
    {.index = 0, .name = "b.test", .names = others, .n_names = 1},
    {.index = 1, .name = "a.test", .names = names, .n_names = 3},
    {.index = 2, .name = "many", .names = many, .n_names = MANY},
};
static struct conf conf = {
    .tls = {.min_version = CONF_TLS_1_2,
            .ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20",
            .ciphersuites = "TLS_AES_128_GCM_SHA256",
            .groups = "auto",
            .tickets = true},
    .certs = certs,
    .n_certs = 3,
};

static const char *path(const char *name, const char *what)
{
    static char at[4][200];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(at[turn], sizeof at[turn], "%s/%s.%s", dir, name, what);
    return at[turn];
}

struct made {
    EVP_PKEY *key;
    X509 *cert;
};

/* A certificate; issuer NULL: by itself. alt: as openssl.cnf has it. */
static struct made make(const char *type, const char *cn, const char *alt, int from_day,
                        int to_day, const struct made *issuer)
{
    struct made m = {.cert = X509_new()};
    X509_EXTENSION *ext = NULL;

    m.key = strcmp(type, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen(type);
    X509_set_version(m.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(m.cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(m.cert), (long)from_day * DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(m.cert), (long)to_day * DAY_S);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(m.cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)cn, -1, -1, 0);
    X509_set_issuer_name(m.cert, X509_get_subject_name(issuer ? issuer->cert : m.cert));
    X509_set_pubkey(m.cert, m.key);
    if (alt && (ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt)))
        X509_add_ext(m.cert, ext, -1);
    X509_EXTENSION_free(ext);
    X509_sign(m.cert, issuer ? issuer->key : m.key, EVP_sha256());
    return m;
}

static void drop(struct made *m)
{
    X509_free(m->cert);
    EVP_PKEY_free(m->key);
}

/* name.crt and name.key; above: a second certificate of the chain. */
static void write_pair(const char *name, const struct made *m, const struct made *above)
{
    FILE *out = fopen(path(name, "crt"), "w");

    PEM_write_X509(out, m->cert);
    if (above)
        PEM_write_X509(out, above->cert);
    fclose(out);
    out = fopen(path(name, "key"), "w");
    PEM_write_PrivateKey(out, m->key, NULL, NULL, 0, NULL, NULL);
    fclose(out);
}

static uint64_t longest_us;

static struct tls_selftest_result prove(struct tls_engine *engine, uint32_t cert,
                                        const char *name)
{
    struct tls_selftest_result verdict = {.proof = CERT_PROOF_LOAD};
    struct tls_selftest *proof =
        tls_selftest_new(engine, cert, path(name, "crt"), path(name, "key"), &verdict);
    bool more = proof != NULL;

    longest_us = 0;
    while (more) {
        uint64_t start = clock_mono_us(), took;

        more = tls_selftest_step(proof, &verdict);
        took = clock_mono_us() - start;
        longest_us = took > longest_us ? took : longest_us;
    }
    tls_selftest_free(proof);
    return verdict;
}

static const char alt_all[] = "DNS:a.test,DNS:*.a.test,IP:192.0.2.7";

/* Makes one that is as told, and looks at it. */
static struct tls_selftest_result judge(struct tls_engine *engine, const char *type,
                                        const char *alt, int from_day, int to_day)
{
    struct made m = make(type, "a", alt, from_day, to_day, NULL);

    write_pair("one", &m, NULL);
    drop(&m);
    return prove(engine, 1, "one");
}

static void test_good(struct tls_engine *engine)
{
    static const char *const top = "*.lan";
    struct tls_selftest_result v = judge(engine, "P-256", alt_all, -1, 9);

    is_int(v.proof, CERT_PROOF_GOOD, "a good one, also by wildcard and address: %s", v.text);
    is_int(judge(engine, "RSA", alt_all, -1, 9).proof, CERT_PROOF_GOOD, "RSA");
    is_int(judge(engine, "P-384", alt_all, -1, 9).proof, CERT_PROOF_GOOD, "P-384");
    certs[1].names = &top;
    certs[1].n_names = 1;
    is_int(judge(engine, "P-256", "DNS:*.lan", -1, 9).proof, CERT_PROOF_GOOD,
           "a wildcard right below the root");
    certs[1].names = names;
    certs[1].n_names = 3;
    ok(!tls_engine_has(engine, 1), "none of them was made live");
}

static void test_odd(struct tls_engine *engine)
{
    struct tls_selftest_result v = judge(engine, "P-256", "DNS:a.test,DNS:*.a.test", -1, 9);

    is_int(v.proof, CERT_PROOF_NAMES, "without one of the names: %s", v.text);
    is_int(v.name, 3, "which is told");
    v = judge(engine, "P-256", "DNS:a.test,IP:192.0.2.7", -1, 9);
    ok(v.proof == CERT_PROOF_NAMES && v.name == 2, "without the wildcard: %s", v.text);
    v = judge(engine, "P-256", alt_all, -9, -1);
    is_int(v.proof, CERT_PROOF_DATES, "%s", v.text);
    v = judge(engine, "P-256", alt_all, 1, 9);
    is_int(v.proof, CERT_PROOF_DATES, "%s", v.text);
}

static void test_useless(struct tls_engine *engine)
{
    struct tls_selftest_result v = judge(engine, "secp256k1", alt_all, -1, 9);

    ok(v.proof == CERT_PROOF_HANDSHAKE && !v.partly, "a curve that TLS lacks: %s", v.text);
    v = judge(engine, "secp256k1", "DNS:x.test", -9, -1);
    is_int(v.proof, CERT_PROOF_HANDSHAKE, "that is worse than its dates and names");
    conf.tls.ciphers = "ECDHE-RSA-AES128-GCM-SHA256";
    v = judge(engine, "P-256", alt_all, -1, 9);
    ok(v.proof == CERT_PROOF_HANDSHAKE && v.partly, "one that 1.2 would not take: %s", v.text);
    conf.tls.min_version = CONF_TLS_1_3;
    is_int(judge(engine, "P-256", alt_all, -1, 9).proof, CERT_PROOF_GOOD,
           "which is well where 1.2 is not spoken");
    conf.tls.min_version = CONF_TLS_1_2;
    conf.tls.ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
    v = prove(engine, 1, "nothing");
    is_int(v.proof, CERT_PROOF_LOAD, "not there: %s", v.text);
    ok(v.why == CERT_WHY_FILE && v.error == ENOENT, "which acmed is told, too");
}

static void test_chain(struct tls_engine *engine)
{
    struct made root = make("P-256", "root", NULL, -1, 9, NULL);
    struct made old = make("P-256", "old", NULL, -9, -1, &root);
    struct made stranger = make("P-256", "root", NULL, -1, 9, NULL);
    struct made leaf = make("P-256", "a", alt_all, -1, 9, &root);
    struct made low = make("P-256", "a", alt_all, -1, 9, &old);
    struct tls_selftest_result v;

    write_pair("chain", &leaf, &root);
    is_int(prove(engine, 1, "chain").proof, CERT_PROOF_GOOD, "a chain");
    write_pair("chain", &leaf, &stranger);
    v = prove(engine, 1, "chain");
    is_int(v.proof, CERT_PROOF_CHAIN, "the right name, the wrong key: %s", v.text);
    write_pair("chain", &low, &old);
    v = prove(engine, 1, "chain");
    is_int(v.proof, CERT_PROOF_DATES, "%s", v.text);
    drop(&root);
    drop(&old);
    drop(&stranger);
    drop(&leaf);
    drop(&low);
}

/* Who asks for the name gets another certificate: both have it. */
static void test_leaf(struct tls_engine *engine)
{
    struct made b = make("P-256", "b", "DNS:b.test", -1, 9, NULL);
    struct tls_selftest_result v;

    write_pair("b", &b, NULL);
    is_int(tls_engine_load(engine, 0, path("b", "crt"), path("b", "key"), err, sizeof err), 0,
           "another one is live");
    certs[1].names = others;
    certs[1].n_names = 1;
    v = judge(engine, "P-256", "DNS:b.test", -1, 9);
    is_int(v.proof, CERT_PROOF_LEAF, "%s", v.text);
    certs[1].names = names;
    certs[1].n_names = 3;
    drop(&b);
}

static void test_many(struct tls_engine *engine)
{
    struct made m;
    char *alt = malloc(64 * MANY), *at = alt;
    uint64_t start;

    for (int i = 0; i < MANY; i++)
        at += sprintf(at, "%sDNS:%s", i ? "," : "", many[i]);
    m = make("P-256", "many", alt, -1, 9, NULL);
    write_pair("many", &m, NULL);
    start = clock_mono_us();
    is_int(prove(engine, 2, "many").proof, CERT_PROOF_GOOD, "a hundred names");
    diag("%llu us in all, the longest step %llu us",
         (unsigned long long)(clock_mono_us() - start), (unsigned long long)longest_us);
    drop(&m);
    free(alt);
}

int main(void)
{
    static char text[MANY][32];
    struct tls_engine *engine;

    for (int i = 0; i < MANY; i++) {
        snprintf(text[i], sizeof text[i], "www%d.many.test", i);
        many[i] = text[i];
    }
    if (!mkdtemp(dir) || !(engine = tls_engine_new(&conf, err, sizeof err)))
        return 1;
    test_good(engine);
    test_odd(engine);
    test_useless(engine);
    test_chain(engine);
    test_leaf(engine);
    test_many(engine);
    tls_engine_free(engine);
    static const char *const left[] = {"one", "chain", "b", "many"};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        unlink(path(left[i], "crt"));
        unlink(path(left[i], "key"));
    }
    rmdir(dir);
    return done();
}
