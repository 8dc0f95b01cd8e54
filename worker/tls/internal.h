/*
 * What the files of this directory share; not included from elsewhere.
 *
 *   tls/engine.c     certificates, policy, choice by SNI and ALPN
 *   tls/dual.c       two certificates for the same names, with an ECDSA and an RSA key
 *   tls/ticket.c     session tickets
 *   tls/client_ca.c  certificates of clients
 *   tls/alpn_acme.c  the reply to tls-alpn-01
 *   tls/stand_in.c   a self-signed certificate, if the store has none that can be read
 *   tls/selftest.c   handshakes with ourselves, for a certificate that is not live yet
 *   tls/io.c         the shared areas, bytes that wait outside them, our BIO
 *   tls/warm.c       which connections keep OpenSSL's buffers
 *   tls/tls.c        connections
 *   tls/client.c     the same to backends: policy, names, sessions to resume
 *   tls/failure.c    why a handshake failed
 *
 * OpenSSL's structs are named by their tags only, so that this header compiles without OpenSSL.
 */
#ifndef WORKER_TLS_INTERNAL_H
#define WORKER_TLS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/conf/conf.h"
#include "base/mempool.h"
#include "shm/certs.h"
#include "shm/message.h"
#include "worker/tls/tls.h"

enum {
    /* longest record of TLS 1.3 on the wire (RFC 8446 section 5.2) */
    TLS_RECORD = 16384 + 256 + 5,
    TLS_BLOCK = 16 * 1024, /* of waiting bytes; an ordinary response fits in one */
    TLS_BLOCKS_KEPT = 64,  /* idle blocks that are kept: 1 MiB per worker */
    TLS_CONNS_KEPT = 1024, /* idle structs that are kept; they are small */
    /* A full write, what goes before it (ticket) and after it (close_notify), and 22 to 29
     * bytes of overhead for each of its records. */
    TLS_SEND_AREA = TLS_WRITE_MAX + 4 * 1024,
    TLS_KEY_UPDATES = 64, /* limit per connection; honest peers need one per 2^24 records */
    /* Limit of the bytes that a peer's records alone may make us send over the life of a
     * connection: alerts and our half of key updates. Far more than honest peers cause, and
     * never a burden. */
    TLS_UNPROMPTED = 4 * 1024,
    /* Connections that keep OpenSSL's buffers between requests: at most 4.2 MiB per worker, and
     * as many as are likely to be in use at the same time. */
    TLS_WARM = 128,
    TLS_RECEIVES = 4, /* calls of recv(2) in one call; then other connections get their turn */
};

/* A queue of bytes, in blocks of the engine's memory pool. */
struct tls_block {
    struct tls_block *next;
    uint32_t at, end;
    uint8_t bytes[TLS_BLOCK - 16];
};

struct tls_chain {
    struct tls_block *head, *tail;
    size_t n;
};

/* One of the two shared areas: bytes [at, end) belong to owner. */
struct tls_area {
    struct tls_conn *owner; /* NULL when empty */
    size_t at, end, size;
    uint8_t *bytes;
};

/* A name of a certificate; a wildcard without its "*". Sorted by name, then cert. */
struct tls_name {
    const char *name;
    uint32_t cert;
};

/* What a listener asks of clients' certificates; store NULL: nothing. */
struct tls_client {
    const struct conf_listen *listen;
    struct x509_store_st *store;
    struct stack_st_X509_NAME *names;
    uint8_t digest[32]; /* of the policy: part of the session id context */
};

