/* worker/tls/tls.h against OpenSSL's own client over socket pairs. Tickets: tls_tickets.c. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "t/tools/tls12.h"
#include "t/unit/tls_pair.h"

enum { BIG = 1000 * 1000 };

static uint8_t big[BIG], back[BIG];

static void test_handshake(struct tls_engine *engine)
{
    struct pair p;
    char buf[100];

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        const char *v = version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3";

        pair_open(&p, engine, version, "a.test", NULL);
        is_int(shake(&p), 1, "%s: handshake", v);
        is_str(tls_conn_version(p.conn), v, "%s: version", v);
        is_str(tls_conn_sni(p.conn), "a.test", "%s: name", v);
        ok(strstr(tls_conn_cipher(p.conn), "GCM") != NULL, "%s: %s", v,
           tls_conn_cipher(p.conn));
        ok(SSL_get_negotiated_group(p.ssl) > 0, "%s: a group", v);
        ok(!tls_conn_resumed(p.conn), "%s: not resumed", v);
        is_int(tls_read(p.conn, buf, sizeof buf), TLS_AGAIN, "%s: nothing to read", v);
        ok(!tls_more(p.conn), "%s: and no more", v);
        SSL_write(p.ssl, "GET /", 5);
        is_int(tls_read(p.conn, buf, sizeof buf), 5, "%s: read", v);
        is_mem(buf, 5, "GET /", 5, "%s: what was sent", v);
        ok(!tls_more(p.conn), "%s: no call for EAGAIN", v);
        ok(response(&p), "%s: answered", v);
        ok(p.ticket != NULL, "%s: with a ticket", v);
        is_str(tls_conn_error(p.conn), "", "%s: no error", v);
        pair_close(&p);
    }
}

static void test_names(struct tls_engine *engine)
{
    static const struct {
        const char *sni, *cert;
    } cases[] = {{NULL, "a.test"},      {"a.test", "a.test"},   {"b.test", "b.test"},
                 {"B.Test", "b.test"},  {"x.b.test", "b.test"}, {"y.x.b.test", "a.test"},
                 {"unknown", "a.test"}, {".b.test", "a.test"}};
    struct pair p;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pair_open(&p, engine, TLS1_3_VERSION, cases[i].sni, NULL);
        shake(&p);
        is_str(peer_name(&p), cases[i].cert, "name %s", cases[i].sni ? cases[i].sni : "(none)");
        pair_close(&p);
    }
    is_int(tls_engine_choose(engine, "b.test.", 7), 1, "a root label is ignored");
    is_int(tls_engine_choose(engine, "b.test\0x", 8), 0, "a NUL matches nothing");
    is_int(tls_engine_choose(engine, "", 0), 0, "an empty name is the first's");
}

static void test_bulk(struct tls_engine *engine)
{
    struct pair p;
    size_t sent = 0, got = 0;
    ssize_t n;

    for (size_t i = 0; i < BIG; i++)
        big[i] = (uint8_t)(i * 7 + i / 255);
    pair_open(&p, engine, TLS1_3_VERSION, NULL, NULL);
    shake(&p);
    for (int idle = 0; got < BIG && idle < 1000; idle++) { /* down */
        if (sent < BIG && tls_waiting(p.conn) == 0) {
            size_t part = BIG - sent < 65536 ? BIG - sent : 65536;

            tls_write(p.conn, big + sent, part);
            sent += part;
        }
        if (tls_flush(p.conn) < 0)
            break;
        while ((n = SSL_read(p.ssl, back + got, (int)(BIG - got))) > 0)
            got += (size_t)n, idle = 0;
        ERR_clear_error();
    }
    is_mem(back, got, big, BIG, "1 MB down through a narrow socket");
    is_int(tls_waiting(p.conn), 0, "nothing waits");
    static const size_t rooms[] = {1, 100, 4096, 16384, 65536};
    for (size_t r = 0; r < sizeof rooms / sizeof *rooms; r++) {
        size_t all = r == 0 ? 20000 : BIG / 2;

        sent = got = 0;
        memset(back, 0, BIG);
        for (int idle = 0; got < all && idle < 1000; idle++) {
            if (sent < all && (n = SSL_write(p.ssl, big + sent, (int)(all - sent))) > 0)
                sent += (size_t)n;
            ERR_clear_error();
            do {
                size_t room = rooms[r] < all - got ? rooms[r] : all - got;

                if (!room || (n = tls_read(p.conn, back + got, room)) <= 0)
                    break;
                got += (size_t)n, idle = 0;
            } while (tls_more(p.conn));
        }
        is_mem(back, got, big, all, "%zu bytes up, read by %zu", all, rooms[r]);
    }
    pair_close(&p);
}

