/* TLS connections: handshake, reading, writing, facts. */
#include "worker/tls/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "base/check.h"
#include "worker/tls/internal.h"

/* Must precede each call into OpenSSL: the callbacks and the BIO need to know the connection.
 * OpenSSL's error queue is empty at that moment, because every failure ends in tls_fail(). */
static SSL *tls_enter(struct tls_conn *conn)
{
    conn->engine->current = conn;
    conn->starved = false;
    return conn->ssl;
}

/* Records why OpenSSL gave up. */
static void tls_fail(struct tls_conn *conn)
{
    unsigned long code = ERR_peek_error();
    const char *why = code ? ERR_reason_error_string(code) : NULL;

    conn->reason = code ? ERR_GET_REASON(code) : -1;
    if (conn->reason == SSL_R_CERTIFICATE_VERIFY_FAILED) /* of the client's certificate */
        why = X509_verify_cert_error_string(SSL_get_verify_result(conn->ssl));
    conn->error_code = code;
    tls_io_fail(conn, why ? why : "TLS failed");
    ERR_clear_error();
}

/* ---- life */

struct tls_conn *tls_conn_new(struct tls_engine *engine, int fd)
{
    struct tls_conn *conn = mempool_acquire(&engine->conns);
    uint32_t cert;
    BIO *bio = NULL;

    if (!conn)
        return NULL;
    *conn = (struct tls_conn){.engine = engine, .fd = fd, .begun = true};
    engine->current = conn;
    if (!(conn->ssl = tls_engine_session(engine, &cert)) || !(bio = BIO_new(engine->method))) {
        ERR_clear_error();
        SSL_free(conn->ssl);
        mempool_return(&engine->conns, conn);
        return NULL;
    }
    conn->cert = (uint16_t)cert;
    BIO_set_data(bio, engine);
    SSL_set_bio(conn->ssl, bio, bio);
    SSL_set_accept_state(conn->ssl);
    return conn;
}

