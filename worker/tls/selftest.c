#include "worker/tls/selftest.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "worker/tls/internal.h"

enum {
    ROUNDS = 64,       /* of both sides, in one handshake: a chain may exceed a BIO's buffer */
    EXAMPLE_SIZE = 80, /* longer than the label that replaces the "*" of a wildcard */
};

static const char label[] = "pasgate-proof"; /* replaces the "*" */

static const struct {
    int number;
    const char *name;
} versions[] = {{TLS1_3_VERSION, "TLS 1.3"}, {TLS1_2_VERSION, "TLS 1.2"}};

enum { VERSIONS = sizeof versions / sizeof *versions };

struct tls_selftest {
    struct tls_engine *engine;
    const struct conf_cert *cert;
    SSL_CTX *server, *client;
    size_t n_versions;
    size_t name, version; /* the next ones to test */
    size_t worked;        /* versions that worked for this name */
    uint16_t reason;      /* why the last handshake failed: OpenSSL's number, or 0 */
    struct tls_selftest_result worst;
};

/* ---- findings */

static int tls_selftest_rank(enum cert_proof proof, bool partly)
{
    static const int ranks[] = {
        [CERT_PROOF_CHAIN] = 2, [CERT_PROOF_NAMES] = 3,     [CERT_PROOF_DATES] = 4,
        [CERT_PROOF_LEAF] = 5,  [CERT_PROOF_HANDSHAKE] = 6, [CERT_PROOF_LOAD] = 7,
    };

    return partly ? 1 : ranks[proof];
}

/* Keeps the worst finding; of equal ones, the first. */
__attribute__((format(printf, 5, 6))) static void found(struct tls_selftest *p,
                                                        enum cert_proof proof, bool partly,
                                                        uint32_t name, const char *fmt, ...)
{
    va_list ap;

    if (p->worst.proof != CERT_PROOF_GOOD &&
        tls_selftest_rank(proof, partly) <= tls_selftest_rank(p->worst.proof, p->worst.partly))
        return;
    p->worst.proof = proof;
    p->worst.partly = partly;
    p->worst.name = name;
    p->worst.error = proof == CERT_PROOF_HANDSHAKE ? p->reason : 0;
    va_start(ap, fmt);
    vsnprintf(p->worst.text, sizeof p->worst.text, fmt, ap);
    va_end(ap);
}

/* ---- checks without a handshake */

static void look_at_dates(struct tls_selftest *p, X509 *cert, const char *which)
{
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
        found(p, CERT_PROOF_DATES, false, 0, "%s is not valid yet", which);
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        found(p, CERT_PROOF_DATES, false, 0, "%s has expired", which);
}

static void look_at_chain(struct tls_selftest *p)
{
    X509 *below = SSL_CTX_get0_certificate(p->server);
    STACK_OF(X509) *chain = NULL;

    look_at_dates(p, below, "the certificate");
    SSL_CTX_get0_chain_certs(p->server, &chain);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *above = sk_X509_value(chain, i);

        if (X509_NAME_cmp(X509_get_issuer_name(below), X509_get_subject_name(above)) != 0 ||
            X509_verify(below, X509_get0_pubkey(above)) != 1)
            found(p, CERT_PROOF_CHAIN, false, 0, "certificate %d of the chain did not sign %d",
                  i + 2, i + 1);
        look_at_dates(p, above, "a certificate of the chain");
        below = above;
    }
    ERR_clear_error();
}

/* ---- a handshake */

static bool tls_selftest_is_address(const char *name)
{
    unsigned char ip[16];

    return inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
}

/* A name that a client can request. */
static const char *example(const char *name, char *out, size_t n)
{
    if (name[0] != '*')
        return name;
    snprintf(out, n, "%s%s", label, name + 1);
    return out;
}

/* OpenSSL does not match a wildcard right below the root ("*.lan"); other libraries do. */
static bool tls_selftest_has_wildcard(X509 *leaf, const char *name)
{
    GENERAL_NAMES *alt = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool found = false;

    for (int i = 0; !found && i < sk_GENERAL_NAME_num(alt); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(alt, i);
        int n = one->type == GEN_DNS ? ASN1_STRING_length(one->d.dNSName) : 0;

        found = n == (int)strlen(name) &&
                strncasecmp((const char *)ASN1_STRING_get0_data(one->d.dNSName), name,
                            (size_t)n) == 0;
    }
    GENERAL_NAMES_free(alt);
    return found;
}

/* asked: the name that the client requested, which is an example if `name` is a wildcard. */
static bool is_for(X509 *leaf, const char *name, const char *asked)
{
    return tls_selftest_is_address(name)
               ? X509_check_ip_asc(leaf, name, 0) == 1
               : X509_check_host(leaf, asked, 0, 0, NULL) == 1 ||
                     (name[0] == '*' && tls_selftest_has_wildcard(leaf, name));
}

/* Runs both sides in turn until both are finished. */
static bool shake(SSL *client, SSL *server)
{
    int mine = 0, theirs = 0;

    for (int i = 0; i < ROUNDS && !(mine == 1 && theirs == 1); i++) {
        mine = SSL_do_handshake(client);
        theirs = SSL_do_handshake(server);
        if ((mine != 1 && SSL_get_error(client, mine) == SSL_ERROR_SSL) ||
            (theirs != 1 && SSL_get_error(server, theirs) == SSL_ERROR_SSL))
            return false;
    }
    return mine == 1 && theirs == 1;
}

