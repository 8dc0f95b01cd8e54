/*
 * TLS for one worker: an engine (certificates, policy, ticket keys, shared I/O areas) and one
 * session per connection. The only place of the worker that knows OpenSSL.
 *
 * One thread. An engine outlives its connections. A connection borrows its descriptor (a
 * non-blocking stream socket) and never closes it.
 *
 * How bytes move. All connections share one receive and one send area of the engine, so that an
 * idle one holds no buffer. A read is one recv(2) into the receive area, decrypted into the
 * caller's buffer. A write is encrypted, record by record, into the send area; tls_flush() is
 * one send(2) of all of it. What the socket does not take, or what is in the way when another
 * connection needs an area, moves to blocks that belong to the connection until it is used up.
 *
 * An edge-triggered caller:
 *
 *     readable:  if (events & EPOLLRDHUP) tls_hangup(c);
 *               do n = tls_read(c, buf, room), ...; while (n > 0 && tls_more(c));
 *     writable:  if (tls_waiting(c)) tls_flush(c);
 *     to write:  tls_write(c, head, n); tls_write(c, body, m); if (tls_flush(c) > 0) arm;
 *
 * arm: wait for EPOLLOUT, and bound what is still written for c until tls_flush() gives 0: it
 * waits in blocks.
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
    TLS_ERROR_SIZE = 256,      /* bytes for the texts of tls_engine_load() */
};

/* Below zero, so that they are never a count. */
enum tls_io {
    TLS_EOF = 0,    /* close_notify, or the bare end of the stream: tls_conn_closed() tells */
    TLS_AGAIN = -1, /* nothing for now: wait for the socket; while tls_more(), call again when
                       others had their turn */
    TLS_ERROR = -2, /* dead; tls_conn_error() says why. Free it. */
};

/* What ALPN agreed on. */
enum tls_alpn { TLS_ALPN_NONE, TLS_ALPN_HTTP1, TLS_ALPN_H2, TLS_ALPN_ACME };

/* ---- engine */

/* From conf: names of certificates, versions, ciphers, groups, tickets. conf must outlive it.
 * No certificate is loaded yet. NULL: no memory, or a policy that this OpenSSL refuses; err
 * says which. */
struct tls_engine *tls_engine_new(const struct conf *conf, char *err, size_t n);

/* All connections must be freed before. Wipes the ticket keys. Takes NULL. */
void tls_engine_free(struct tls_engine *);

/* Builds a fresh context of certificate cert_index (of conf->certs) from two PEM files and
 * swaps it in for new connections; running sessions keep the one that they have. 0, or -1 with
 * a line in err (TLS_ERROR_SIZE does), and then what was loaded before stays. */
int tls_engine_load(struct tls_engine *, uint32_t cert_index, const char *chain_path,
                    const char *key_path, char *err, size_t n);

/* The same with a self-signed certificate that is made now and stands nowhere: for when the
 * store has none that can be read. Each engine has its own, until tls_engine_load(). */
int tls_engine_stand_in(struct tls_engine *, uint32_t cert_index, char *err, size_t n);

/* From now on, clients that offer acme-tls/1 only are shown the challenges of this table, as
 * long as there is one of that name; their connections end with TLS_ALPN_ACME and have nothing
 * to say (RFC 8737). The table outlives the engine. */
void tls_engine_challenges(struct tls_engine *, const struct table *);

/* What is loaded next is only there until a real one comes: it gives way to the one for the
 * same names with another kind of key. */
void tls_engine_temporary(struct tls_engine *);

/* Is this certificate loaded? Is any, so that connections can be served at all? */
bool tls_engine_has(const struct tls_engine *, uint32_t cert_index);
bool tls_engine_ready(const struct tls_engine *);

/* The certificate that answers a name: exact, then wildcard, else the first one (RFC 6066
 * section 3 leaves unknown names to us). Case does not matter. */
uint32_t tls_engine_choose(const struct tls_engine *, const char *name, size_t n);

/* Takes over (copies) the ring: current encrypts, all three decrypt, and what was not encrypted
 * with the current one is replaced by a fresh ticket. Until the first ring there are no
 * tickets.
 */
