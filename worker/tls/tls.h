/*
 * TLS for one worker: an engine (certificates, policy, ticket keys, shared I/O areas) and one
 * session per connection. The only place in the worker that uses OpenSSL. Connections of
 * clients and connections to backends (worker/tls/client.h) have an engine each.
 *
 * One thread. An engine outlives its connections. A connection borrows its descriptor (a
 * non-blocking stream socket) and never closes it.
 *
 * How bytes move: all connections share one receive area and one send area of the engine, so
 * that an idle connection holds no buffer, except the few that tls/warm.c lists. A read is one
 * recv(2) into the receive area, decrypted into the caller's buffer. A write is encrypted,
 * record by record, into the send area; tls_flush() sends all of it with one send(2). Bytes
 * that the socket does not take, or that are in the way when another connection needs an area,
 * move to blocks that belong to the connection until they are used up.
 *
 * An edge-triggered caller:
 *
 *     readable:  if (events & EPOLLRDHUP) tls_hangup(c);
 *               do n = tls_read(c, buf, room), ...; while (n > 0 && tls_more(c));
 *     writable:  if (tls_waiting(c)) tls_flush(c);
 *     to write:  tls_write(c, head, n); tls_write(c, body, m); if (tls_flush(c) > 0) arm;
 *
 * arm: wait for EPOLLOUT, and limit what is still written to c until tls_flush() returns 0,
 * because it waits in blocks.
 */
#ifndef WORKER_TLS_TLS_H
#define WORKER_TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/handshake.h"

struct conf;
struct table;
struct ticket_ring;
struct tls_engine;
struct tls_conn;

enum {
    TLS_WRITE_MAX = 80 * 1024, /* plaintext of one tls_write(): a 64 KiB read and its framing */
    TLS_READ_MAX = 64 * 1024,  /* ciphertext of one recv(2) */
    TLS_ERROR_SIZE = 256,      /* size of the err buffers in bytes */
};

/* At most 0, so that they are never a count. */
enum tls_io {
    TLS_EOF = 0,    /* close_notify, or a bare end of the stream: see tls_conn_closed() */
    TLS_AGAIN = -1, /* nothing now: wait for the socket; while tls_more() holds, call again
                       after others had their turn */
    TLS_ERROR = -2, /* dead; tls_conn_error() has the reason. Free it. */
};

/* The protocol that ALPN selected. */
enum tls_alpn { TLS_ALPN_NONE, TLS_ALPN_HTTP1, TLS_ALPN_H2, TLS_ALPN_ACME };

/* Loads OpenSSL's configuration and what it names (providers), once per process; otherwise the
 * first engine does. */
void tls_prepare(void);

/* ---- engine */

/* From conf: names of certificates, versions, ciphers, groups, tickets. conf must outlive it.
 * No certificate is loaded yet. NULL: no memory, or this OpenSSL refuses a part of the policy;
 * err says which. */
struct tls_engine *tls_engine_new(const struct conf *conf, char *err, size_t n);

/* All connections must be freed before. Wipes the ticket keys. Accepts NULL. */
void tls_engine_free(struct tls_engine *);

/* Builds a fresh context of certificate cert_index (of conf->certs) from two PEM files and uses
 * it for new connections; running sessions keep theirs. 0, or -1 with a line in err
 * (TLS_ERROR_SIZE is enough), and then the previous context stays. */
int tls_engine_load(struct tls_engine *, uint32_t cert_index, const char *chain_path,
                    const char *key_path, char *err, size_t n);

/* The same with a self-signed certificate that is generated now and not stored: used if the
 * store has none that can be read. Each engine has its own, until tls_engine_load(). */
int tls_engine_stand_in(struct tls_engine *, uint32_t cert_index, char *err, size_t n);

/* From now on, clients that offer only acme-tls/1 get the challenge certificates of this table,
 * if it has a challenge for the requested name. Their connections end with TLS_ALPN_ACME and
 * carry no data (RFC 8737). The table must outlive the engine. */
void tls_engine_challenges(struct tls_engine *, const struct table *);

/* Marks the next certificate that is loaded as temporary: it is not served if the one for the
 * same names with another kind of key is a real one. */
void tls_engine_temporary(struct tls_engine *);

/* Is this certificate loaded? Is any loaded, so that connections can be served at all? */
bool tls_engine_has(const struct tls_engine *, uint32_t cert_index);
bool tls_engine_ready(const struct tls_engine *);

/* The certificate for a name: exact match, then wildcard, else the first one (RFC 6066 section
 * 3 leaves unknown names to the server). Case-insensitive. */
uint32_t tls_engine_choose(const struct tls_engine *, const char *name, size_t n);

/* Copies the key ring: the current key encrypts, all three decrypt, and a ticket that was
 * encrypted with another key than the current one is replaced by a fresh ticket. There are no
 * tickets until the first ring is set. */
