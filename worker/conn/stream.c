#include "worker/conn/stream.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "worker/tls/tls.h"

enum { /* TCP keepalive of a half-closed connection whose response is still to be sent */
       PROBE_IDLE_S = 20,
       PROBE_EVERY_S = 10,
       PROBES = 6,
};

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

void stream_drop_tls(struct stream *s)
{
    tls_conn_free(s->tls);
    s->tls = NULL;
}

int stream_handshake(struct stream *s)
{
    int done = s->tls ? tls_handshake(s->tls) : 1;

    if (done == 0)
        s->readable = s->yielded = tls_more(s->tls);
    return done;
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
    /* After FIN no further edge comes: continue until the end is read. */
    if (got > 0)
        s->readable = tls_more(s->tls) || s->hung_up;
    else
        s->readable = s->yielded = got == TLS_AGAIN && tls_more(s->tls);
    return got > 0          ? got
           : got == TLS_EOF ? STREAM_EOF
                            : (got == TLS_AGAIN ? STREAM_AGAIN : STREAM_ERROR);
}

/* Keeps what the socket did not take, after what waits already. */
static ssize_t stream_keep(struct stream *s, const char *bytes, size_t n)
{
    char *more;

    /* Reuses the space of sent bytes once they are at least as many as those that must be
     * moved. */
    if (s->sent >= s->nwaiting - s->sent) {
        s->nwaiting -= s->sent;
        if (s->nwaiting)
            memmove(s->waiting, s->waiting + s->sent, s->nwaiting);
        s->sent = 0;
    }
    more = realloc(s->waiting, s->nwaiting + n);
    if (!more)
        return -1;
    s->waiting = more;
    memcpy(more + s->nwaiting, bytes, n);
    s->nwaiting += n;
    return (ssize_t)(s->nwaiting - s->sent);
}

static ssize_t plain_send(struct stream *s, const char *bytes, size_t n)
{
    ssize_t sent;

    do {
        sent = send(s->fd, bytes, n, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN ? 0 : -1;
    s->handed += (size_t)sent;
    return sent;
}

uint64_t stream_handed(const struct stream *s)
{
    return s->tls ? tls_handed(s->tls) : s->handed;
}

uint64_t stream_acknowledged(const struct stream *s)
{
    uint64_t handed = stream_handed(s);
    int left;

    if (ioctl(s->fd, SIOCOUTQ, &left) < 0 || left < 0 || (uint64_t)left > handed)
        return handed;
    return handed - (uint64_t)left;
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
        sent = plain_send(s, bytes, n);
        if (sent < 0)
            return -1;
    }
    return (size_t)sent < n ? stream_keep(s, bytes + sent, n - (size_t)sent) : 0;
}

ssize_t stream_flush(struct stream *s)
{
    ssize_t sent;

    if (s->tls)
        return tls_waiting(s->tls) ? tls_flush(s->tls) : 0;
    if (!s->waiting)
        return 0;
    sent = plain_send(s, s->waiting + s->sent, s->nwaiting - s->sent);
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

ssize_t stream_shutdown(struct stream *s, bool fin)
{
    ssize_t waiting = s->tls ? tls_shutdown(s->tls) : (ssize_t)(s->nwaiting - s->sent);

    if (fin)
        shutdown(s->fd, SHUT_WR);
    return waiting;
}

void stream_half_closed(struct stream *s)
{
    int on = 1, idle_s = PROBE_IDLE_S, every_s = PROBE_EVERY_S, count = PROBES;

    setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s);
    setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (s->tls)
        tls_probe(s->tls);
}

void stream_reset(struct stream *s)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};

    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}