void tls_engine_tickets(struct tls_engine *, const struct ticket_ring *);

/* ---- connection: life */

/* A server session on fd. NULL: no memory, or no certificate loaded at all. */
struct tls_conn *tls_conn_new(struct tls_engine *, int fd);

/* Sends nothing. Takes NULL. */
void tls_conn_free(struct tls_conn *);

/* Goes on with the handshake as far as the input reaches; its output leaves by itself. 1: done
 * (call tls_read() at once: a request may have come along); 0: wait for input, and for EPOLLOUT
 * if tls_waiting(), or, while tls_more(), call again when others had their turn; -1: failed, an
 * alert was sent if one was due. */
int tls_handshake(struct tls_conn *);

/* ---- connection: bytes. After the handshake only. */

/* Decrypts up to room (> 0) bytes into buf. Bytes > 0, or enum tls_io. One recv(2), and
 * none while there is something left from the one before; a few where records hold no
 * plaintext, whose senders get TLS_ERROR when we have to respond to too many of them. Less than
 * room says nothing about what is left: ask tls_more(). */
ssize_t tls_read(struct tls_conn *, void *buf, size_t room);

/* May another tls_read() give something without a new event? False after a recv(2) that came
 * back short, so that no call is spent on EAGAIN. */
bool tls_more(const struct tls_conn *);

/* The loop saw EPOLLRDHUP: tls_more() then holds until the end of the stream was read, which a
 * recv(2) that came back short does not show. Call it before tls_read() of that event. */
void tls_hangup(struct tls_conn *);

/* Encrypts all n <= TLS_WRITE_MAX bytes for the next tls_flush(). 0, or -1: dead. The first one
 * takes a session ticket along. */
int tls_write(struct tls_conn *, const void *buf, size_t n);

/* The same, and close_notify behind it, in one piece. n may be 0. Nothing can be written after.
 */
int tls_write_close(struct tls_conn *, const void *buf, size_t n);

/* Sends what was encrypted. Bytes that still wait (0: all out), or -1: the peer has gone. */
ssize_t tls_flush(struct tls_conn *);

/* close_notify now, if it was not sent before: the polite end without data. As tls_flush(). */
ssize_t tls_shutdown(struct tls_conn *);

/* Sends a ticket now, where the protocol has that (1.3): a peer that is gone resets at once. */
void tls_probe(struct tls_conn *);

/* Encrypted bytes that the socket has taken, ever. */
uint64_t tls_handed(const struct tls_conn *);

/* Encrypted bytes that have not left yet. */
size_t tls_waiting(const struct tls_conn *);

/* ---- connection: facts */

/* After TLS_EOF: true when close_notify ended the stream, false when it was cut (a body without
 * its own length must then not be taken for complete). */
bool tls_conn_closed(const struct tls_conn *);

/* What went wrong, in a few words: "http request", "no shared cipher", "reset by peer". "" when
 * nothing did. Lives for ever. */
const char *tls_conn_error(const struct tls_conn *);

/* After tls_handshake() gave -1. A request without TLS (HANDSHAKE_PLAIN_HTTP) got no alert, so
 * that it can be answered in its own language. */
enum handshake_failure tls_conn_failure(const struct tls_conn *);

/* Has the peer sent anything at all? */
bool tls_conn_heard(const struct tls_conn *);

/* For the log; after the handshake. The strings live as long as the connection. */
const char *tls_conn_version(const struct tls_conn *); /* "TLSv1.3" */
const char *tls_conn_cipher(const struct tls_conn *);  /* "TLS_AES_128_GCM_SHA256" */
const char *tls_conn_group(const struct tls_conn *);   /* "X25519MLKEM768"; "" unknown */
const char *tls_conn_sni(const struct tls_conn *);     /* as sent; "" none */
bool tls_conn_resumed(const struct tls_conn *);
/* Index of the certificate that answered; of two for the same names, that of the first. */
uint32_t tls_conn_cert(const struct tls_conn *);
enum tls_alpn tls_conn_alpn(const struct tls_conn *);

#endif
