/* One certificate with a store of its own in a temporary directory, and a CA that signs. For
 * unit tests: one_open() comes first, one_close() last. */
#ifndef T_UNIT_ONE_CERTIFICATE_H
#define T_UNIT_ONE_CERTIFICATE_H

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acmed/cert/adopt.h"
#include "acmed/cert/certificate.h"
#include "acmed/cert/deploy.h"
#include "acmed/cert/request.h"
#include "acmed/cert/revoked.h"
#include "acmed/cert/selfsigned.h"
#include "acmed/key/secret.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "t/unit/tap.h"

static char root[] = "/tmp/pasgate-take-over-XXXXXX";
static const char *const names[] = {"x.test"};
static const struct conf_cert cert = {
    .name = "x.test", .names = names, .n_names = 1, .source = CONF_CERT_ACME};
static struct conf conf = {.certs = &cert, .n_certs = 1};
static struct heritage heritage = {.conf = &conf};
static struct store store = {.certs_fd = -1};

static inline X509 *read_cert(const struct pem_pair *pair)
{
    BIO *bio = BIO_new_mem_buf(pair->chain, (int)pair->n_chain);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    return x;
}

static inline EVP_PKEY *read_key(const struct pem_pair *pair)
{
    BIO *bio = BIO_new_mem_buf(pair->key, (int)pair->n_key);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

    BIO_free(bio);
    return key;
}

/* Signed by another key than its own; with `as`, for the key of that one. */
static inline struct pem_pair signed_by_ca(const struct pem_pair *as)
{
    struct pem_pair made, pair;
    char error[TABLE_REASON], *text;
    EVP_PKEY *ca = EVP_EC_gen("P-256"), *key;
    X509_NAME *issuer = X509_NAME_new();
    BIO *out = BIO_new(BIO_s_mem());
    X509 *x;

    if (selfsigned_make(names, 1, clock_wall_ms(), &made, error) < 0)
        abort();
    x = read_cert(&made);
    key = read_key(as ? as : &made);
    if (!X509_NAME_add_entry_by_txt(issuer, "CN", MBSTRING_ASC, (const unsigned char *)"CA", -1,
                                    -1, 0) ||
        !X509_set_issuer_name(x, issuer) || !X509_set_pubkey(x, key) ||
        X509_sign(x, ca, EVP_sha256()) <= 0 || !PEM_write_bio_X509(out, x))
        abort();
    pair.n_chain = (size_t)BIO_get_mem_data(out, &text);
    pair.chain = secret_copy(str_make(text, pair.n_chain));
    pair.n_key = as ? as->n_key : made.n_key;
    pair.key = secret_copy(str_make(as ? as->key : made.key, pair.n_key));
    pem_pair_release(&made);
    BIO_free(out);
    X509_NAME_free(issuer);
    X509_free(x);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca);
    return pair;
}

static inline const char *at(const char *below)
{
    static char full[2][512];
    static int turn;

    turn = !turn;
    snprintf(full[turn], sizeof full[turn], "%s/certs/%s", root, below);
    return full[turn];
}

static inline uint32_t put(const char *dir, const struct pem_pair *pair)
{
    return store_write(&store, dir, 0, pair, CERT_ACME);
}

static inline void empty_store(void)
{
    char clean[64];

    store_release(&store);
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    if (system(clean) != 0 || store_open(&store, root) < 0)
        abort();
    memset(heritage.table, 0, sizeof *heritage.table);
    heritage.table->cert_rows = 1;
}

static inline void start(struct certificate *k, uint32_t generation)
{
    struct cert_row before = {.name = "x.test",
                              .source = CERT_ACME,
                              .generation = generation,
                              .not_after_wall_ms = UINT64_MAX};

    adopt_begin(&heritage);
    certificate_init(k, &heritage, &store, NULL, &cert, generation ? &before : NULL,
                     clock_mono_ms());
}

/* What the last request was told. */
static inline const char *said(const struct certificate *k)
{
    for (int i = 0; i < CERT_REPLIES; i++)
        if (k->row.requests && k->row.replies[i].number == k->row.requests)
            return k->row.replies[i].text;
    return "";
}

static inline void one_open(void)
{
    heritage.table = aligned_alloc(TABLE_PAGE, sizeof *heritage.table);
    conf.acme = (struct conf_acme){
        .store = mkdtemp(root), .hook = "", .directory = "", .email = "", .profile = ""};
    if (!heritage.table)
        abort();
}

static inline void one_close(void)
{
    char clean[64];

    store_release(&store);
    free(heritage.table);
    snprintf(clean, sizeof clean, "rm -rf %s", root);
    ok(system(clean) == 0, "cleaned up");
}

#endif