static bool tls_selftest_join(SSL *client, SSL *server)
{
    BIO *a = NULL, *b = NULL;

    if (BIO_new_bio_pair(&a, 0, &b, 0) != 1)
        return false;
    SSL_set_bio(client, a, a);
    SSL_set_bio(server, b, b);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    return true;
}

static void look_at_leaf(struct tls_selftest *p, SSL *client, const char *name)
{
    X509 *leaf = SSL_get0_peer_certificate(client);
    uint32_t number = (uint32_t)p->name + 1;

    if (!leaf || X509_cmp(leaf, SSL_CTX_get0_certificate(p->server)) != 0)
        found(p, CERT_PROOF_LEAF, false, number,
              "a client that asks for %s gets another certificate", name);
    else if (!is_for(leaf, p->cert->names[p->name], name))
        found(p, CERT_PROOF_NAMES, false, number, "the certificate is not for %s", name);
}

/* Why the handshake failed. The number is for acmed, which tells it without the log. */
static const char *reason_of(struct tls_selftest *p)
{
    unsigned long error = ERR_peek_error();
    const char *reason = ERR_reason_error_string(error);
    int number = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;

    p->reason = number > 0 && number <= CERT_ERROR_MAX ? (uint16_t)number : 0;
    return reason ? reason : "it does not finish";
}

/* "", or why the handshake failed. */
static const char *try_name(struct tls_selftest *p, const char *name, int version)
{
    struct tls_conn conn = {.engine = p->engine, .fd = -1}; /* filled in by the callbacks */
    struct tls_conn *current = p->engine->current;
    SSL *client = SSL_new(p->client), *server = SSL_new(p->server);
    const char *why = "no memory";

    p->engine->current = &conn;
    p->engine->trial = p->server;
    p->engine->trial_cert = p->cert->index;
    p->reason = 0;
    ERR_clear_error();
    if (client && server && SSL_set_min_proto_version(client, version) == 1 &&
        SSL_set_max_proto_version(client, version) == 1 &&
        (tls_selftest_is_address(name) || SSL_set_tlsext_host_name(client, name) == 1) &&
        tls_selftest_join(client, server)) {
        why = "";
        if (shake(client, server))
            look_at_leaf(p, client, name);
        else
            why = reason_of(p);
    }
    SSL_free(client);
    SSL_free(server);
    ERR_clear_error();
    p->engine->trial = NULL;
    p->engine->current = current;
    return why;
}

bool tls_selftest_step(struct tls_selftest *p, struct tls_selftest_result *verdict)
{
    char text[CONF_HOST_LEN + EXAMPLE_SIZE];
    const char *name = example(p->cert->names[p->name], text, sizeof text);
    const char *why = try_name(p, name, versions[p->version].number);
    uint32_t number = (uint32_t)p->name + 1;

    p->worked += *why == '\0';
    if (*why)
        found(p, CERT_PROOF_HANDSHAKE, true, number, "no handshake for %s with %s: %s", name,
              versions[p->version].name, why);
    if (++p->version == p->n_versions) {
        if (p->worked == 0)
            found(p, CERT_PROOF_HANDSHAKE, false, number, "no handshake for %s: %s", name, why);
        p->version = p->worked = 0;
        p->name++;
    }
    if (p->name < p->cert->n_names)
        return true;
    *verdict = p->worst;
    return false;
}

/* ---- life */

struct tls_selftest *tls_selftest_new(struct tls_engine *engine, uint32_t cert_index,
                                      const char *chain_path, const char *key_path,
                                      struct tls_selftest_result *failed)
{
    SSL_CTX *server = tls_engine_context(engine, cert_index, chain_path, key_path, failed->text,
                                         sizeof failed->text);
    struct tls_selftest *p = server ? calloc(1, sizeof *p) : NULL;

    if (!p || !(p->client = SSL_CTX_new(TLS_client_method()))) {
        failed->proof = CERT_PROOF_LOAD;
        failed->why = server ? CERT_WHY_OTHER : engine->why;
        failed->error = server ? 0 : engine->why_error;
        if (server)
            snprintf(failed->text, sizeof failed->text, "out of memory");
        SSL_CTX_free(server);
        free(p);
        return NULL;
    }
    SSL_CTX_set_verify(p->client, SSL_VERIFY_NONE, NULL); /* the CA may be a private one */
    SSL_CTX_set_options(p->client, SSL_OP_NO_TICKET);
    p->engine = engine;
    p->cert = &engine->conf->certs[cert_index];
    p->server = server;
    p->n_versions = engine->conf->tls.min_version == CONF_TLS_1_3 ? 1 : VERSIONS;
    p->worst.proof = CERT_PROOF_GOOD;
    look_at_chain(p);
    return p;
}

void tls_selftest_free(struct tls_selftest *p)
{
    if (!p)
        return;
    SSL_CTX_free(p->client);
    SSL_CTX_free(p->server);
    free(p);
}