struct tls_engine {
    const struct conf *conf;
    struct tls_client client[CONF_MAX_LISTENERS];
    struct ssl_ctx_st *ctx[CONF_MAX_CERTS]; /* NULL: not loaded */
    /* At the first of two certificates for the same names: a context with both. NULL: only one
     * is loaded, or there is only one for these names. */
    struct ssl_ctx_st *both[CONF_MAX_CERTS];
    bool temporary[CONF_MAX_CERTS]; /* self-signed, until a real one is loaded */
    bool next_is_temporary;
    uint64_t until_wall_ms[CONF_MAX_CERTS]; /* their notAfter, wall clock */
    struct bio_method_st *method;
    struct tls_conn *current; /* connection whose SSL call is running; used by the callbacks */
    struct tls_area rx, tx;
    struct tls_conn *warm[TLS_WARM]; /* NULL: a free place */
    uint64_t writes;                 /* calls of tls_write(), the clock for warm */
    unsigned hand;                   /* the place that is looked at next */
    struct mempool conns, blocks;
    struct tls_name *names;
    size_t nnames;
    const char *groups; /* the list that this OpenSSL accepted */
    struct ticket_ring ring;
    bool have_ring;
    const struct table *table; /* where challenges are looked up; NULL: none */
    struct evp_cipher_st *ticket_cipher;
    struct ssl_ctx_st *trial; /* during a self-test: used for trial_cert; else NULL */
    uint32_t trial_cert;
    enum cert_why why; /* why the last context could not be made */
    uint8_t why_error; /* CERT_WHY_FILE: errno */
};

struct tls_conn {
    struct tls_engine *engine;
    struct ssl_st *ssl;
    const struct tls_client *client; /* NULL: it is not asked for a certificate */
    struct tls_client_facts *facts;  /* of its certificate; NULL: none */
    const char *error;               /* NULL: none */
    struct tls_chain in;             /* received, not decrypted */
    struct tls_chain out; /* encrypted, not sent; older than the bytes in the send area */
    uint64_t handed;      /* total of encrypted bytes that the socket took */
    int fd;
    uint32_t unprompted; /* bytes sent as a reaction to what was read, see TLS_UNPROMPTED */
    int reason;          /* why OpenSSL gave up (ERR_GET_REASON); 0: it did not */
    uint64_t written;    /* engine->writes at its last tls_write() */
    unsigned long error_code; /* the whole of it, as ERR_peek_error() gives it */
    struct tls_peer *peer;    /* of a connection to a backend; NULL: of a client */
    uint16_t cert;
    uint8_t place;    /* in engine->warm, plus 1; 0: none */
    uint8_t first[8]; /* the first bytes from the peer */
    uint8_t nfirst;
    uint8_t key_updates;
    uint8_t alpn;        /* enum tls_alpn */
    bool starved : 1;    /* OpenSSL wanted more input than there was */
    bool full : 1;       /* the last recv(2) filled its buffer: there may be more */
    bool surplus : 1;    /* OpenSSL holds plaintext that the last SSL_read() had no room for */
    bool asked : 1;      /* this tls_read() has called recv(2) */
    bool reading : 1;    /* SSL_read() is running: bytes written now are unprompted */
    bool eof : 1;        /* the peer sent FIN */
    bool closed : 1;     /* the peer sent close_notify */
    bool dead : 1;       /* failed: nothing works any more */
    bool ticketed : 1;   /* its ticket was sent, or no ticket is due */
    bool close_sent : 1; /* close_notify was encrypted */
    bool offers_h2 : 1;
    bool hangup : 1;     /* the loop saw EPOLLRDHUP */
    bool begun : 1;      /* it is the peer's turn; a client of TLS speaks first */
    bool got_data : 1;   /* the peer has sent plaintext */
    bool unsendable : 1; /* the socket takes no more: what the peer sent can still be read */
};

/* ---- tls/io.c */

/* Memory and our BIO; no certificates, no policy. 0, or -1 without memory: release it then,
 * too. */
int tls_engine_init_io(struct tls_engine *);

struct bio_method_st *tls_io_method(void);

/* One recv(2) of at most n bytes into the receive area. 1: there is input; 0: none now, or the
 * end of the stream (eof); -1: dead. Only if tls_io_input() is 0. */
int tls_io_receive(struct tls_conn *, size_t n);

