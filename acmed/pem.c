#include "acmed/pem.h"

#include <arpa/inet.h>
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

#include "acmed/key.h"
#include "base/check.h"

enum { CHAIN_MAX = 20 }; /* certificates in a chain: more is no chain */

static const char *openssl_says(void)
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
        snprintf(error, TABLE_REASON, "certificate %d of the chain does not parse: %.80s",
                 sk_X509_num(chain) + 1, openssl_says());
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

static EVP_PKEY *read_key(const struct pem_pair *pair, char error[TABLE_REASON])
{
    bool encrypted;
    EVP_PKEY *key = key_read(str_make(pair->key, pair->n_key), &encrypted);

    if (!key && encrypted)
        snprintf(error, TABLE_REASON, "the key is encrypted: give one without a password");
    else if (!key)
        snprintf(error, TABLE_REASON, "the key file holds no key that parses");
    return key;
}

/* The same calls that a worker will make: what fails here would fail there. */
static bool server_takes(X509 *leaf, EVP_PKEY *key, STACK_OF(X509) * chain,
                         char error[TABLE_REASON])
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    bool taken = ctx && SSL_CTX_use_cert_and_key(ctx, leaf, key, chain, 1) == 1;

    if (!taken)
        snprintf(error, TABLE_REASON, "OpenSSL refuses the certificate: %.80s", openssl_says());
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return taken;
}

static uint64_t wall_ms(const ASN1_TIME *at)
{
    struct tm tm;
    time_t t;

    if (!ASN1_TIME_to_tm(at, &tm) || (t = timegm(&tm)) < 0)
        return 0;
    return (uint64_t)t * 1000;
}

/* The issuer as people call it: organisation and common name. */
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

static uint32_t count_names(X509 *leaf)
{
    GENERAL_NAMES *alt = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    int n = sk_GENERAL_NAME_num(alt);

    GENERAL_NAMES_free(alt);
    return n > 0 ? (uint32_t)n : 0;
}

/* X509_check_host() takes no wildcard as a name: look for the very text. */
static bool has_wildcard(X509 *leaf, const char *name)
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

static bool covers(X509 *leaf, const char *name)
{
    unsigned char ip[16];

    if (strncmp(name, "*.", 2) == 0)
        return has_wildcard(leaf, name);
    if (inet_pton(AF_INET, name, ip) == 1)
        return X509_check_ip(leaf, ip, 4, 0) == 1;
    if (inet_pton(AF_INET6, name, ip) == 1)
        return X509_check_ip(leaf, ip, 16, 0) == 1;
    return X509_check_host(leaf, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

static bool in_order(STACK_OF(X509) * chain)
{
    for (int i = 0; i + 1 < sk_X509_num(chain); i++)
        if (X509_NAME_cmp(X509_get_issuer_name(sk_X509_value(chain, i)),
                          X509_get_subject_name(sk_X509_value(chain, i + 1))) != 0)
            return false;
    return true;
}

static void describe(STACK_OF(X509) * chain, const char *const *names, size_t n_names,
                     uint64_t now_wall_ms, struct pem_info *info)
{
    X509 *leaf = sk_X509_value(chain, 0);
    char *warning = info->warning;

    *info = (struct pem_info){.covers = true};
    info->not_before_wall_ms = wall_ms(X509_get0_notBefore(leaf));
    info->not_after_wall_ms = wall_ms(X509_get0_notAfter(leaf));
    info->n_names = count_names(leaf);
    tell_issuer(info->issuer, sizeof info->issuer, leaf);
    if (!in_order(chain))
        snprintf(warning, TABLE_REASON,
                 "the chain is not in order: each certificate must be "
                 "issued by the next");
    for (size_t i = n_names; i-- > 0;)
        if (!covers(leaf, names[i])) {
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
    key = read_key(pair, error);
    if (!key)
        goto out;
    leaf = sk_X509_value(chain, 0);
    if (X509_check_private_key(leaf, key) != 1) {
        snprintf(error, TABLE_REASON, "the key does not match the certificate");
        goto out;
    }
    describe(chain, names, n_names, now_wall_ms, info);
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

void pem_digest(const struct pem_pair *pair, uint8_t out[PEM_DIGEST])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint64_t n_chain = pair->n_chain; /* tells where one text ends and the other begins */

    CHECK(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1);
    CHECK(EVP_DigestUpdate(ctx, &n_chain, sizeof n_chain) == 1);
    CHECK(EVP_DigestUpdate(ctx, pair->chain, pair->n_chain) == 1);
    CHECK(EVP_DigestUpdate(ctx, pair->key, pair->n_key) == 1);
    CHECK(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
    EVP_MD_CTX_free(ctx);
}
