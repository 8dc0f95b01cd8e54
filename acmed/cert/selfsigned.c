#include "acmed/cert/selfsigned.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "acmed/key/key.h"
#include "acmed/key/secret.h"

enum {
    SERIAL_BYTES = 16,    /* RFC 5280 section 4.1.2.2 allows 20 */
    COMMON_NAME_MAX = 64, /* ub-common-name of RFC 5280 */
    BACKDATE_S = 3600,    /* because clients' clocks may be behind */
    DAY_S = 24 * 3600,
};

static int selfsigned_set_serial(X509 *cert)
{
    unsigned char bytes[SERIAL_BYTES];
    BIGNUM *number;
    int done = 0;

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return 0;
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, and of full length */
    number = BN_bin2bn(bytes, sizeof bytes, NULL);
    done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return done;
}

static int selfsigned_set_subject(X509 *cert, const char *first)
{
    X509_NAME *name = X509_NAME_new();
    int done;

    if (!name)
        return 0;
    done = X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
                                      (const unsigned char *)"pasgate self-signed", -1, -1, 0);
    /* The common name is decoration: clients only use subjectAltName. */
    if (done && strlen(first) <= COMMON_NAME_MAX)
        done = X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                          (const unsigned char *)first, -1, -1, 0);
    done = done && X509_set_subject_name(cert, name) && X509_set_issuer_name(cert, name);
    X509_NAME_free(name);
    return done;
}

static GENERAL_NAME *general_name(const char *name)
{
    GENERAL_NAME *one = GENERAL_NAME_new();
    ASN1_STRING *value = NULL;
    unsigned char ip[16];
    int n = inet_pton(AF_INET, name, ip) == 1 ? 4 : inet_pton(AF_INET6, name, ip) == 1 ? 16 : 0;

    value = n ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (!one || !value ||
        !ASN1_STRING_set(value, n ? (void *)ip : (const void *)name, n ? n : -1)) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(one);
        return NULL;
    }
    GENERAL_NAME_set0_value(one, n ? GEN_IPADD : GEN_DNS, value);
    return one;
}

static int selfsigned_set_names(X509 *cert, const char *const *names, size_t n_names)
{
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    int done = all != NULL;

    for (size_t i = 0; done && i < n_names; i++) {
        GENERAL_NAME *one = general_name(names[i]);

        done = one && sk_GENERAL_NAME_push(all, one) > 0;
        if (!done)
            GENERAL_NAME_free(one);
    }
    done = done && X509_add1_ext_i2d(cert, NID_subject_alt_name, all, 0, 0) == 1;
    sk_GENERAL_NAME_pop_free(all, GENERAL_NAME_free);
    return done;
}

static int set_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX ctx;
    int done;

    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    done = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

static X509 *selfsigned_make_cert(EVP_PKEY *key, const char *const *names, size_t n_names,
                                  uint64_t now_wall_ms)
{
    time_t now = (time_t)(now_wall_ms / 1000);
    X509 *cert = X509_new();

    if (cert && X509_set_version(cert, X509_VERSION_3) && selfsigned_set_serial(cert) &&
        selfsigned_set_subject(cert, names[0]) &&
        ASN1_TIME_set(X509_getm_notBefore(cert), now - BACKDATE_S) &&
        ASN1_TIME_set(X509_getm_notAfter(cert), now + (time_t)SELFSIGNED_DAYS * DAY_S) &&
        X509_set_pubkey(cert, key) && selfsigned_set_names(cert, names, n_names) &&
        set_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
        set_extension(cert, NID_key_usage, "critical,digitalSignature") &&
        set_extension(cert, NID_ext_key_usage, "serverAuth") &&
        set_extension(cert, NID_subject_key_identifier, "hash") &&
        X509_sign(cert, key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

static char *cert_text(X509 *cert, size_t *n)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes, *text = NULL;
    long size;

    if (bio && PEM_write_bio_X509(bio, cert) == 1 &&
        (size = BIO_get_mem_data(bio, &bytes)) > 0 &&
        (text = secret_copy(str_make(bytes, (size_t)size))))
        *n = (size_t)size;
    BIO_free(bio);
    return text;
}

int selfsigned_make(const char *const *names, size_t n_names, uint64_t now_wall_ms,
                    struct pem_pair *pair, char error[TABLE_REASON])
{
    EVP_PKEY *key = key_new_ec("P-256");
    X509 *cert = key ? selfsigned_make_cert(key, names, n_names, now_wall_ms) : NULL;
    int rc = -1;

    *pair = (struct pem_pair){0};
    if (cert) {
        pair->chain = cert_text(cert, &pair->n_chain);
        pair->key = key_text(key, &pair->n_key);
        rc = pair->chain && pair->key ? 0 : -1;
    }
    if (rc < 0) {
        const char *why = ERR_reason_error_string(ERR_peek_last_error());

        snprintf(error, TABLE_REASON, "cannot make a self-signed certificate: %.80s",
                 why ? why : "no memory");
        pem_pair_release(pair);
    }
    ERR_clear_error();
    X509_free(cert);
    EVP_PKEY_free(key);
    return rc;
}
