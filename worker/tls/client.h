/* TLS to backends: pasgate is the client. A connection is a struct tls_conn as for clients,
 * with the same functions for bytes (worker/tls/tls.h).
 *
 *   engine  the memory of all connections to backends of this worker
 *   policy  of one pool: what it trusts, our certificate (base/conf/backend_tls.h)
 *   peer    one backend: its name, and the last session that it gave, to resume
 *
 * What arrives before the handshake has ended is never taken for plaintext: everything goes
 * through OpenSSL (nginx's CVE-2026-1642). Worker only. */
#ifndef WORKER_TLS_CLIENT_H
#define WORKER_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct conf_pool_tls;
struct ssl_ctx_st;
struct ssl_session_st;
struct tls_conn;
struct tls_engine;

/* Zero it before use; tls_peer_release() drops its session. */
struct tls_peer {
    struct ssl_ctx_st *policy;      /* borrowed; NULL: it could not be made */
    const char *name;               /* that its certificate must be valid for; borrowed */
    struct ssl_session_st *session; /* NULL: none yet */
    bool verify;
};

/* An engine without certificates, for tls_conn_connect() only; for tls_engine_free(). NULL: no
 * memory. */
struct tls_engine *tls_client_engine_new(void);

/* NULL: a line in err says why. The engine must outlive it. */
struct ssl_ctx_st *tls_client_policy_new(struct tls_engine *engine,
                                         const struct conf_pool_tls *tls, char *err, size_t n);
void tls_client_policy_free(struct ssl_ctx_st *policy); /* takes NULL */

void tls_peer_release(struct tls_peer *peer);

/* A session on a connected socket, which resumes the peer's last one if it can. tls_handshake()
 * follows at once: we speak first. The peer must outlive it. NULL: no memory. */
struct tls_conn *tls_conn_connect(struct tls_engine *engine, struct tls_peer *peer, int fd);

enum tls_refusal {
    TLS_REFUSED_BY_US,   /* its certificate */
    TLS_REFUSED_BY_PEER, /* an alert of the peer: it refuses us */
    TLS_REFUSED_OTHER,   /* no TLS, closed, no version or cipher in common */
};

/* After tls_handshake() returned -1: why, and in words, as "its certificate has expired".
 * Static text. */
enum tls_refusal tls_client_refusal(const struct tls_conn *conn, const char **text);

/* After TLS_ERROR: was it an alert instead of the first plaintext? In TLS 1.3 a server refuses
 * our certificate after the handshake has ended for us: it has not looked at what we sent. */
bool tls_client_was_refused(const struct tls_conn *conn);

#endif
