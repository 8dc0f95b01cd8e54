#include "acmed/cert/pem.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "acmed/key/key.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/str.h"

enum { CHAIN_MAX = 20 }; /* certificates; a longer file is not a chain */

static const char *pem_openssl_says(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return reason ? reason : "no reason given";
}

/* All certificates of a text, in its order. NULL: error is set. */
static STACK_OF(X509) * read_chain(const struct pem_pair *pair, char error[TABLE_REASON])
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    BIO *bio = BIO_new_mem_buf(pair->chain, (int)pair->n_chain);
    X509 *cert;

    CHECK(chain && bio);
    while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        CHECK(sk_X509_push(chain, cert) > 0);
    BIO_free(bio);
    error[0] = '\0';
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        snprintf(error, TABLE_REASON, "certificate %d of the chain cannot be parsed: %.80s",
                 sk_X509_num(chain) + 1, pem_openssl_says());
    else if (sk_X509_num(chain) == 0)
        snprintf(error, TABLE_REASON, "the chain file holds no certificate");
    else if (sk_X509_num(chain) > CHAIN_MAX)
        snprintf(error, TABLE_REASON, "the chain holds more than %d certificates", CHAIN_MAX);
    ERR_clear_error();
    if (error[0] == '\0')
        return chain;
    sk_X509_pop_free(chain, X509_free);
    return NULL;
}

static EVP_PKEY *pem_read_key(const struct pem_pair *pair, char error[TABLE_REASON])
{
    bool encrypted;
    EVP_PKEY *key = key_read(str_make(pair->key, pair->n_key), &encrypted);

    if (!key && encrypted)
        snprintf(error, TABLE_REASON, "the key is encrypted: use one without a password");
    else if (!key)
        snprintf(error, TABLE_REASON, "the key file holds no key that parses");
    return key;
}

/* Makes the same calls as a worker will: what would fail there fails here. */
static bool server_takes(X509 *leaf, EVP_PKEY *key, STACK_OF(X509) * chain,
                         char error[TABLE_REASON])
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    bool taken = ctx && SSL_CTX_use_cert_and_key(ctx, leaf, key, chain, 1) == 1;

    if (!taken)
        snprintf(error, TABLE_REASON, "OpenSSL refuses the certificate: %.80s",
                 pem_openssl_says());
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return taken;
}

static uint64_t pem_wall_ms(const ASN1_TIME *at)
{
    struct tm tm;
    time_t t;

    if (!ASN1_TIME_to_tm(at, &tm) || (t = timegm(&tm)) < 0)
        return 0;
    return (uint64_t)t * 1000;
}

