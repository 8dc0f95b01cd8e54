/* A connected socket, with TLS or without, as openloop reads and writes it. */
#ifndef T_TOOLS_OPENLOOP_STREAM_H
#define T_TOOLS_OPENLOOP_STREAM_H

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

struct stream {
    int fd;   /* -1: none */
    SSL *ssl; /* NULL: without TLS */
};

static inline void stream_close(struct stream *s)
{
    SSL_free(s->ssl);
    if (s->fd >= 0)
        close(s->fd);
    s->ssl = NULL;
    s->fd = -1;
}

/* What n says, returned by a call for this stream: -1: would block, 0: end, -2: error. */
static inline ssize_t stream_result(struct stream *s, int n)
{
    int e = SSL_get_error(s->ssl, n);
    ERR_clear_error();
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
        return -1;
    return e == SSL_ERROR_ZERO_RETURN ? 0 : -2;
}

static inline ssize_t stream_read(struct stream *s, char *p, size_t n)
{
    if (s->ssl) {
        int got = SSL_read(s->ssl, p, (int)n);
        return got > 0 ? got : stream_result(s, got);
    }
    ssize_t got = recv(s->fd, p, n, 0);
    return got >= 0 ? got : errno == EAGAIN ? -1 : -2;
}

static inline ssize_t stream_write(struct stream *s, const char *p, size_t n)
{
    if (s->ssl) {
        int put = SSL_write(s->ssl, p, (int)n);
        return put > 0 ? put : stream_result(s, put);
    }
    ssize_t put = send(s->fd, p, n, MSG_NOSIGNAL);
    return put >= 0 ? put : errno == EAGAIN ? -1 : -2;
}

#endif