/* Two connections take turns in the shared areas without finishing. */
static void test_areas(struct tls_engine *engine)
{
    struct pair p, q;
    char buf[40000];
    size_t got = 0;
    ssize_t n;

    pair_open(&p, engine, TLS1_3_VERSION, NULL, NULL);
    pair_open(&q, engine, TLS1_3_VERSION, NULL, NULL);
    shake(&p), shake(&q);
    tls_write(p.conn, big, 3000);
    tls_write(q.conn, big + 1, 2000);
    tls_write(p.conn, big + 3000, 1000);
    ok(tls_waiting(p.conn) > 4000 && tls_waiting(q.conn) > 2000, "both wait");
    is_int(tls_flush(q.conn), 0, "one flushed");
    is_int(tls_flush(p.conn), 0, "the other one too");
    while ((n = SSL_read(p.ssl, buf + got, (int)(sizeof buf - got))) > 0)
        got += (size_t)n;
    is_mem(buf, got, big, 4000, "the first one's bytes in order");
    is_int(SSL_read(q.ssl, buf, sizeof buf), 2000, "the second one's bytes");
    ok(memcmp(buf, big + 1, 2000) == 0, "unmixed");
    SSL_write(p.ssl, big, 1500);
    SSL_write(q.ssl, big + 5, 1500);
    is_int(tls_read(p.conn, buf, 500), 500, "a part is read");
    ok(tls_more(p.conn), "there is more");
    is_int(tls_read(q.conn, buf + 2000, 1500), 1500, "the other one's is read between");
    is_int(tls_read(p.conn, buf + 500, 1500), 1000, "the rest is read");
    ok(memcmp(buf, big, 1500) == 0 && memcmp(buf + 2000, big + 5, 1500) == 0, "unmixed");
    SSL_write(p.ssl, big, 700);
    SSL_write(p.ssl, big + 700, 700);
    is_int(tls_read(p.conn, buf, 10), 10, "two records came, a piece of one is read");
    SSL_write(q.ssl, "q", 1);
    is_int(tls_read(q.conn, buf + 2000, 9), 1, "the undecrypted one moves away");
    is_int(tls_read(p.conn, buf + 10, 9000), 1390, "and is found again");
    ok(memcmp(buf, big, 1400) == 0, "in order");
    tls_write(p.conn, "x", 1);
    pair_close(&p); /* owns the send area */
    ok(response(&q), "a freed owner leaves the area");
    pair_close(&q);
}

