/* worker/tls/alpn_acme.c against OpenSSL's own client: who is shown a challenge, and what it
 * is. */
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acmed/cert/selfsigned.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "shm/challenges.h"
#include "t/unit/tap.h"
#include "worker/tls/tls.h"

static const char *const names[] = {"a.test"};
static const struct conf_cert certs[] = {
    {.index = 0, .name = "a.test", .names = names, .n_names = 1}};
static const struct conf conf = {
    .tls = {.min_version = CONF_TLS_1_2,
            .ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20",
            .ciphersuites = "TLS_AES_128_GCM_SHA256",
            .groups = "auto"},
    .certs = certs,
    .n_certs = 1,
};
static struct table table;

static const char acme_only[] = "\x0a"
                                "acme-tls/1",
                  http_too[] = "\x0a"
                               "acme-tls/1\x08http/1.1",
                  http_only[] = "\x08http/1.1";

static void put(int i, int kind, const char *name, const char *key_authorization,
                int64_t for_ms)
{
    struct challenge_row row = {.kind = (uint8_t)kind,
                                .expires_ms = (uint64_t)((int64_t)clock_mono_ms() + for_ms)};

    snprintf(row.name, sizeof row.name, "%s", name);
    snprintf(row.key_authorization, sizeof row.key_authorization, "%s", key_authorization);
    challenge_put(&table, (uint32_t)i, &row);
}

static struct tls_engine *make_engine(void)
{
    char dir[] = "/tmp/pasgate-alpn-XXXXXX", file[2][64], error[TLS_ERROR_SIZE];
    struct tls_engine *engine = tls_engine_new(&conf, error, sizeof error);
    struct pem_pair pair;

    if (!engine || !mkdtemp(dir) ||
        selfsigned_make(names, 1, clock_wall_ms(), &pair, error) != 0)
        return NULL;
    for (int i = 0; i < 2; i++) {
        FILE *out;

        snprintf(file[i], sizeof file[i], "%s/%d", dir, i);
        out = fopen(file[i], "w");
        fputs(i ? pair.key : pair.chain, out);
        fclose(out);
    }
    is_int(tls_engine_load(engine, 0, file[0], file[1], error, sizeof error), 0,
           "a certificate");
    unlink(file[0]);
    unlink(file[1]);
    rmdir(dir);
    pem_pair_release(&pair);
    return engine;
}

/* A handshake; *cert is what the client was shown, to be freed. The server's ALPN, or -1: it
 * refused. */
static int shake(struct tls_engine *engine, int version, const char *sni, const char *alpn,
                 X509 **cert)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    struct tls_conn *conn;
    int fd[2], served = 0, got = 0, result = -1;

    is_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0, "%s: a connection", sni);
    SSL_set_max_proto_version(ssl, version);
    SSL_set_tlsext_host_name(ssl, sni);
    SSL_set_alpn_protos(ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
    SSL_set_fd(ssl, fd[0]);
    SSL_set_connect_state(ssl);
    conn = tls_conn_new(engine, fd[1]);
    for (int i = 0; i < 20 && served >= 0 && (served == 0 || got != 1); i++) {
        got = SSL_do_handshake(ssl);
        if (served == 0)
            served = tls_handshake(conn);
    }
    *cert = NULL;
    if (served == 1 && got == 1) {
        result = (int)tls_conn_alpn(conn);
        *cert = SSL_get1_peer_certificate(ssl);
    }
    tls_conn_free(conn);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd[0]);
    close(fd[1]);
    ERR_clear_error();
    return result;
}

