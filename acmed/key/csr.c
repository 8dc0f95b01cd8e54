#include "acmed/key/csr.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "acmed/key/jose.h"
#include "acmed/key/key.h"
#include "acmed/key/secret.h"

enum {
    CHAIN_CERTS_MAX = 10, /* certificates in a chain; CAs send two to four */
};

struct csr_key {
    EVP_PKEY *pkey;
};

/* ---- keys */

enum csr_key_type csr_key_type(const char *name)
{
    static const char *const names[CSR_KEY_TYPES] = {"p256", "p384", "rsa2048", "rsa4096"};
    int type = 0;

    while (type < CSR_KEY_TYPES && strcmp(names[type], name) != 0)
        type++;
    return (enum csr_key_type)type;
}

static EVP_PKEY *generate(enum csr_key_type type)
{
    switch (type) {
    case CSR_P256:
        return key_new_ec("P-256");
    case CSR_P384:
        return key_new_ec("P-384");
    case CSR_RSA2048:
        return key_new_rsa(2048);
    case CSR_RSA4096:
        return key_new_rsa(4096);
    default:
        return NULL;
    }
}

char *csr_key_new(enum csr_key_type type, size_t *n)
{
    EVP_PKEY *pkey = generate(type);
    char *text = pkey ? key_text(pkey, n) : NULL;

    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return text;
}

struct csr_key *csr_key_read(struct str pem)
{
    struct csr_key *key = calloc(1, sizeof *key);

    if (key)
        key->pkey = key_read(pem, NULL);
    if (key && key->pkey)
        return key;
    csr_key_free(key);
    return NULL;
}

void csr_key_free(struct csr_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

/* ---- requests */

/* The bytes of an IP address: 4 or 16; or 0 for a DNS name. */
static int ip_bytes(const char *name, uint8_t out[16])
{
    if (inet_pton(AF_INET, name, out) == 1)
        return 4;
    return inet_pton(AF_INET6, name, out) == 1 ? 16 : 0;
}

static bool push_name(GENERAL_NAMES *all, const char *name)
{
    GENERAL_NAME *one = GENERAL_NAME_new();
    uint8_t ip[16];
    int n = ip_bytes(name, ip);
    ASN1_STRING *value = n ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

    if (!one || !value ||
        !ASN1_STRING_set(value, n ? (void *)ip : (const void *)name, n ? n : -1)) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(one);
        return false;
    }
    GENERAL_NAME_set0_value(one, n ? GEN_IPADD : GEN_DNS, value);
    if (sk_GENERAL_NAME_push(all, one) > 0)
        return true;
    GENERAL_NAME_free(one);
    return false;
}

static bool add_names(X509_REQ *request, const char *const *names, size_t n_names)
{
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    bool added = all != NULL;

    for (size_t i = 0; added && i < n_names; i++)
        added = push_name(all, names[i]);
    added = added && X509V3_add1_i2d(&extensions, NID_subject_alt_name, all, 0, 0) == 1 &&
            X509_REQ_add_extensions(request, extensions) == 1;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    sk_GENERAL_NAME_pop_free(all, GENERAL_NAME_free);
    return added;
}

uint8_t *csr_make(const struct csr_key *key, const char *const *names, size_t n_names,
                  size_t *n)
{
    X509_REQ *request = X509_REQ_new();
    EVP_PKEY *once = key_once(key->pkey);
    uint8_t *der = NULL, *copy = NULL;
    int size;

    if (request && once && X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1 &&
        X509_REQ_set_pubkey(request, key->pkey) == 1 && add_names(request, names, n_names) &&
        X509_REQ_sign(request, once, EVP_sha256()) > 0 &&
        (size = i2d_X509_REQ(request, &der)) > 0 && (copy = malloc((size_t)size))) {
        memcpy(copy, der, (size_t)size);
        *n = (size_t)size;
    }
    OPENSSL_free(der);
    X509_REQ_free(request);
    EVP_PKEY_free(once);
    ERR_clear_error();
    return copy;
}

/* ---- chains */