static void test_ends(struct tls_engine *engine)
{
    struct pair p;
    char buf[100];

    pair_open(&p, engine, TLS1_3_VERSION, NULL, NULL);
    shake(&p);
    SSL_write(p.ssl, "bye", 3);
    SSL_shutdown(p.ssl);
    is_int(tls_read(p.conn, buf, sizeof buf), 3, "data before close_notify");
    ok(tls_more(p.conn), "the end is worth a call");
    is_int(tls_read(p.conn, buf, sizeof buf), TLS_EOF, "end");
    ok(tls_conn_closed(p.conn), "by close_notify");
    is_int(tls_write(p.conn, "late", 4), 0, "writing still works");
    is_int(tls_write_close(p.conn, "last", 4), 0, "the last of it");
    is_int(tls_flush(p.conn), 0, "in one piece");
    is_int(tls_shutdown(p.conn), 0, "a second close is nothing");
    is_int(tls_write(p.conn, "x", 1), -1, "nothing can be written after it");
    pair_close(&p);

    pair_open(&p, engine, TLS1_3_VERSION, NULL, NULL);
    shake(&p);
    response(&p);
    tls_write_close(p.conn, "end", 3);
    tls_flush(p.conn);
    is_int(SSL_read(p.ssl, buf, sizeof buf), 3, "client: data");
    is_int(SSL_read(p.ssl, buf, sizeof buf), 0, "client: end");
    is_int(SSL_get_shutdown(p.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN,
           "client: close_notify");
    SSL_write(p.ssl, "x", 1);
    shutdown(p.fd[0], SHUT_WR);
    is_int(tls_read(p.conn, buf, sizeof buf), 1, "data before FIN");
    tls_hangup(p.conn);
    ok(tls_more(p.conn), "a hangup is worth a call");
    is_int(tls_read(p.conn, buf, sizeof buf), TLS_EOF, "end");
    ok(!tls_conn_closed(p.conn), "cut");
    close(p.fd[0]);
    p.fd[0] = dup(1);
    pair_close(&p);

    pair_open(&p, engine, TLS1_3_VERSION, NULL, NULL);
    shake(&p);
    SSL_write(p.ssl, "tampered", 8);
    recv(p.fd[1], buf, 1, 0);
    is_int(tls_read(p.conn, buf, sizeof buf), TLS_ERROR, "a damaged record is an error");
    ok(tls_conn_error(p.conn)[0], "with a text: %s", tls_conn_error(p.conn));
    is_int(tls_write(p.conn, "x", 1), -1, "dead for writing");
    is_int(ERR_peek_error(), 0, "OpenSSL's error queue is empty");
    pair_close(&p);
}

static void test_refused(struct tls_engine *engine)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    struct pair p;
    char buf[100];

    pair_open(&p, engine, TLS1_3_VERSION, NULL, NULL);
    ok(write(p.fd[0], http, sizeof http - 1) > 0, "plain HTTP");
    is_int(tls_handshake(p.conn), -1, "is refused");
    is_str(tls_conn_error(p.conn), "http request", "by its name");
    is_int(tls_conn_failure(p.conn), HANDSHAKE_PLAIN_HTTP, "and known as such");
    is_int(recv(p.fd[0], buf, sizeof buf, MSG_DONTWAIT), -1, "without an alert");
    is_int(ERR_peek_error(), 0, "the error queue is empty");
    pair_close(&p);

    pair_open(&p, engine, TLS1_3_VERSION, NULL, NULL);
    close(p.fd[0]);
    p.fd[0] = dup(1);
    is_int(tls_handshake(p.conn), -1, "closed at once");
    is_str(tls_conn_error(p.conn), "closed during handshake", "said so");
    is_int(tls_conn_failure(p.conn), HANDSHAKE_CLOSED, "closed");
    ok(!tls_conn_heard(p.conn), "without a word");
    pair_close(&p);

    pair_open(&p, engine, TLS1_2_VERSION, NULL, NULL);
    SSL_set_cipher_list(p.ssl, "AES128-SHA");
    is_int(shake(&p), -1, "RSA and CBC");
    is_str(tls_conn_error(p.conn), "no shared cipher", "refused");
    is_int(tls_conn_failure(p.conn), HANDSHAKE_CIPHER, "for its ciphers");
    pair_close(&p);

    pair_open(&p, engine, TLS1_3_VERSION, NULL, NULL);
    SSL_set_alpn_protos(p.ssl, (const unsigned char *)"\2h2\10http/1.1", 12);
    is_int(shake(&p), 1, "ALPN h2, http/1.1");
    is_int(tls_conn_alpn(p.conn), TLS_ALPN_HTTP1, "gives http/1.1");
    pair_close(&p);

    pair_open(&p, engine, TLS1_3_VERSION, NULL, NULL);
    SSL_set_alpn_protos(p.ssl, (const unsigned char *)"\2h2", 3);
    is_int(shake(&p), -1, "ALPN h2 alone is refused");
    is_int(tls_conn_failure(p.conn), HANDSHAKE_ALPN, "for its protocol");
    pair_close(&p);

    pair_open(&p, engine, TLS1_3_VERSION, NULL, NULL);
    shake(&p);
    ssize_t n = TLS_AGAIN;
    for (int i = 0; i < 1000 && n == TLS_AGAIN; i++) {
        SSL_key_update(p.ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(p.ssl);
        n = tls_read(p.conn, buf, sizeof buf);
        SSL_read(p.ssl, buf, sizeof buf);
    }
    is_int(n, TLS_ERROR, "a flood of key updates");
    is_str(tls_conn_error(p.conn), "too many key updates", "ends the connection");
    pair_close(&p);

    pair_open(&p, engine, TLS1_2_VERSION, NULL, NULL);
    shake(&p);
    SSL_renegotiate(p.ssl);
    SSL_do_handshake(p.ssl);
    n = tls_read(p.conn, buf, sizeof buf);
    ok(n == TLS_AGAIN || n == TLS_ERROR, "renegotiation is not done");
    SSL_do_handshake(p.ssl);
    ok(strcmp(tls_conn_version(p.conn), "TLSv1.2") == 0, "and harms nothing");
    pair_close(&p);
}

/* Records that bring no plaintext, as many as somebody sends: they end the connection before
 * others would have to wait for their turn. */
static void test_rounds(struct tls_engine *engine)
{
    enum { RECORDS = 20000, MOST = 4 * (16384 + 256 + 5) };
    static unsigned char flood[RECORDS][TLS12_RECORD];
    unsigned char key[TLS12_KEY], salt[TLS12_SALT];
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    struct pair p;
    int large = 1 << 20, before, after, most = 0, taken = 0;
    size_t sent = 0;
    ssize_t got = TLS_AGAIN;
    char buf[4096];

    pair_open(&p, engine, TLS1_2_VERSION, "a.test", NULL);
    SSL_set_cipher_list(p.ssl, TLS12_CIPHER);
    setsockopt(p.fd[0], SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
    is_int(shake(&p), 1, "a client of TLS 1.2");
    is_int(tls_read(p.conn, buf, sizeof buf), TLS_AGAIN, "says nothing");
    ok(tls12_key(p.ssl, key, salt), "its keys");
    for (int i = 0; i < RECORDS; i++)
        tls12_put(flood[i], cipher, key, salt, (uint64_t)i + 1);
    while (got == TLS_AGAIN && sent < sizeof flood) {
        ssize_t n = send(p.fd[0], flood[0] + sent, sizeof flood - sent, MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        ioctl(p.fd[1], FIONREAD, &before);
        got = tls_read(p.conn, buf, sizeof buf);
        ioctl(p.fd[1], FIONREAD, &after);
        taken += before - after;
        most = before - after > most ? before - after : most;
    }
    is_int(got, TLS_ERROR, "a flood of records without plaintext ends it");
    ok(most > 0 && most <= MOST, "one call took no more than its rounds: %d bytes", most);
    ok(taken <= MOST, "all of them took no more than one may: %d bytes", taken);
    EVP_CIPHER_CTX_free(cipher);
    pair_close(&p);
}

static void test_load(void)
{
    struct tls_engine *engine = tls_engine_new(&conf, err, sizeof err);
    struct pair p, q;

    ok(engine && !tls_engine_ready(engine), "an engine without certificates");
    ok(!tls_conn_new(engine, 0), "has no connections");
    is_int(tls_engine_load(engine, 0, path("a.test", "crt"), path("b.test", "key"), err,
                           sizeof err),
           -1, "a foreign key");
    ok(strstr(err, "b.test.key") != NULL, "is named: %s", err);
    is_int(tls_engine_load(engine, 0, "/nowhere", path("b.test", "key"), err, sizeof err), -1,
           "no file: %s", err);
    ok(strstr(err, ": No such file or directory") != NULL, "with the words of the system");
    ok(!tls_engine_has(engine, 0), "not loaded");
    is_int(tls_engine_load(engine, 1, path("b.test", "crt"), path("b.test", "key"), err,
                           sizeof err),
           0, "the second one alone");
    pair_open(&p, engine, TLS1_3_VERSION, "a.test", NULL);
    is_int(shake(&p), 1, "handshake for the first");
    is_str(peer_name(&p), "b.test", "is answered by the second");
    is_int(tls_conn_cert(p.conn), 1, "which the log can tell");
    is_int(tls_engine_load(engine, 0, path("a.test", "crt"), path("a.test", "key"), err,
                           sizeof err),
           0, "the first one is loaded meanwhile");
    ok(response(&p), "the old session goes on");
    pair_open(&q, engine, TLS1_3_VERSION, "a.test", NULL);
    shake(&q);
    is_str(peer_name(&q), "a.test", "the next one has the new");
    pair_close(&p);
    pair_close(&q);
    tls_engine_free(engine);

    struct conf bad = conf;
    bad.tls.ciphers = "NONSENSE";
    ok(!tls_engine_new(&bad, err, sizeof err), "an impossible policy: %s", err);
    tls_engine_free(NULL);
    tls_conn_free(NULL);
}

int main(void)
{
    struct tls_engine *engine;

    pairs_open();
    engine = engine_new(1, 2, 3);
    ok(engine != NULL, "engine");
    test_handshake(engine);
    test_names(engine);
    test_bulk(engine);
    test_areas(engine);
    test_ends(engine);
    test_refused(engine);
    test_rounds(engine);
    test_load();
    tls_engine_free(engine);
    pairs_close();
    return done();
}
