#include "worker/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "worker/tls.h"

int stream_init(struct stream *s, int fd, struct tls_engine *engine)
{
    *s = (struct stream){.fd = fd};
    if (!engine)
        return 0;
    s->tls = tls_conn_new(engine, fd);
    return s->tls ? 0 : -1;
}

void stream_release(struct stream *s)
{
    tls_conn_free(s->tls);
    free(s->waiting);
    *s = (struct stream){.fd = -1};
}

int stream_handshake(struct stream *s)
{
    return s->tls ? tls_handshake(s->tls) : 1;
}

static ssize_t plain_read(struct stream *s, char *to, size_t room)
{
    ssize_t got;

    do {
        got = recv(s->fd, to, room, 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        s->readable = (size_t)got == room || s->hung_up;
        return got;
    }
    s->readable = false;
    if (got == 0)
        return STREAM_EOF;
    return errno == EAGAIN ? STREAM_AGAIN : STREAM_ERROR;
}

ssize_t stream_read(struct stream *s, char *to, size_t room)
{
    ssize_t got;

    if (!s->tls)
        return plain_read(s, to, room);
    got = tls_read(s->tls, to, room);
    /* After FIN no further edge comes: keep on until the end is read. */
    if (got > 0)
        s->readable = tls_more(s->tls) || s->hung_up;
    else if (got != TLS_AGAIN || !tls_more(s->tls))
        s->readable = false;
    return got > 0          ? got
           : got == TLS_EOF ? STREAM_EOF
                            : (got == TLS_AGAIN ? STREAM_AGAIN : STREAM_ERROR);
}

/* Keeps what the socket did not take, behind what waits already. */
static ssize_t keep(struct stream *s, const char *bytes, size_t n)
{
    char *more = realloc(s->waiting, s->nwaiting + n);

    if (!more)
        return -1;
    s->waiting = more;
    memcpy(more + s->nwaiting, bytes, n);
    s->nwaiting += n;
    return (ssize_t)(s->nwaiting - s->sent);
}

static ssize_t plain_send(int fd, const char *bytes, size_t n)
{
    ssize_t sent;

    do {
        sent = send(fd, bytes, n, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

ssize_t stream_write(struct stream *s, const char *bytes, size_t n)
{
    ssize_t sent = 0;

    if (s->tls) {
        for (size_t done = 0; done < n;) {
            size_t part = n - done < TLS_WRITE_MAX ? n - done : TLS_WRITE_MAX;

            if (tls_write(s->tls, bytes + done, part) < 0)
                return -1;
            done += part;
        }
        return tls_flush(s->tls);
    }
    if (!s->waiting) {
        sent = plain_send(s->fd, bytes, n);
        if (sent < 0)
            return -1;
    }
    return (size_t)sent < n ? keep(s, bytes + sent, n - (size_t)sent) : 0;
}

ssize_t stream_flush(struct stream *s)
{
    ssize_t sent;

    if (s->tls)
        return tls_waiting(s->tls) ? tls_flush(s->tls) : 0;
    if (!s->waiting)
        return 0;
    sent = plain_send(s->fd, s->waiting + s->sent, s->nwaiting - s->sent);
    if (sent < 0)
        return -1;
    s->sent += (size_t)sent;
    if (s->sent < s->nwaiting)
        return (ssize_t)(s->nwaiting - s->sent);
    free(s->waiting);
    s->waiting = NULL;
    s->nwaiting = s->sent = 0;
    return 0;
}

void stream_event(struct stream *s, bool hung_up)
{
    s->readable = true;
    s->hung_up |= hung_up;
    if (hung_up && s->tls)
        tls_hangup(s->tls);
}

ssize_t stream_write_last(struct stream *s, const char *bytes, size_t n)
{
    if (!s->tls || n > TLS_WRITE_MAX)
        return stream_write(s, bytes, n);
    return tls_write_close(s->tls, bytes, n) < 0 ? -1 : tls_flush(s->tls);
}

void stream_shutdown(struct stream *s, bool fin)
{
    if (s->tls)
        tls_shutdown(s->tls);
    if (fin)
        shutdown(s->fd, SHUT_WR);
}
