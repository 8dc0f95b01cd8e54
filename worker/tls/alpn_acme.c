/* tls-alpn-01 (RFC 8737, for IP addresses RFC 8738): proves control of a name to a CA.
 *
 * Only for a client that offers exactly acme-tls/1, and only while acmed has a row for that
 * name in the table: the client gets a self-signed certificate with the digest of the row's key
 * authorization, and nothing else. Until then the connection is an ordinary one, with the
 * ordinary deadline and limit. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "shm/challenges.h"
#include "worker/tls/internal.h"

enum {
    DIGEST = 32,
    DAY_S = 24 * 3600,
};

/* The value of the extension: an OCTET STRING with the digest (RFC 8737 section 3). */
struct identifier {
    uint8_t tag, length, digest[DIGEST];
};

bool tls_alpn_acme_offered(SSL *ssl)
{
    static const unsigned char only[] = "\x00\x0b\x0a"
                                        "acme-tls/1";
    const unsigned char *p;
    size_t n;

    return SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
                                     &p, &n) == 1 &&
           n == sizeof only - 1 && memcmp(p, only, n) == 0;
}

/* ---- the certificate */

static bool add_extension(X509 *cert, const struct identifier *id)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1); /* id-pe-acmeIdentifier */
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    bool added;

    added = oid && value &&
            ASN1_OCTET_STRING_set(value, (const unsigned char *)id, sizeof *id) == 1 &&
            (extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value)) != NULL &&
            X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
    return added;
}

static bool tls_alpn_acme_add_name(X509 *cert, const char *name)
{
    unsigned char ip[16];
    bool is_ip = inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
    char text[300];
    X509_EXTENSION *extension;
    bool added;

    snprintf(text, sizeof text, "%s:%s", is_ip ? "IP" : "DNS", name);
    extension = strpbrk(name, ",;\n") /* would add more names */
                    ? NULL
                    : X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
    added = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static X509 *tls_alpn_acme_make_cert(EVP_PKEY *key, const struct challenge_row *row)
{
    struct identifier id = {.tag = V_ASN1_OCTET_STRING, .length = DIGEST};
    X509 *cert = X509_new();

    if (cert &&
        EVP_Digest(row->key_authorization, strlen(row->key_authorization), id.digest, NULL,
                   EVP_sha256(), NULL) == 1 &&
        X509_set_version(cert, X509_VERSION_3) == 1 &&
        ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S) &&
        X509_gmtime_adj(X509_getm_notAfter(cert), DAY_S) && X509_set_pubkey(cert, key) == 1 &&
        tls_alpn_acme_add_name(cert, row->name) && add_extension(cert, &id) &&
        X509_sign(cert, key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

bool tls_alpn_acme_reply(const struct tls_engine *engine, SSL *ssl, const char *sni, size_t n)
{
    struct challenge_row row;
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    bool ready = false;

    if (engine->table && challenge_find(engine->table, CHALLENGE_TLS_ALPN_01, str_make(sni, n),
                                        clock_mono_ms(), &row)) {
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        cert = key ? tls_alpn_acme_make_cert(key, &row) : NULL;
        SSL_certs_clear(ssl); /* removes the certificate and chain of the context from which the
                                 session was made */
        ready =
            cert && SSL_use_certificate(ssl, cert) == 1 && SSL_use_PrivateKey(ssl, key) == 1;
        ERR_clear_error();
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    return ready;
}
