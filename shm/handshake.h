/* Why TLS handshakes with clients fail: a bounded set, counted by workers (struct worker_row)
 * and reported by status, metrics and log. */
#ifndef SHM_HANDSHAKE_H
#define SHM_HANDSHAKE_H

enum handshake_failure {
    HANDSHAKE_TIMEOUT,             /* not done within timeouts.handshake */
    HANDSHAKE_CLOSED,              /* the client closed or reset the connection */
    HANDSHAKE_PLAIN_HTTP,          /* a request without TLS, which got a 400 */
    HANDSHAKE_NOT_TLS,             /* malformed: noise, or another protocol */
    HANDSHAKE_VERSION,             /* no TLS version in common */
    HANDSHAKE_CIPHER,              /* no cipher or signature algorithm in common */
    HANDSHAKE_GROUP,               /* no group for the key exchange in common */
    HANDSHAKE_ALPN,                /* no application protocol in common */
    HANDSHAKE_CERTIFICATE_REFUSED, /* the client does not trust or accept our certificate */
    HANDSHAKE_CLIENT_CERTIFICATE,  /* the client has none, or one that is not valid here */
    HANDSHAKE_OTHER,
    HANDSHAKE_FAILURES,
};

/* The name in status and metrics: "plain_http". */
const char *handshake_failure_name(enum handshake_failure failure);

#endif
