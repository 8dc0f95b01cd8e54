#include "worker/tls/client_ca.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf/conf.h"
#include "worker/tls/internal.h"

enum {
    CLIENT_SUBJECT_MAX = 1024
}; /* bytes of a subject, as text; one that is longer is refused */

/* What is known of the client's certificate. */
struct tls_client_facts {
    char fingerprint[2 * SHA256_DIGEST_LENGTH + 1];
    char subject[CLIENT_SUBJECT_MAX + 1];
};

/* ---- files */

static STACK_OF(X509_INFO) * read_pem(const char *text)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    STACK_OF(X509_INFO) *all = bio ? PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL) : NULL;

    BIO_free(bio);
    return all;
}

/* Adds the CAs to the store and to the names that clients are told. Returns how many, or -1. */
static int add_cas(struct tls_client *client, const char *text)
{
    STACK_OF(X509_INFO) *all = read_pem(text);
    int found = all ? 0 : -1;

    for (int i = 0; found >= 0 && i < sk_X509_INFO_num(all); i++) {
        X509 *ca = sk_X509_INFO_value(all, i)->x509;
        X509_NAME *name = ca ? X509_NAME_dup(X509_get_subject_name(ca)) : NULL;

        if (!ca)
            continue;
        if (!name || X509_STORE_add_cert(client->store, ca) != 1 ||
            !sk_X509_NAME_push(client->names, name)) {
            X509_NAME_free(name);
            found = -1;
        } else {
            found++;
        }
    }
    sk_X509_INFO_pop_free(all, X509_INFO_free);
    return found;
}

/* The same for CRLs. *expired: the end of one of them has passed. */
static int add_crls(struct tls_client *client, const char *text, bool *expired)
{
    STACK_OF(X509_INFO) *all = read_pem(text);
    int found = all ? 0 : -1;

    for (int i = 0; found >= 0 && i < sk_X509_INFO_num(all); i++) {
        X509_CRL *crl = sk_X509_INFO_value(all, i)->crl;
        const ASN1_TIME *next = crl ? X509_CRL_get0_nextUpdate(crl) : NULL;

        if (!crl)
            continue;
        if (X509_STORE_add_crl(client->store, crl) != 1)
            found = -1;
        else
            found++;
        *expired |= next && X509_cmp_current_time(next) < 0;
    }
    sk_X509_INFO_pop_free(all, X509_INFO_free);
    return found;
}

void tls_client_release(struct tls_client *client)
{
    X509_STORE_free(client->store);
    sk_X509_NAME_pop_free(client->names, X509_NAME_free);
    *client = (struct tls_client){0};
}

