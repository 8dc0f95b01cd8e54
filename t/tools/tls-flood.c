/* tls-flood PORT BYTES: a TLS 1.2 client that never reads. After the handshake it sends records
 * of type handshake that contain only the header of a ClientHello; each of them provokes an
 * alert. OpenSSL's client cannot send these, so the records are built here.
 *
 * Prints "sent N end WHY"; WHY is closed (by the peer), stuck (it no longer reads), or all. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    KEY = 16,
    SALT = 4,
    NONCE = 8,
    TAG = 16,
    HEAD = 5,
    HELLO = 4,
    RECORD = HEAD + NONCE + HELLO + TAG,
    BATCH = 1000, /* records of one write */
    STUCK_MS = 5000,
};

static void die(const char *what)
{
    fprintf(stderr, "tls-flood: %s\n", what);
    exit(1);
}

/* The client's write key and salt (RFC 5246 section 6.3, RFC 5288 section 3). */
static void client_key(SSL *ssl, unsigned char key[KEY], unsigned char salt[SALT])
{
    unsigned char master[48], seed[64], block[2 * KEY + 2 * SALT];
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    char digest[] = "SHA256", label[] = "key expansion";

    SSL_get_server_random(ssl, seed, 32);
    SSL_get_client_random(ssl, seed + 32, 32);
    if (SSL_SESSION_get_master_key(SSL_get0_session(ssl), master, sizeof master) !=
        sizeof master)
        die("no master secret");
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, sizeof master),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label, sizeof label - 1),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed),
        OSSL_PARAM_construct_end(),
    };
    if (EVP_KDF_derive(ctx, block, sizeof block, params) != 1)
        die("cannot derive the keys");
    memcpy(key, block, KEY);
    memcpy(salt, block + 2 * KEY, SALT);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

static void put_record(unsigned char *to, EVP_CIPHER_CTX *ctx, const unsigned char *key,
                       const unsigned char *salt, uint64_t sequence)
{
    static const unsigned char hello[HELLO] = {SSL3_MT_CLIENT_HELLO};
    unsigned char iv[SALT + NONCE], aad[8 + HEAD];
    int n;

    for (int i = 0; i < 8; i++)
        aad[i] = (unsigned char)(sequence >> (56 - 8 * i));
    memcpy(aad + 8, (unsigned char[]){22, 3, 3, 0, HELLO}, HEAD);
    memcpy(iv, salt, SALT);
    memcpy(iv + SALT, aad, NONCE);
    memcpy(to, (unsigned char[]){22, 3, 3, 0, RECORD - HEAD}, HEAD);
    memcpy(to + HEAD, aad, NONCE);
    if (EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, iv) != 1 ||
        EVP_EncryptUpdate(ctx, NULL, &n, aad, sizeof aad) != 1 ||
        EVP_EncryptUpdate(ctx, to + HEAD + NONCE, &n, hello, HELLO) != 1 ||
        EVP_EncryptFinal_ex(ctx, to + HEAD + NONCE + HELLO, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, to + HEAD + NONCE + HELLO) != 1)
        die("cannot encrypt");
}

static SSL *shake_hands(int fd)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl;

    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256");
    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, "localhost");
    if (SSL_connect(ssl) != 1)
        die("handshake failed");
    return ssl;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static unsigned char batch[BATCH * RECORD];
    unsigned char key[KEY], salt[SALT];
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    uint64_t all, sent = 0, sequence = 1; /* our Finished was record 0 */
    const char *end = "all";

    if (argc != 3)
        die("usage: tls-flood PORT BYTES");
    to.sin_port = htons((uint16_t)atoi(argv[1]));
    all = strtoull(argv[2], NULL, 10);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("cannot connect");
    client_key(shake_hands(fd), key, salt);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (sent < all && end[0] == 'a') {
        for (int i = 0; i < BATCH; i++)
            put_record(batch + i * RECORD, cipher, key, salt, sequence++);
        for (size_t at = 0; at < sizeof batch;) {
            ssize_t n = send(fd, batch + at, sizeof batch - at, MSG_NOSIGNAL);
            struct pollfd p = {.fd = fd, .events = POLLOUT};

            if (n > 0) {
                at += (size_t)n;
                sent += (size_t)n;
            } else if (n < 0 && errno != EAGAIN) {
                end = "closed";
                break;
            } else if (poll(&p, 1, STUCK_MS) == 0) {
                end = "stuck";
                break;
            }
        }
    }
    printf("sent %llu end %s\n", (unsigned long long)sent, end);
    return 0;
}