/* The certificate answers for this name with this key authorization. */
static void is_answer(X509 *cert, const char *name, bool ip, const char *key_authorization)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    int at = cert ? X509_get_ext_by_OBJ(cert, oid, -1) : -1;
    unsigned char want[34] = {0x04, 0x20};

    ASN1_OBJECT_free(oid);
    if (!ok(at >= 0, "  it has the extension"))
        return;
    EVP_Digest(key_authorization, strlen(key_authorization), want + 2, NULL, EVP_sha256(),
               NULL);
    X509_EXTENSION *extension = X509_get_ext(cert, at);
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

    ok(X509_EXTENSION_get_critical(extension), "  which is critical");
    is_mem(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value), want, sizeof want,
           "  and holds the digest");
    is_int(sk_GENERAL_NAME_num(all), 1, "  one name");
    ok((ip ? X509_check_ip_asc(cert, name, 0)
           : X509_check_host(cert, name, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL)) == 1,
       "  %s", name);
    GENERAL_NAMES_free(all);
}

static void responded(struct tls_engine *engine, int version, const char *sni, const char *name,
                      bool ip, const char *key_authorization)
{
    X509 *cert;

    is_int(shake(engine, version, sni, acme_only, &cert), TLS_ALPN_ACME, "%s is answered", sni);
    is_answer(cert, name, ip, key_authorization);
    X509_free(cert);
}

static void refused(struct tls_engine *engine, const char *sni, const char *why)
{
    X509 *cert;

    is_int(shake(engine, TLS1_3_VERSION, sni, acme_only, &cert), -1, "refused: %s", why);
    X509_free(cert);
}

static void ordinary(struct tls_engine *engine, const char *alpn, const char *what)
{
    X509 *cert;

    is_int(shake(engine, TLS1_3_VERSION, "c.test", alpn, &cert), TLS_ALPN_HTTP1, "%s", what);
    ok(cert && X509_get_ext_by_NID(cert, NID_ext_key_usage, -1) >= 0,
       "  gets the certificate of the service");
    X509_free(cert);
}

int main(void)
{
    struct tls_engine *engine = make_engine();

    refused(engine, "c.test", "there is no table");
    tls_engine_challenges(engine, &table);
    table.challenge_rows = TABLE_CHALLENGES;
    refused(engine, "c.test", "no challenge is pending");
    put(3, 2, "c.test", "token.thumbprint", 60000);
    put(4, 2, "192.0.2.7", "token2.thumbprint", 60000);
    put(5, 2, "2001:db8::1", "token3.thumbprint", 60000);
    put(6, 2, "old.test", "token4.thumbprint", -1);
    put(7, 1, "http.test", "token5.thumbprint", 60000);
    responded(engine, TLS1_3_VERSION, "c.test", "c.test", false, "token.thumbprint");
    responded(engine, TLS1_2_VERSION, "C.Test", "c.test", false, "token.thumbprint");
    responded(engine, TLS1_3_VERSION, "7.2.0.192.in-addr.arpa", "192.0.2.7", true,
              "token2.thumbprint");
    responded(engine, TLS1_3_VERSION,
              "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
              "2001:db8::1", true, "token3.thumbprint");
    refused(engine, "d.test", "another name");
    refused(engine, "old.test", "it has expired");
    refused(engine, "http.test", "it is for http-01");
    challenge_clear(&table, 3);
    refused(engine, "c.test", "it is no longer pending");
    table.challenge_key[4] = 1;
    refused(engine, "7.2.0.192.in-addr.arpa", "something else wrote by what it is found");
    challenges_look(&table, clock_mono_ms());
    responded(engine, TLS1_3_VERSION, "7.2.0.192.in-addr.arpa", "192.0.2.7", true,
              "token2.thumbprint");
    is_int(challenge_own(&table.challenge[6])->kind, CHALLENGE_FREE,
           "what has expired is freed");
    put(TABLE_CHALLENGES - 1, 2, "last.test", "token6.thumbprint", 60000);
    responded(engine, TLS1_3_VERSION, "last.test", "last.test", false, "token6.thumbprint");
    table.challenge_rows = TABLE_CHALLENGES - 1;
    refused(engine, "last.test", "a row that was not reserved is none");
    ordinary(engine, http_too, "a client that offers http too");
    ordinary(engine, http_only, "one that offers http only");
    tls_engine_free(engine);
    return done();
}