/* A session belongs to the policy under which it began: files, mode and depth. */
static bool digest(struct tls_client *client, const struct conf_tls *tls)
{
    const struct conf_listen *l = client->listen;
    const char *parts[] = {l->client_ca_text, l->client_crl_text, tls ? tls->ciphers : "",
                           tls ? tls->ciphersuites : "", tls ? tls->groups : ""};
    const uint32_t numbers[] = {l->client_cert, l->client_depth,
                                tls ? (uint32_t)tls->min_version : 0};
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(md, numbers, sizeof numbers) == 1;

    for (size_t i = 0; good && i < sizeof parts / sizeof *parts; i++)
        good = EVP_DigestUpdate(md, parts[i], strlen(parts[i]) + 1) == 1;
    good = good && EVP_DigestFinal_ex(md, client->digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    return good;
}

int tls_client_init(struct tls_client *client, const struct conf_listen *listen,
                    const struct conf_tls *tls, char *err, size_t n)
{
    bool expired = false;
    int found;

    *client = (struct tls_client){
        .listen = listen, .store = X509_STORE_new(), .names = sk_X509_NAME_new_null()};
    snprintf(err, n, "out of memory");
    if (!client->store || !client->names || !digest(client, tls))
        goto fail;
    found = add_cas(client, listen->client_ca_text);
    if (found <= 0) {
        snprintf(err, n, "client_ca: %s has no certificate that can be read",
                 listen->client_ca);
        goto fail;
    }
    if (*listen->client_crl) {
        found = add_crls(client, listen->client_crl_text, &expired);
        if (found <= 0) {
            snprintf(err, n, "client_crl: %s has no CRL that can be read", listen->client_crl);
            goto fail;
        }
        X509_STORE_set_flags(client->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    }
    ERR_clear_error();
    if (expired)
        snprintf(
            err, n,
            "client_crl: a CRL in %s has expired, so certificates of its CA are refused; get "
            "a new one, and reload",
            listen->client_crl);
    return expired;
fail:
    ERR_clear_error();
    tls_client_release(client);
    return -1;
}

int tls_client_ca_check(const struct conf_listen *listen, char *err, size_t n)
{
    struct tls_client client;
    int result = tls_client_init(&client, listen, NULL, err, n);

    if (result >= 0)
        tls_client_release(&client);
    return result;
}

/* ---- a handshake */

/* A CA above the one that signed the client's certificate need not have a CRL. */
static int on_verify(int good, X509_STORE_CTX *ctx)
{
    if (good || X509_STORE_CTX_get_error(ctx) != X509_V_ERR_UNABLE_TO_GET_CRL ||
        X509_STORE_CTX_get_error_depth(ctx) == 0)
        return good;
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

void tls_conn_ask_client(struct tls_conn *conn, uint32_t listener)
{
    const struct tls_client *client = &conn->engine->client[listener];
    int mode = SSL_VERIFY_PEER;

    if (!client->store)
        return;
    if (client->listen->client_cert == CONF_CLIENT_CERT_REQUIRED)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    conn->client = client;
    SSL_set_verify(conn->ssl, mode, on_verify);
    SSL_set_verify_depth(conn->ssl, (int)client->listen->client_depth);
}

bool tls_client_apply(const struct tls_conn *conn)
{
    const struct tls_client *client = conn->client;
    const struct conf_cert *cert =
        &conn->engine->conf->certs[tls_dual_first(conn->engine, conn->cert)];
    unsigned char id[SHA256_DIGEST_LENGTH];
    STACK_OF(X509_NAME) *names = NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(md, client->digest, sizeof client->digest) == 1 &&
                EVP_DigestUpdate(md, cert->name, strlen(cert->name)) == 1 &&
                EVP_DigestFinal_ex(md, id, NULL) == 1;

    EVP_MD_CTX_free(md);
    if (!good || SSL_set_session_id_context(conn->ssl, id, sizeof id) != 1 ||
        SSL_set1_verify_cert_store(conn->ssl, client->store) != 1 ||
        !(names = SSL_dup_CA_list(client->names)))
        return false;
    SSL_set_client_CA_list(conn->ssl, names);
    return true;
}

/* Printable ASCII, in the order and with the escapes of RFC 2253. */
static bool subject_text(X509 *cert, char *to, size_t cap)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long n;
    bool good = bio && X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0,
                                          XN_FLAG_RFC2253 & ~ASN1_STRFLGS_UTF8_CONVERT) >= 0;

    n = good ? BIO_get_mem_data(bio, &text) : 0;
    good = good && (size_t)n < cap;
    for (long i = 0; good && i < n; i++)
        good = text[i] >= ' ' && text[i] < 0x7f;
    if (good) {
        memcpy(to, text, (size_t)n);
        to[n] = '\0';
    }
    BIO_free(bio);
    return good;
}

const char *tls_client_done(struct tls_conn *conn)
{
    X509 *cert = SSL_get0_peer_certificate(conn->ssl);
    unsigned char hash[EVP_MAX_MD_SIZE];
    struct tls_client_facts *facts;
    unsigned n = 0;

    if (!cert)
        return conn->client->listen->client_cert == CONF_CLIENT_CERT_REQUIRED
                   ? "no client certificate"
                   : NULL;
    if (SSL_get_verify_result(conn->ssl) != X509_V_OK)
        return "client certificate not verified";
    /* A session that is resumed was verified when it began. */
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        return "client certificate has expired";
    facts = malloc(sizeof *facts);
    if (!facts || X509_digest(cert, EVP_sha256(), hash, &n) != 1 || n != SHA256_DIGEST_LENGTH ||
        !subject_text(cert, facts->subject, sizeof facts->subject)) {
        free(facts);
        ERR_clear_error();
        return "client certificate has a subject that cannot be passed on";
    }
    for (unsigned i = 0; i < n; i++)
        snprintf(facts->fingerprint + 2 * (size_t)i, 3, "%02x", hash[i]);
    conn->facts = facts;
    return NULL;
}

const char *tls_conn_client_subject(const struct tls_conn *conn)
{
    return conn->facts ? conn->facts->subject : NULL;
}

const char *tls_conn_client_fingerprint(const struct tls_conn *conn)
{
    return conn->facts ? conn->facts->fingerprint : NULL;
}
