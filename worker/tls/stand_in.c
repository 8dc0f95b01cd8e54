/* A self-signed certificate that exists only in memory: what a worker serves for the names of a
 * certificate if the store has none for them that can be read. Clients then see an unknown
 * issuer, as with acmed's own self-signed one (acmed/cert/selfsigned.c), instead of a
 * connection that hangs. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "worker/tls/internal.h"

enum {
    DAY_S = 24 * 3600,
    STAND_IN_DAYS = 397, /* some browsers refuse longer ones, whoever signed them */
    SERIAL_BITS = 126,
};

static bool tls_stand_in_set_serial(X509 *cert)
{
    BIGNUM *number = BN_new();
    bool done = number &&
                BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));

    BN_free(number);
    return done;
}

static bool tls_stand_in_set_subject(X509 *cert)
{
    static const unsigned char by[] = "pasgate self-signed, in memory";
    X509_NAME *name = X509_get_subject_name(cert);

    return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, by, -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, name) == 1;
}

static bool tls_stand_in_set_names(X509 *cert, const char *const *names, size_t n)
{
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    bool done = all != NULL;

    for (size_t i = 0; done && i < n; i++) {
        unsigned char ip[16];
        bool is_ip =
            inet_pton(AF_INET, names[i], ip) == 1 || inet_pton(AF_INET6, names[i], ip) == 1;
        GENERAL_NAME *one =
            a2i_GENERAL_NAME(NULL, NULL, NULL, is_ip ? GEN_IPADD : GEN_DNS, names[i], 0);

        done = one && sk_GENERAL_NAME_push(all, one) > 0;
        if (!done)
            GENERAL_NAME_free(one);
    }
    done = done && X509_add1_ext_i2d(cert, NID_subject_alt_name, all, 0, 0) == 1;
    sk_GENERAL_NAME_pop_free(all, GENERAL_NAME_free);
    return done;
}

bool tls_stand_in_use(SSL_CTX *ctx, const char *const *names, size_t n)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *cert = X509_new();
    bool used = key && cert && X509_set_version(cert, X509_VERSION_3) == 1 &&
                tls_stand_in_set_serial(cert) && tls_stand_in_set_subject(cert) &&
                X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) &&
                X509_gmtime_adj(X509_getm_notAfter(cert), (long)STAND_IN_DAYS * DAY_S) &&
                X509_set_pubkey(cert, key) == 1 && tls_stand_in_set_names(cert, names, n) &&
                X509_sign(cert, key, EVP_sha256()) > 0 &&
                SSL_CTX_use_certificate(ctx, cert) == 1 &&
                SSL_CTX_use_PrivateKey(ctx, key) == 1;

    X509_free(cert);
    EVP_PKEY_free(key);
    return used;
}