/* Stores the peer's first bytes, from what was just received. */
void tls_io_note_first(struct tls_conn *);

/* Number of bytes received and not decrypted. */
size_t tls_io_input(const struct tls_conn *);

/* Marks the connection dead; the first reason is kept. */
void tls_io_fail(struct tls_conn *, const char *why);

/* Releases the areas and returns all blocks. */
void tls_io_drop(struct tls_conn *);

/* ---- tls/warm.c */

/* Before each write but the first, which frees the buffers of the handshake. */
void tls_warm_written(struct tls_conn *);

/* It is about to be freed. */
void tls_warm_gone(struct tls_conn *);

/* ---- tls/engine.c */

/* What each context needs for connections of this engine. */
void tls_engine_adopt(struct tls_engine *, struct ssl_ctx_st *ctx);

/* A session under the first certificate, until the ClientHello asks for another one; *cert is
 * its index. NULL: none is loaded, or no memory. */
struct ssl_st *tls_engine_session(struct tls_engine *, uint32_t *cert);

/* A context of certificate cert_index with the whole policy. NULL and a line in err. */
struct ssl_ctx_st *tls_engine_context(struct tls_engine *, uint32_t cert_index,
                                      const char *chain_path, const char *key_path, char *err,
                                      size_t n);

/* ---- tls/client_ca.c */

/* tls NULL: only to check the files. 0; 1 with a warning in err; -1 and a line in err. */
int tls_client_init(struct tls_client *, const struct conf_listen *, const struct conf_tls *tls,
                    char *err, size_t n);
void tls_client_release(struct tls_client *);

/* During the ClientHello, when the context is chosen: CAs, and the sessions that may be
 * resumed.
 */
bool tls_client_apply(const struct tls_conn *);

/* After the handshake: notes who the client is. NULL, or why it is refused. */
const char *tls_client_done(struct tls_conn *);

/* ---- tls/dual.c */

/* The first of the certificates for the same names; cert_index itself if there is only one. */
uint32_t tls_dual_first(const struct tls_engine *, uint32_t cert_index);

/* The context to serve for these names. cert: in, the result of tls_dual_first(); out, the
 * certificate that is served, the first one if both are. NULL: neither is loaded. */
struct ssl_ctx_st *tls_dual_context(const struct tls_engine *, uint32_t *cert);

/* Does tls_dual_take() join this certificate with another one for the same names? */
bool tls_dual_joins(const struct tls_engine *, uint32_t cert_index);

/* Replaces the context of certificate cert_index. both: a context with the policy and no
 * certificate, in which it is joined with the other one for the same names; NULL unless
 * tls_dual_joins(). Takes ownership of ctx and both. 0, or -1 and a line in err: they are
 * freed, and the previous state stays. */
int tls_dual_take(struct tls_engine *, uint32_t cert_index, struct ssl_ctx_st *ctx,
                  struct ssl_ctx_st *both, bool temporary, char *err, size_t n);

/* ---- tls/alpn_acme.c: both are called from the ClientHello callback */

/* Does the client offer exactly acme-tls/1? */
bool tls_alpn_acme_offered(struct ssl_st *);

/* Gives the session the certificate for the challenge of this name. false: there is none, or it
 * could not be made. */
bool tls_alpn_acme_reply(const struct tls_engine *, struct ssl_st *, const char *sni, size_t n);

/* ---- tls/stand_in.c */

/* Generates a self-signed certificate for these names and puts it into the context. false: it
 * could not be made. */
bool tls_stand_in_use(struct ssl_ctx_st *, const char *const *names, size_t n);

/* ---- tls/ticket.c */

/* Sets up a context for tickets: callback, lifetime. 0 or -1. */
int tls_ticket_setup(struct tls_engine *, struct ssl_ctx_st *);

/* Lets the next write carry a ticket, once, if the protocol is TLS 1.3 (earlier versions send
 * it in the handshake). */
void tls_ticket_send(struct tls_conn *);

#endif
