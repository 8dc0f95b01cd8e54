/* tls-flood PORT BYTES: a TLS 1.2 client that never reads. After the handshake it sends
 * records without plaintext (tls12.h), each of which provokes an alert. Many are encrypted
 * before the first of them is sent, so that it sends as fast as they are taken.
 *
 * Prints "sent N end WHY"; WHY is closed (by the peer), stuck (it no longer reads), or all. */
#include "t/tools/tls12.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BATCH = 100 * 1000, /* records: 3.3 MB */
    STUCK_MS = 5000,
};

static void die(const char *what)
{
    fprintf(stderr, "tls-flood: %s\n", what);
    exit(1);
}

static SSL *shake_hands(int fd)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl;

    SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(ctx, TLS12_CIPHER);
    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, "localhost");
    if (SSL_connect(ssl) != 1)
        die("handshake failed");
    return ssl;
}

/* Sends them; NULL, or why not all could be sent. */
static const char *send_all(int fd, const unsigned char *bytes, size_t n, size_t *sent)
{
    for (size_t at = 0; at < n;) {
        ssize_t part = send(fd, bytes + at, n - at, MSG_NOSIGNAL);
        struct pollfd p = {.fd = fd, .events = POLLOUT};

        if (part > 0) {
            at += (size_t)part;
            *sent += (size_t)part;
        } else if (part < 0 && errno != EAGAIN) {
            return "closed";
        } else if (poll(&p, 1, STUCK_MS) == 0) {
            return "stuck";
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    static unsigned char batch[BATCH][TLS12_RECORD];
    unsigned char key[TLS12_KEY], salt[TLS12_SALT];
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    uint64_t sequence = 1; /* our Finished was record 0 */
    size_t all, sent = 0;
    const char *end = NULL;

    if (argc != 3)
        die("usage: tls-flood PORT BYTES");
    to.sin_port = htons((uint16_t)atoi(argv[1]));
    all = strtoull(argv[2], NULL, 10);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("cannot connect");
    if (!tls12_key(shake_hands(fd), key, salt))
        die("cannot derive the keys");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (sent < all && !end) {
        for (int i = 0; i < BATCH; i++)
            if (!tls12_put(batch[i], cipher, key, salt, sequence++))
                die("cannot encrypt");
        end = send_all(fd, batch[0], sizeof batch, &sent);
    }
    printf("sent %zu end %s\n", sent, end ? end : "all");
    return 0;
}