/* The issuer in readable form: organisation and common name. */
static void tell_issuer(char *out, size_t cap, X509 *leaf)
{
    const X509_NAME *name = X509_get_issuer_name(leaf);
    char organisation[64] = "", common[64] = "";
    const char *between;

    X509_NAME_get_text_by_NID((X509_NAME *)(uintptr_t)name, NID_organizationName, organisation,
                              sizeof organisation);
    X509_NAME_get_text_by_NID((X509_NAME *)(uintptr_t)name, NID_commonName, common,
                              sizeof common);
    between = organisation[0] && common[0] ? " " : "";
    snprintf(out, cap, "%s%s%s", organisation, between, common);
    if (out[0] == '\0')
        snprintf(out, cap, "unnamed");
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

/* In readable form. */
static void tell_key(char out[CERT_KEY_SIZE], X509 *leaf)
{
    const EVP_PKEY *key = X509_get0_pubkey(leaf);
    char group[CERT_KEY_SIZE] = "";
    const char *curve;

    if (EVP_PKEY_is_a(key, "EC") &&
        EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1) {
        curve = EC_curve_nid2nist(OBJ_sn2nid(group));
        snprintf(out, CERT_KEY_SIZE, "%s", curve ? curve : group);
    } else if (EVP_PKEY_is_a(key, "RSA")) {
        snprintf(out, CERT_KEY_SIZE, "RSA %d", EVP_PKEY_get_bits(key));
    } else {
        snprintf(out, CERT_KEY_SIZE, "%s", EVP_PKEY_get0_type_name(key));
    }
}

static uint32_t count_names(X509 *leaf)
{
    GENERAL_NAMES *alt = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    int n = sk_GENERAL_NAME_num(alt);

    GENERAL_NAMES_free(alt);
    return n > 0 ? (uint32_t)n : 0;
}

/* X509_check_host() does not accept a wildcard as the name: compare the text. */
static bool pem_has_wildcard(X509 *leaf, const char *name)
{
    GENERAL_NAMES *alt = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool found = false;

    for (int i = 0; !found && i < sk_GENERAL_NAME_num(alt); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(alt, i);

        if (one->type == GEN_DNS) {
            const ASN1_STRING *text = one->d.dNSName;
            size_t n = (size_t)ASN1_STRING_length(text);

            found = n == strlen(name) &&
                    strncasecmp((const char *)ASN1_STRING_get0_data(text), name, n) == 0;
        }
    }
    GENERAL_NAMES_free(alt);
    return found;
}

static bool pem_covers(X509 *leaf, const char *name)
{
    unsigned char ip[16];

    if (strncmp(name, "*.", 2) == 0)
        return pem_has_wildcard(leaf, name);
    if (inet_pton(AF_INET, name, ip) == 1)
        return X509_check_ip(leaf, ip, 4, 0) == 1;
    if (inet_pton(AF_INET6, name, ip) == 1)
        return X509_check_ip(leaf, ip, 16, 0) == 1;
    return X509_check_host(leaf, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

static bool pem_in_order(STACK_OF(X509) * chain)
{
    for (int i = 0; i + 1 < sk_X509_num(chain); i++)
        if (X509_NAME_cmp(X509_get_issuer_name(sk_X509_value(chain, i)),
                          X509_get_subject_name(sk_X509_value(chain, i + 1))) != 0)
            return false;
    return true;
}

/* ---- incomplete chains */

/* Does this host have any CA certificates? Without them, a missing intermediate cannot be
 * detected. */
static bool knows_cas(void)
{
    DIR *dir = opendir(X509_get_default_cert_dir());
    int n = 0;

    while (dir && n < 10 && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n == 10 || access(X509_get_default_cert_file(), R_OK) == 0;
}

/* The host's CAs, read again every minute: one start may check a thousand certificates. */
static X509_STORE *known_cas(void)
{
    enum { KEPT_MS = 60 * 1000 };
    static X509_STORE *store;
    static uint64_t until_ms;

    if (store && clock_mono_ms() < until_ms)
        return store;
    X509_STORE_free(store);
    store = X509_STORE_new();
    if (store && X509_STORE_set_default_paths(store) != 1) {
        X509_STORE_free(store);
        store = NULL;
    }
    until_ms = clock_mono_ms() + KEPT_MS;
    return store;
}

static bool known_issuer(X509 *cert)
{
    X509_STORE *store = known_cas();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509 *issuer = NULL;
    bool known = store && ctx && X509_STORE_CTX_init(ctx, store, cert, NULL) == 1 &&
                 X509_STORE_CTX_get1_issuer(&issuer, ctx, cert) == 1;

    X509_free(issuer);
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return known;
}

/* Does it say where its issuer's certificate can be downloaded? Then that issuer is not a root
 * that everybody has, unless this host has it. */
static bool names_issuer(X509 *cert)
{
    AUTHORITY_INFO_ACCESS *info = X509_get_ext_d2i(cert, NID_info_access, NULL, NULL);
    bool found = false;

    for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(info); i++)
        found |= OBJ_obj2nid(sk_ACCESS_DESCRIPTION_value(info, i)->method) == NID_ad_ca_issuers;
    AUTHORITY_INFO_ACCESS_free(info);
    return found;
}

/* text is "", or says what is missing. */
static void find_missing(STACK_OF(X509) * chain, char text[TABLE_REASON])
{
    X509 *last = sk_X509_value(chain, sk_X509_num(chain) - 1);
    char issuer[80];

    text[0] = '\0';
    if (X509_check_issued(last, last) == X509_V_OK || !names_issuer(last) || !knows_cas() ||
        known_issuer(last))
        return;
    tell_issuer(issuer, sizeof issuer, last);
    snprintf(text, TABLE_REASON,
             "the chain is incomplete: the certificate of \"%s\" is missing", issuer);
}

/* ---- description of a pair */

static void pem_describe(STACK_OF(X509) * chain, const char *const *names, size_t n_names,
                         uint64_t now_wall_ms, struct pem_info *info)
{
    X509 *leaf = sk_X509_value(chain, 0);
    char *warning = info->warning;

    *info = (struct pem_info){.covers = true};
    info->not_before_wall_ms = pem_wall_ms(X509_get0_notBefore(leaf));
    info->not_after_wall_ms = pem_wall_ms(X509_get0_notAfter(leaf));
    info->n_names = count_names(leaf);
    info->self_signed = X509_self_signed(leaf, 1) == 1;
    tell_issuer(info->issuer, sizeof info->issuer, leaf);
    tell_key(info->key, leaf);
    find_missing(chain, info->incomplete);
    if (!pem_in_order(chain))
        snprintf(warning, TABLE_REASON,
                 "the chain is not in order: each certificate must be "
                 "issued by the next");
    for (size_t i = n_names; i-- > 0;)
        if (!pem_covers(leaf, names[i])) {
            info->covers = false;
            snprintf(warning, TABLE_REASON, "the certificate is not for %.100s", names[i]);
        }
    if (now_wall_ms < info->not_before_wall_ms)
        snprintf(warning, TABLE_REASON, "the certificate is not valid yet");
    if (now_wall_ms >= info->not_after_wall_ms)
        snprintf(warning, TABLE_REASON, "the certificate has expired");
}

int pem_check(const struct pem_pair *pair, const char *const *names, size_t n_names,
              uint64_t now_wall_ms, struct pem_info *info, char error[TABLE_REASON])
{
    STACK_OF(X509) *chain = NULL;
    EVP_PKEY *key = NULL;
    X509 *leaf = NULL;
    int rc = -1;

    chain = read_chain(pair, error);
    if (!chain)
        goto out;
    key = pem_read_key(pair, error);
    if (!key)
        goto out;
    leaf = sk_X509_value(chain, 0);
    if (X509_check_private_key(leaf, key) != 1) {
        snprintf(error, TABLE_REASON, "the key does not match the certificate");
        goto out;
    }
    pem_describe(chain, names, n_names, now_wall_ms, info);
    sk_X509_shift(chain);
    if (server_takes(leaf, key, chain, error))
        rc = 0;
    X509_free(leaf);
out:
    ERR_clear_error();
    EVP_PKEY_free(key);
    sk_X509_pop_free(chain, X509_free);
    return rc;
}

enum cert_source pem_source(enum cert_source noted, const struct pem_info *info)
{
    if (noted == CERT_FILE)
        return CERT_FILE;
    return info->self_signed ? CERT_SELF_SIGNED : CERT_ACME;
}

/* ---- advice */

enum { SOON_DAYS = 30, DAY_MS = 24 * 3600 * 1000 };

static void advise_chain(STACK_OF(X509) * chain, uint64_t now_wall_ms,
                         void (*tell)(void *to, const char *text), void *to)
{
    char text[TABLE_REASON];

    for (int i = 1; i < sk_X509_num(chain); i++)
        if (pem_wall_ms(X509_get0_notAfter(sk_X509_value(chain, i))) <= now_wall_ms) {
            snprintf(text, sizeof text,
                     "certificate %d of the chain, an intermediate one, has expired", i + 1);
            tell(to, text);
        }
    find_missing(chain, text);
    if (*text)
        tell(to, text);
}

void pem_advise(const struct pem_pair *pair, uint64_t now_wall_ms,
                void (*tell)(void *to, const char *text), void *to)
{
    char text[TABLE_REASON];
    STACK_OF(X509) *chain = read_chain(pair, text);

    if (!chain)
        return;
    uint64_t from = pem_wall_ms(X509_get0_notBefore(sk_X509_value(chain, 0)));
    uint64_t until = pem_wall_ms(X509_get0_notAfter(sk_X509_value(chain, 0)));
    uint64_t soon = (uint64_t)SOON_DAYS * DAY_MS;

    /* For one that lives for a few weeks, the last third of its lifetime. */
    if (until > from && (until - from) / 3 < soon)
        soon = (until - from) / 3;
    if (until > now_wall_ms && until - now_wall_ms < soon) {
        unsigned days = (unsigned)((until - now_wall_ms) / DAY_MS);

        snprintf(text, sizeof text, "the certificate expires in %u day%s", days,
                 str_plural(days));
        tell(to, text);
    }
    advise_chain(chain, now_wall_ms, tell, to);
    sk_X509_pop_free(chain, X509_free);
}

bool pem_suits(const struct pem_info *info, const struct conf_cert *cert)
{
    return !cert->dual || cert->source != CONF_CERT_ACME ||
           (strncmp(info->key, "RSA", 3) == 0) == conf_key_is_rsa(cert->key_type[0]);
}

bool pem_kinds_differ(const struct pem_pair *a, const struct pem_pair *b)
{
    char text[TABLE_REASON];
    STACK_OF(X509) *one = read_chain(a, text), *two = read_chain(b, text);
    bool differ = true; /* parse errors are reported elsewhere */

    if (one && two)
        differ = EVP_PKEY_get_base_id(X509_get0_pubkey(sk_X509_value(one, 0))) !=
                 EVP_PKEY_get_base_id(X509_get0_pubkey(sk_X509_value(two, 0)));
    sk_X509_pop_free(one, X509_free);
    sk_X509_pop_free(two, X509_free);
    return differ;
}

bool pem_id(const struct pem_pair *pair, struct pem_id *id)
{
    char text[TABLE_REASON];
    STACK_OF(X509) *chain = read_chain(pair, text);
    X509 *leaf = chain ? sk_X509_value(chain, 0) : NULL;
    unsigned char *key = NULL;
    int n = leaf ? i2d_PUBKEY(X509_get0_pubkey(leaf), &key) : -1;
    bool known = n > 0 && X509_digest(leaf, EVP_sha256(), id->leaf, NULL) == 1 &&
                 EVP_Digest(key, (size_t)n, id->key, NULL, EVP_sha256(), NULL) == 1;

    id->not_after_wall_ms = known ? pem_wall_ms(X509_get0_notAfter(leaf)) : 0;
    OPENSSL_free(key);
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return known;
}

void pem_digest(const struct pem_pair *pair, uint8_t out[PEM_DIGEST])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint64_t n_chain = pair->n_chain; /* separates the two texts */

    CHECK(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
    CHECK(EVP_DigestUpdate(ctx, &n_chain, sizeof n_chain) == 1);
    CHECK(EVP_DigestUpdate(ctx, pair->chain, pair->n_chain) == 1);
    CHECK(EVP_DigestUpdate(ctx, pair->key, pair->n_key) == 1);
    CHECK(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
    EVP_MD_CTX_free(ctx);
}

const char *pem_tls_reason(unsigned number)
{
    if (number == 0 || OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, NULL) != 1)
        return NULL;
    return ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, number));
}