void tls_conn_free(struct tls_conn *conn)
{
    if (!conn)
        return;
    struct tls_engine *engine = conn->engine;
    engine->current = conn;
    tls_warm_gone(conn);
    free(conn->facts);
    /* Otherwise OpenSSL takes a session that ended without close_notify for unfit to resume. */
    if (conn->peer && !conn->dead)
        SSL_set_shutdown(conn->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(conn->ssl);
    tls_io_drop(conn);
    engine->current = NULL;
    mempool_return(&engine->conns, conn);
}

int tls_handshake(struct tls_conn *conn)
{
    int done = 0;

    for (int round = 0; round < TLS_RECEIVES && !conn->dead && !done; round++) {
        if (conn->begun && tls_io_input(conn) == 0) {
            int got = tls_io_receive(conn, TLS_RECORD);

            if (conn->eof)
                tls_io_fail(conn, "closed during handshake");
            if (got <= 0)
                break;
            tls_io_note_first(conn);
        }
        conn->begun = true;
        done = SSL_do_handshake(tls_enter(conn)) == 1;
        if (!done && !conn->starved)
            tls_fail(conn);
        if (done && conn->client) {
            const char *why = tls_client_done(conn);

            if (why) {
                conn->reason = SSL_R_CERTIFICATE_VERIFY_FAILED;
                tls_io_fail(conn, why);
                done = 0;
            }
        }
        if (!done && !conn->full && tls_io_input(conn) == 0)
            break;
    }
    if (conn->dead && tls_conn_failure(conn) == HANDSHAKE_PLAIN_HTTP)
        return -1; /* a client without TLS cannot read an alert */
    bool dead = conn->dead;
    conn->dead = false; /* so that the alert is sent */
    if (tls_flush(conn) < 0 || dead) {
        conn->dead = true;
        return -1;
    }
    return done;
}

/* ---- bytes */

/* How much to receive for `room`: as much as it can hold, but at least one record, and less if
 * a part of a record is waiting in OpenSSL, because that is returned first. */
static size_t want(const struct tls_conn *conn, size_t room)
{
    size_t n = room < TLS_READ_MAX ? room : TLS_READ_MAX;

    if (n > 2 * TLS_RECORD && SSL_has_pending(conn->ssl))
        n -= TLS_RECORD;
    return n > TLS_RECORD ? n : TLS_RECORD;
}

bool tls_loaded(const struct tls_conn *conn)
{
    return conn->surplus || tls_io_input(conn) > 0;
}

/* Decrypts what there is; true if more plaintext may follow at once. */
static bool decrypt(struct tls_conn *conn, uint8_t *buf, size_t room, size_t *got)
{
    int n;

    conn->reading = true;
    n = SSL_read(tls_enter(conn), buf + *got, (int)(room - *got));
    conn->reading = false;
    /* Of a record that did not fit, OpenSSL keeps the rest; nothing else leaves any there. */
    conn->surplus = n > 0 && (size_t)n == room - *got && SSL_pending(conn->ssl) > 0;
    if (conn->key_updates > TLS_KEY_UPDATES)
        tls_io_fail(conn, "too many key updates");
    if (conn->dead) {
        ERR_clear_error();
        return false;
    }
    if (n > 0) {
        conn->got_data = true;
        *got += (size_t)n;
        return *got < room && tls_loaded(conn);
    }
    if (ERR_peek_error())
        tls_fail(conn);
    else if (SSL_get_shutdown(conn->ssl) & SSL_RECEIVED_SHUTDOWN)
        conn->closed = true;
    else if (!conn->starved)
        tls_fail(conn);
    return false;
}

ssize_t tls_read(struct tls_conn *conn, void *buf, size_t room)
{
    size_t got = 0, unsent = tls_waiting(conn);

    CHECK(room > 0 && room <= INT32_MAX);
    conn->asked = false;
    for (int round = 0; round < TLS_RECEIVES && got == 0 && !conn->dead && !conn->closed;
         round++) {
        if (!tls_loaded(conn) && (conn->eof || tls_io_receive(conn, want(conn, room)) <= 0))
            break;
        while (decrypt(conn, buf, room, &got))
            ;
        if (conn->asked && !conn->full && !tls_loaded(conn))
            break;
    }
    /* If this call did not use recv(2), the socket may have received more since. Its edge was
     * reported once and must not be lost. */
    if (!conn->asked)
        conn->full = true;
    if (tls_waiting(conn) > unsent) { /* an alert, or our half of a key update */
        bool dead = conn->dead;

        conn->dead = false;
        tls_flush(conn);
        conn->dead |= dead;
    }
    if (got)
        return (ssize_t)got;
    if (conn->dead)
        return TLS_ERROR;
    return conn->closed || conn->eof ? TLS_EOF : TLS_AGAIN;
}

bool tls_more(const struct tls_conn *conn)
{
    return conn->dead || conn->closed || conn->eof || conn->full || conn->hangup ||
           tls_loaded(conn);
}

void tls_hangup(struct tls_conn *conn)
{
    conn->hangup = true;
}

int tls_write(struct tls_conn *conn, const void *buf, size_t n)
{
    CHECK(n > 0 && n <= TLS_WRITE_MAX);
    if (conn->dead || conn->unsendable || conn->close_sent)
        return -1;
    bool first = !conn->ticketed;
    if (first)
        tls_ticket_send(conn);
    else
        tls_warm_written(conn);
    if (SSL_write(tls_enter(conn), buf, (int)n) != (int)n) {
        tls_fail(conn);
        return -1;
    }
    if (first) /* sending the ticket allocated a read buffer, too */
        SSL_free_buffers(conn->ssl);
    return 0;
}

int tls_write_close(struct tls_conn *conn, const void *buf, size_t n)
{
    if (n && tls_write(conn, buf, n) < 0)
        return -1;
    if (conn->dead || conn->unsendable)
        return -1;
    if (conn->close_sent)
        return 0;
    conn->close_sent = true;
    if (SSL_shutdown(tls_enter(conn)) >= 0)
        return 0;
    tls_fail(conn);
    return -1;
}

ssize_t tls_shutdown(struct tls_conn *conn)
{
    return tls_write_close(conn, NULL, 0) < 0 ? -1 : tls_flush(conn);
}

void tls_probe(struct tls_conn *conn)
{
    if (conn->dead || conn->close_sent)
        return;
    tls_ticket_send(conn);
    if (SSL_do_handshake(tls_enter(conn)) != 1)
        ERR_clear_error(); /* the next write will report it */
    SSL_free_buffers(conn->ssl);
    tls_flush(conn);
}

/* ---- facts */

bool tls_conn_closed(const struct tls_conn *conn)
{
    return conn->closed;
}

const char *tls_conn_error(const struct tls_conn *conn)
{
    return conn->error ? conn->error : "";
}

const char *tls_conn_version(const struct tls_conn *conn)
{
    return SSL_get_version(conn->ssl);
}

const char *tls_conn_cipher(const struct tls_conn *conn)
{
    const char *name = SSL_CIPHER_get_name(SSL_get_current_cipher(conn->ssl));

    return name ? name : "";
}

const char *tls_conn_sni(const struct tls_conn *conn)
{
    const char *name = SSL_get_servername(conn->ssl, TLSEXT_NAMETYPE_host_name);

    return name ? name : "";
}

bool tls_conn_resumed(const struct tls_conn *conn)
{
    return SSL_session_reused(conn->ssl) == 1;
}

uint32_t tls_conn_cert(const struct tls_conn *conn)
{
    return conn->cert;
}

void tls_conn_offer_h2(struct tls_conn *conn)
{
    conn->offers_h2 = true;
}

bool tls_conn_serves(const struct tls_conn *conn, const char *host, size_t n)
{
    const char *sni = tls_conn_sni(conn);
    uint32_t cert = tls_engine_choose(conn->engine, host, n);

    if (strlen(sni) == n && strncasecmp(sni, host, n) == 0)
        return true;
    return tls_dual_first(conn->engine, cert) ==
           tls_dual_first(conn->engine, tls_conn_cert(conn));
}

enum tls_alpn tls_conn_alpn(const struct tls_conn *conn)
{
    return conn->alpn;
}
