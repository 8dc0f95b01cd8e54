#include "base/conf/backend_tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/conf/conf.h"

/* CAs by the text of their file, which lives as long as the configuration. */
static struct {
    const char *pem;
    X509_STORE *store;
} stores[CONF_MAX_POOLS];

static int backend_tls_say(char *err, size_t n, const char *what, const char *file)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());

    snprintf(err, n, "%s %s: %s", what, file, why ? why : "failed");
    ERR_clear_error();
    return -1;
}

static int add_cas(X509_STORE *store, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    int added = 0;
    X509 *cert;

    while (bio && (cert = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL))) {
        added += X509_STORE_add_cert(store, cert) == 1;
        X509_free(cert);
    }
    BIO_free(bio);
    ERR_clear_error();
    return added > 0 ? 0 : -1;
}

static X509_STORE *make_store(const struct conf_pool_tls *tls)
{
    X509_STORE *store = X509_STORE_new();

    if (!store)
        return NULL;
    /* Whoever lists an intermediate or a single certificate trusts it; libcurl does so too. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    if (*tls->ca ? add_cas(store, tls->ca_pem) == 0 : X509_STORE_set_default_paths(store) == 1)
        return store;
    X509_STORE_free(store);
    return NULL;
}

static X509_STORE *store_of(const struct conf_pool_tls *tls)
{
    const char *pem = *tls->ca ? tls->ca_pem : "system";
    size_t i = 0;

    while (i < CONF_MAX_POOLS && stores[i].pem && stores[i].pem != pem)
        i++;
    if (i < CONF_MAX_POOLS && stores[i].pem)
        return stores[i].store;
    X509_STORE *store = make_store(tls);
    if (store && i < CONF_MAX_POOLS) {
        stores[i].pem = pem;
        stores[i].store = store;
    }
    return store;
}

static int backend_tls_no_password(char *to, int size, int writing, void *arg)
{
    (void)to, (void)size, (void)writing, (void)arg;
    return 0;
}

/* The certificate, then its chain. */
static int use_chain(SSL_CTX *ctx, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = bio ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL) : NULL;
    int good = cert && SSL_CTX_use_certificate(ctx, cert) == 1;

    X509_free(cert);
    while (good && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
        if (SSL_CTX_add0_chain_cert(ctx, cert) != 1) {
            X509_free(cert);
            good = 0;
        }
    BIO_free(bio);
    return good ? 0 : -1;
}

static int use_key(SSL_CTX *ctx, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key =
        bio ? PEM_read_bio_PrivateKey(bio, NULL, backend_tls_no_password, NULL) : NULL;
    int good = key && SSL_CTX_use_PrivateKey(ctx, key) == 1;

    EVP_PKEY_free(key);
    BIO_free(bio);
    return good && SSL_CTX_check_private_key(ctx) == 1 ? 0 : -1;
}

int backend_tls_setup(SSL_CTX *ctx, const struct conf_pool_tls *tls, char *err, size_t n)
{
    X509_STORE *store = tls->verify ? store_of(tls) : NULL;

    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
        return backend_tls_say(err, n, "OpenSSL", "");
    if (tls->verify && !store) {
        snprintf(err, n, "%s%s: no certificate of a CA in it, or not readable",
                 *tls->ca ? "ca " : "the CAs of the system", tls->ca);
        ERR_clear_error();
        return -1;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_default_passwd_cb(ctx, backend_tls_no_password);
    SSL_CTX_set_verify(ctx, tls->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (store)
        SSL_CTX_set1_cert_store(ctx, store);
    if (*tls->certificate && use_chain(ctx, tls->certificate_pem) < 0)
        return backend_tls_say(err, n, "certificate", tls->certificate);
    ERR_clear_error(); /* the reader of the chain leaves "no start line" */
    if (*tls->certificate && use_key(ctx, tls->key_pem) < 0)
        return backend_tls_say(err, n, "key", tls->key);
    return 0;
}

int backend_tls_check(const struct conf_pool_tls *tls, char *err, size_t n)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int rc = ctx ? backend_tls_setup(ctx, tls, err, n) : backend_tls_say(err, n, "OpenSSL", "");

    SSL_CTX_free(ctx);
    return rc;
}

const char *backend_tls_name(const struct conf_pool_tls *tls,
                             const struct conf_backend *backend)
{
    return *tls->name ? tls->name : backend->host;
}

bool backend_tls_is_address(const char *name)
{
    struct in6_addr any;

    return inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1;
}

int backend_tls_expect(X509_VERIFY_PARAM *param, const char *name)
{
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return (backend_tls_is_address(name) ? X509_VERIFY_PARAM_set1_ip_asc(param, name)
                                         : X509_VERIFY_PARAM_set1_host(param, name, 0)) == 1
               ? 0
               : -1;
}

const char *backend_tls_verify_text(long result)
{
    switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "its certificate is not valid for its name";
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "its certificate, or one of its chain, has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "its certificate, or one of its chain, is not valid yet";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return "its certificate is self-signed";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        return "its certificate is not from a CA that is trusted";
    case X509_V_ERR_INVALID_PURPOSE:
        return "its certificate is not for a server";
    default:
        return X509_verify_cert_error_string(result);
    }
}

const char *backend_tls_error_text(unsigned long code)
{
    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        return code ? "TLS failed" : "it closed the connection during the handshake";
    switch (ERR_GET_REASON(code)) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_BAD_PACKET:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_RECORD_LENGTH_MISMATCH:
        return "it does not speak TLS";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return "it speaks neither TLS 1.2 nor 1.3";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return "it asks for a certificate of ours";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return "it refuses the handshake: it wants a certificate of ours, or other ciphers";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        return "it refuses our certificate";
    case SSL_R_TLSV1_UNRECOGNIZED_NAME:
        return "it has no certificate for its name";
    default: {
        const char *why = ERR_reason_error_string(code);

        return why ? why : "TLS failed";
    }
    }
}