void tls_engine_tickets(struct tls_engine *, const struct ticket_ring *);

/* ---- connection: life */

/* A server session on fd. NULL: no memory, or no certificate is loaded. */
struct tls_conn *tls_conn_new(struct tls_engine *, int fd);

/* Before the handshake: HTTP/2 is offered, and preferred. */
void tls_conn_offer_h2(struct tls_conn *);

/* Before the handshake: asks for a certificate, as this listener (index in conf.listen) does.
 */
void tls_conn_ask_client(struct tls_conn *, uint32_t listener);

/* Sends nothing. Accepts NULL. */
void tls_conn_free(struct tls_conn *);

/* Continues the handshake as far as the input allows; its output is sent here as well. 1: done
 * (call tls_read() at once: a request may have arrived too); 0: wait for input, and for
 * EPOLLOUT if tls_waiting(), or, while tls_more(), call again after others had their turn; -1:
 * failed, and an alert was sent if one was due. */
int tls_handshake(struct tls_conn *);

/* ---- connection: bytes. After the handshake only. */

/* Decrypts up to room (> 0) bytes into buf. Returns the bytes (> 0), or enum tls_io. One
 * recv(2), or none while something of the previous one is left; a few if records contain no
 * plaintext. A peer that provokes too many responses with such records gets TLS_ERROR. Fewer
 * bytes than room do not mean that nothing is left: use tls_more(). */
ssize_t tls_read(struct tls_conn *, void *buf, size_t room);

/* Can another tls_read() return something without a new event? False after a short recv(2), so
 * that no call is wasted on EAGAIN. */
bool tls_more(const struct tls_conn *);

/* Is there something that needs no recv(2)? */
bool tls_loaded(const struct tls_conn *);

/* Records EPOLLRDHUP: tls_more() then holds until the end of the stream was read, which a short
 * recv(2) does not show. Call it before the tls_read() of that event. */
void tls_hangup(struct tls_conn *);

/* Encrypts all n <= TLS_WRITE_MAX bytes for the next tls_flush(). 0, or -1: dead. The first
 * call also sends a session ticket. */
int tls_write(struct tls_conn *, const void *buf, size_t n);

/* The same, followed by close_notify, in one piece. n may be 0. Nothing can be written
 * afterwards. */
int tls_write_close(struct tls_conn *, const void *buf, size_t n);

/* Sends what was encrypted. Returns the bytes that still wait (0: all are sent), or -1: the
 * peer is gone. */
ssize_t tls_flush(struct tls_conn *);

/* Sends close_notify now, unless it was sent before: the clean end without data. Returns the
 * same as tls_flush(). */
ssize_t tls_shutdown(struct tls_conn *);

/* Sends a ticket now, if the protocol is TLS 1.3: the host of a peer that is gone resets the
 * connection at once. */
void tls_probe(struct tls_conn *);

/* Total of encrypted bytes that the socket has taken. */
uint64_t tls_handed(const struct tls_conn *);

/* Encrypted bytes that are not yet sent. */
size_t tls_waiting(const struct tls_conn *);

/* ---- connection: facts */

/* After TLS_EOF: true if close_notify ended the stream, false if it was cut (a body without its
 * own length must then not be taken for complete). */
bool tls_conn_closed(const struct tls_conn *);

/* The error in a few words: "http request", "no shared cipher", "reset by peer"; "" if there
 * was none. Static text. */
const char *tls_conn_error(const struct tls_conn *);

/* After tls_handshake() returned -1. A request without TLS (HANDSHAKE_PLAIN_HTTP) got no alert,
 * so that the caller can respond in plain HTTP. */
enum handshake_failure tls_conn_failure(const struct tls_conn *);

/* Has the peer sent anything at all? */
bool tls_conn_heard(const struct tls_conn *);

/* For the log; after the handshake. The strings live as long as the connection. */
const char *tls_conn_version(const struct tls_conn *); /* "TLSv1.3" */
const char *tls_conn_cipher(const struct tls_conn *);  /* "TLS_AES_128_GCM_SHA256" */
const char *tls_conn_sni(const struct tls_conn *);     /* as sent; "" if none */
bool tls_conn_resumed(const struct tls_conn *);
/* Index of the certificate that was served; of two for the same names, that of the first
 * one. */
uint32_t tls_conn_cert(const struct tls_conn *);
enum tls_alpn tls_conn_alpn(const struct tls_conn *);
/* May this connection carry requests for that host? Not if another certificate than its own
 * would be served for it: names of one connection have one certificate (RFC 9110 7.4). */
bool tls_conn_serves(const struct tls_conn *, const char *host, size_t n);
/* Of the client's certificate, which was verified; NULL: it has none. Printable ASCII. */
const char *tls_conn_client_subject(const struct tls_conn *);     /* "CN=anna,O=Example" */
const char *tls_conn_client_fingerprint(const struct tls_conn *); /* SHA-256, in hex */

#endif
