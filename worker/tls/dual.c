/* Two certificates for the same names, one with an ECDSA key and one with an RSA key. OpenSSL
 * has both in one context and chooses by what the client offers, preferring ECDSA. Each is
 * loaded, self-tested and renewed separately. While only one of them is one that clients
 * accept, every client gets that one. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "worker/tls/internal.h"

uint32_t tls_dual_first(const struct tls_engine *engine, uint32_t cert_index)
{
    const struct conf_cert *dual = engine->conf->certs[cert_index].dual;

    return dual && dual->index < cert_index ? dual->index : cert_index;
}

/* The other one, or the same one if there is only one. */
static uint32_t tls_dual_second(const struct tls_engine *engine, uint32_t first)
{
    const struct conf_cert *dual = engine->conf->certs[first].dual;

    return dual ? dual->index : first;
}

static bool is_good(const struct tls_engine *engine, uint32_t cert)
{
    return !engine->temporary[cert] && clock_wall_ms() < engine->until_wall_ms[cert];
}

/* A certificate that clients complain about (self-signed or expired) is not used if the other
 * one is better. */
static bool gives_way(const struct tls_engine *engine, uint32_t cert, uint32_t to)
{
    return !engine->ctx[cert] ||
           (engine->ctx[to] && !is_good(engine, cert) && is_good(engine, to));
}

SSL_CTX *tls_dual_context(const struct tls_engine *engine, uint32_t *cert)
{
    uint32_t first = *cert, other = tls_dual_second(engine, first);

    if (other == first)
        return engine->ctx[first];
    if (gives_way(engine, first, other))
        *cert = other;
    else if (engine->both[first] && !gives_way(engine, other, first))
        return engine->both[first];
    return engine->ctx[*cert];
}

static bool tls_dual_add(SSL_CTX *to, SSL_CTX *from)
{
    STACK_OF(X509) *chain = NULL;

    SSL_CTX_get0_chain_certs(from, &chain);
    return SSL_CTX_use_cert_and_key(to, SSL_CTX_get0_certificate(from),
                                    SSL_CTX_get0_privatekey(from), chain, 1) == 1;
}

static uint64_t tls_dual_end_of(X509 *cert)
{
    struct tm tm;
    time_t t;

    if (!cert || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1 || (t = timegm(&tm)) < 0)
        return 0;
    return (uint64_t)t * 1000;
}

/* Puts both into a context that has the policy and no certificate. 0, or -1 and a line in
 * err. */
static int tls_dual_join(const struct tls_engine *engine, uint32_t first, uint32_t other,
                         SSL_CTX *both, char *err, size_t n)
{
    const char *why;

    /* If both have the same kind of key, the first one stays: it is added last. */
    if (tls_dual_add(both, engine->ctx[other]) && tls_dual_add(both, engine->ctx[first]))
        return 0;
    why = ERR_reason_error_string(ERR_peek_last_error());
    snprintf(err, n, "not together with %s: %s", engine->conf->certs[other].name,
             why ? why : "failed");
    ERR_clear_error();
    return -1;
}

bool tls_dual_joins(const struct tls_engine *engine, uint32_t cert_index)
{
    uint32_t first = tls_dual_first(engine, cert_index), other = tls_dual_second(engine, first);

    return other != first && engine->ctx[cert_index == first ? other : first];
}

int tls_dual_take(struct tls_engine *engine, uint32_t cert_index, SSL_CTX *ctx, SSL_CTX *both,
                  bool temporary, char *err, size_t n)
{
    uint32_t first = tls_dual_first(engine, cert_index), other = tls_dual_second(engine, first);
    SSL_CTX *before = engine->ctx[cert_index];

    engine->ctx[cert_index] = ctx;
    if (both && tls_dual_join(engine, first, other, both, err, n) < 0) {
        engine->ctx[cert_index] = before;
        SSL_CTX_free(both);
        SSL_CTX_free(ctx);
        return -1;
    }
    SSL_CTX_free(engine->both[first]);
    engine->both[first] = both;
    engine->temporary[cert_index] = temporary;
    engine->until_wall_ms[cert_index] = tls_dual_end_of(SSL_CTX_get0_certificate(ctx));
    SSL_CTX_free(before);
    return 0;
}
