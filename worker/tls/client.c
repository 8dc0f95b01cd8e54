#include "worker/tls/client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/conf/backend_tls.h"
#include "base/conf/conf.h"
#include "worker/tls/internal.h"

static const unsigned char http11[] = "\x08http/1.1";

struct tls_engine *tls_client_engine_new(void)
{
    static const struct conf no_conf;
    struct tls_engine *engine = calloc(1, sizeof *engine);

    if (!engine)
        return NULL;
    engine->conf = &no_conf;
    if (tls_engine_init_io(engine) == 0)
        return engine;
    tls_engine_free(engine);
    return NULL;
}

/* Keeps the newest session of the backend. 1: it is ours from now on. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_engine *engine = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct tls_peer *peer = engine->current ? engine->current->peer : NULL;

    if (!peer)
        return 0;
    SSL_SESSION_free(peer->session);
    peer->session = session;
    return 1;
}

SSL_CTX *tls_client_policy_new(struct tls_engine *engine, const struct conf_pool_tls *tls,
                               char *err, size_t n)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    snprintf(err, n, "out of memory");
    if (!ctx)
        return NULL;
    tls_engine_adopt(engine, ctx);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    if (backend_tls_setup(ctx, tls, err, n) == 0 &&
        SSL_CTX_set_alpn_protos(ctx, http11, sizeof http11 - 1) == 0)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

void tls_client_policy_free(SSL_CTX *policy)
{
    SSL_CTX_free(policy);
}

void tls_peer_release(struct tls_peer *peer)
{
    SSL_SESSION_free(peer->session);
    peer->session = NULL;
}

/* A resumed session is not verified again, so it may not outlive its certificate. */
static bool is_fit(const struct tls_peer *peer)
{
    X509 *cert = SSL_SESSION_get0_peer(peer->session);

    return SSL_SESSION_is_resumable(peer->session) &&
           (!peer->verify || (cert && X509_cmp_current_time(X509_get0_notAfter(cert)) > 0));
}

static bool set_name(SSL *ssl, const struct tls_peer *peer)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (backend_tls_expect(param, peer->name) < 0)
        return false;
    /* RFC 6066 section 3: an address is not sent. */
    return backend_tls_is_address(peer->name) || SSL_set_tlsext_host_name(ssl, peer->name) == 1;
}

static SSL *client_session(struct tls_engine *engine, const struct tls_peer *peer)
{
    SSL *ssl = SSL_new(peer->policy);
    BIO *bio = ssl ? BIO_new(engine->method) : NULL;

    if (!bio || !set_name(ssl, peer)) {
        BIO_free(bio);
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_data(bio, engine);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_connect_state(ssl);
    return ssl;
}

struct tls_conn *tls_conn_connect(struct tls_engine *engine, struct tls_peer *peer, int fd)
{
    struct tls_conn *conn = mempool_acquire(&engine->conns);

    if (!conn)
        return NULL;
    *conn = (struct tls_conn){.engine = engine, .fd = fd, .peer = peer, .ticketed = true};
    engine->current = conn;
    conn->ssl = client_session(engine, peer);
    if (!conn->ssl) {
        mempool_return(&engine->conns, conn);
        return NULL;
    }
    if (peer->session && !is_fit(peer))
        tls_peer_release(peer);
    if (peer->session && SSL_set_session(conn->ssl, peer->session) != 1)
        ERR_clear_error();
    return conn;
}

enum tls_refusal tls_client_refusal(const struct tls_conn *conn, const char **text)
{
    long result = SSL_get_verify_result(conn->ssl);

    if (conn->peer->verify && conn->reason == SSL_R_CERTIFICATE_VERIFY_FAILED &&
        result != X509_V_OK) {
        *text = backend_tls_verify_text(result);
        return TLS_REFUSED_BY_US;
    }
    *text = conn->error_code ? backend_tls_error_text(conn->error_code) : tls_conn_error(conn);
    return conn->reason > SSL_AD_REASON_OFFSET ? TLS_REFUSED_BY_PEER : TLS_REFUSED_OTHER;
}

bool tls_client_was_refused(const struct tls_conn *conn)
{
    return conn->reason > SSL_AD_REASON_OFFSET && !conn->got_data;
}
