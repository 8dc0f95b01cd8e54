/* A client of OpenSSL and a server of worker/tls/tls.h, joined by a socket pair, with two
 * certificates. pairs_open() comes first, pairs_close() last. */
#ifndef T_UNIT_TLS_PAIR_H
#define T_UNIT_TLS_PAIR_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/conf/conf.h"
#include "shm/message.h"
#include "t/unit/tap.h"
#include "worker/tls/tls.h"

static char dir[] = "/tmp/pasgate-tls-XXXXXX";
static char err[TLS_ERROR_SIZE];

/* ---- certificates and configuration */

static inline const char *path(const char *name, const char *what)
{
    static char at[4][200];
    static int turn;

    turn = (turn + 1) % 4;
    snprintf(at[turn], sizeof at[turn], "%s/%s.%s", dir, name, what);
    return at[turn];
}

static inline void make_cert(const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    FILE *out;

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    out = fopen(path(name, "crt"), "w");
    PEM_write_X509(out, cert);
    fclose(out);
    out = fopen(path(name, "key"), "w");
    PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL);
    fclose(out);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static const char *const names_a[] = {"a.test"}, *const names_b[] = {"b.test", "*.b.test"};
static const struct conf_cert certs[] = {
    {.index = 0, .name = "a.test", .names = names_a, .n_names = 1},
    {.index = 1, .name = "b.test", .names = names_b, .n_names = 2},
};
static const struct conf conf = {
    .tls = {.min_version = CONF_TLS_1_2,
            .ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20",
            .ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256",
            .groups = "auto",
            .tickets = true},
    .certs = certs,
    .n_certs = 2,
};

static inline void ring_fill(struct ticket_ring *ring, int current, int previous, int next)
{
    memset(&ring->key[0], current, sizeof ring->key[0]);
    memset(&ring->key[1], previous, sizeof ring->key[1]);
    memset(&ring->key[2], next, sizeof ring->key[2]);
}

static inline struct tls_engine *engine_new(int current, int previous, int next)
{
    struct ticket_ring ring;
    struct tls_engine *engine = tls_engine_new(&conf, err, sizeof err);

    if (!engine)
        return NULL;
    for (uint32_t i = 0; i < 2; i++)
        if (tls_engine_load(engine, i, path(certs[i].name, "crt"), path(certs[i].name, "key"),
                            err, sizeof err) != 0)
            diag("load: %s", err);
    ring_fill(&ring, current, previous, next);
    tls_engine_tickets(engine, &ring);
    return engine;
}

/* ---- a client and a server joined by a socket pair */

struct pair {
    SSL *ssl;
    struct tls_conn *conn;
    int fd[2];
    SSL_SESSION *ticket;
};

static SSL_CTX *client_ctx;

static inline int keep_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct pair *pair = SSL_get_app_data(ssl);

    SSL_SESSION_free(pair->ticket);
    pair->ticket = session;
    return 1;
}

static inline bool pair_open(struct pair *pair, struct tls_engine *engine, int version,
                             const char *sni, SSL_SESSION *resume)
{
    int small = 4096;

    *pair = (struct pair){0};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair->fd) != 0)
        return false;
    setsockopt(pair->fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    setsockopt(pair->fd[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    pair->ssl = SSL_new(client_ctx);
    SSL_set_fd(pair->ssl, pair->fd[0]);
    SSL_set_app_data(pair->ssl, pair);
    SSL_set_max_proto_version(pair->ssl, version);
    if (sni)
        SSL_set_tlsext_host_name(pair->ssl, sni);
    if (resume)
        SSL_set_session(pair->ssl, resume);
    SSL_set_connect_state(pair->ssl);
    return (pair->conn = tls_conn_new(engine, pair->fd[1])) != NULL;
}

static inline void pair_close(struct pair *pair)
{
    tls_conn_free(pair->conn);
    SSL_free(pair->ssl);
    SSL_SESSION_free(pair->ticket);
    close(pair->fd[0]);
    close(pair->fd[1]);
    ERR_clear_error();
}

/* 1 when both are through, -1 when the server gave up, 0 when nothing moves. */
static inline int shake(struct pair *pair)
{
    int mine = 0, theirs = 0;

    for (int i = 0; i < 20 && !(mine == 1 && theirs == 1); i++) {
        mine = SSL_do_handshake(pair->ssl);
        if (theirs == 0)
            theirs = tls_handshake(pair->conn);
        if (theirs < 0)
            return -1;
        tls_flush(pair->conn);
    }
    ERR_clear_error();
    return mine == 1 && theirs == 1;
}

/* The server answers "ok", so that the client gets its ticket. */
static inline bool response(struct pair *pair)
{
    char buf[10];

    return tls_write(pair->conn, "ok", 2) == 0 && tls_flush(pair->conn) == 0 &&
           SSL_read(pair->ssl, buf, sizeof buf) == 2;
}

static inline const char *peer_name(const struct pair *pair)
{
    static char name[100];
    X509 *cert = SSL_get0_peer_certificate(pair->ssl);

    name[0] = '\0';
    if (cert)
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name,
                                  sizeof name);
    return name;
}

static inline void pairs_open(void)
{
    if (!mkdtemp(dir))
        abort();
    make_cert("a.test");
    make_cert("b.test");
    client_ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(client_ctx,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client_ctx, keep_ticket);
    SSL_CTX_set_mode(client_ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static inline void pairs_close(void)
{
    SSL_CTX_free(client_ctx);
    for (int i = 0; i < 2; i++) {
        unlink(path(certs[i].name, "crt"));
        unlink(path(certs[i].name, "key"));
    }
    rmdir(dir);
}

#endif