static STACK_OF(X509) * read_chain(struct str chain)
{
    STACK_OF(X509) *all = sk_X509_new_null();
    BIO *bio = BIO_new_mem_buf(chain.p ? chain.p : "", (int)chain.n);
    X509 *cert;
    bool whole;

    while (all && bio && sk_X509_num(all) <= CHAIN_CERTS_MAX &&
           (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        if (sk_X509_push(all, cert) <= 0)
            X509_free(cert);
    whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    BIO_free(bio);
    ERR_clear_error();
    if (all && whole && sk_X509_num(all) > 0 && sk_X509_num(all) <= CHAIN_CERTS_MAX)
        return all;
    sk_X509_pop_free(all, X509_free);
    return NULL;
}

static bool same_name(const GENERAL_NAME *got, const char *want)
{
    const ASN1_STRING *value;
    uint8_t ip[16];
    int n = ip_bytes(want, ip), type, size;
    const uint8_t *bytes;

    value = GENERAL_NAME_get0_value(got, &type);
    if (type != (n ? GEN_IPADD : GEN_DNS))
        return false;
    bytes = ASN1_STRING_get0_data(value);
    size = ASN1_STRING_length(value);
    if (n)
        return size == n && memcmp(bytes, ip, (size_t)n) == 0;
    return size == (int)strlen(want) &&
           strncasecmp((const char *)bytes, want, (size_t)size) == 0;
}

/* The certificate has exactly these names. */
static bool names_match(X509 *leaf, const char *const *names, size_t n_names)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    int n = all ? sk_GENERAL_NAME_num(all) : 0;
    bool match = n > 0;

    for (size_t i = 0; match && i < n_names; i++) {
        match = false;
        for (int k = 0; !match && k < n; k++)
            match = same_name(sk_GENERAL_NAME_value(all, k), names[i]);
    }
    for (int k = 0; match && k < n; k++) {
        match = false;
        for (size_t i = 0; !match && i < n_names; i++)
            match = same_name(sk_GENERAL_NAME_value(all, k), names[i]);
    }
    GENERAL_NAMES_free(all);
    return match;
}

/* A certificate that is not valid yet is accepted: our clock may be behind, and
 * cert/certificate.c waits until it is valid. */
static bool has_expired(X509 *leaf, uint64_t now_wall_ms)
{
    time_t now = (time_t)(now_wall_ms / 1000);

    return X509_cmp_time(X509_get0_notAfter(leaf), &now) <= 0;
}

static bool signatures_hold(const STACK_OF(X509) * all)
{
    for (int i = 0; i + 1 < sk_X509_num(all); i++) {
        X509 *cert = sk_X509_value(all, i), *issuer = sk_X509_value(all, i + 1);

        if (X509_check_issued(issuer, cert) != X509_V_OK ||
            X509_verify(cert, X509_get0_pubkey(issuer)) != 1)
            return false;
    }
    return true;
}

int csr_check_chain(const struct csr_key *key, struct str chain, const char *const *names,
                    size_t n_names, uint64_t now_wall_ms, char error[CSR_ERROR_SIZE])
{
    STACK_OF(X509) *all = read_chain(chain);
    X509 *leaf = all ? sk_X509_value(all, 0) : NULL;
    const char *wrong = NULL;

    if (!leaf)
        wrong = "the CA's chain cannot be parsed";
    else if (X509_check_private_key(leaf, key->pkey) != 1)
        wrong = "the CA's certificate is for another key";
    else if (!names_match(leaf, names, n_names))
        wrong = "the CA's certificate is for other names than ordered";
    else if (has_expired(leaf, now_wall_ms))
        wrong = "the CA's certificate has already expired: is the clock of this host right?";
    else if (!signatures_hold(all))
        wrong = "the CA's chain is not in order";
    snprintf(error, CSR_ERROR_SIZE, "%s", wrong ? wrong : "");
    sk_X509_pop_free(all, X509_free);
    ERR_clear_error();
    return wrong ? -1 : 0;
}

char *csr_leaf_der(struct str chain)
{
    STACK_OF(X509) *all = read_chain(chain);
    uint8_t *der = NULL;
    char *text = NULL;
    int n = all ? i2d_X509(sk_X509_value(all, 0), &der) : 0;

    if (n > 0)
        text = jose_b64_encode(der, (size_t)n);
    OPENSSL_free(der);
    sk_X509_pop_free(all, X509_free);
    ERR_clear_error();
    return text;
}

static bool is_common_name(const X509_NAME *name, const char *common_name)
{
    int at = -1;

    while ((at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0) {
        const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
        uint8_t *text = NULL;
        int n = ASN1_STRING_to_UTF8(&text, value);
        bool same = n == (int)strlen(common_name) && memcmp(text, common_name, (size_t)n) == 0;

        OPENSSL_free(text);
        if (same)
            return true;
    }
    return false;
}

bool csr_chain_has_issuer(struct str chain, const char *common_name)
{
    STACK_OF(X509) *all = read_chain(chain);
    bool found = false;

    for (int i = 0; all && !found && i < sk_X509_num(all); i++)
        found = is_common_name(X509_get_issuer_name(sk_X509_value(all, i)), common_name);
    sk_X509_pop_free(all, X509_free);
    ERR_clear_error();
    return found;
}
