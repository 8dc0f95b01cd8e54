/*
 * A connection. Bytes are read (conn_read) and consumed by its state (feed). The
 * response is rendered to obuf, and written together with the stream that may
 * follow (flush). While a response is held, sent in pieces or not written yet,
 * nothing is read: this is back-pressure, and pipelined requests wait.
 */
#include "httpbin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    READ_SIZE = 256 * 1024, /* one read of the shared buffer */
    CHUNK = 16 * 1024,      /* payload of a full chunk of a stream */
    CHUNK_WIRE = 6 + CHUNK + 2,
    IOV_MAX_USED = 18,        /* about 1 MiB in one writev */
    RENDER_AHEAD = 64 * 1024, /* pipelined responses collected before they are written */
    SWALLOW_MAX = 2 * 1024 * 1024,
    LINGER_MS = 1000,
};

struct buf obuf;

static char rbuf[READ_SIZE + HEAD_MAX];
static struct conn *idle_first, *idle_last; /* by time of the last event */
static struct conn *graveyard;              /* closed in this round of the loop */

static void list_remove(struct conn *c)
{
    *(c->prev ? &c->prev->next : &idle_first) = c->next;
    *(c->next ? &c->next->prev : &idle_last) = c->prev;
    c->prev = c->next = NULL;
}

static void list_append(struct conn *c)
{
    c->prev = idle_last;
    *(idle_last ? &idle_last->next : &idle_first) = c;
    idle_last = c;
}

static void touch(struct conn *c)
{
    c->active = now_ms();
    if (c != idle_last) {
        list_remove(c);
        list_append(c);
    }
}

void conn_open(int fd, bool ctl)
{
    struct conn *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->fd = fd;
    c->ctl = ctl;
    c->active = now_ms();
    list_append(c);
    if (!ctl) {
        counters.accepted++;
        if (++counters.open > counters.max_open)
            counters.max_open = counters.open;
    }
    loop_add(fd, c);
}

void conn_close(struct conn *c, bool reset)
{
    if (reset) {
        struct linger l = {.l_onoff = 1, .l_linger = 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    close(c->fd);
    c->fd = -1;
    timer_clear(c);
    list_remove(c);
    if (!c->ctl)
        counters.open--;
    c->next = graveyard;
    graveyard = c;
}

void conn_bury(void)
{
    for (struct conn *c; (c = graveyard);) {
        graveyard = c->next;
        free(c->head.p);
        free(c->keep.p);
        free(c->in.p);
        free(c->out.p);
        free(c);
    }
}

/* Nothing more may be read or parsed now. */
static bool blocked(const struct conn *c)
{
    return c->held || c->closing || c->ticks_left || c->stream.off < c->stream.end ||
           c->out.n || obuf.n > RENDER_AHEAD;
}

/* ---- writing ---- */

/* The piece of a chunked stream at wire position off. */
static struct iovec chunk_piece(const struct stream *s, uint64_t off)
{
    uint64_t full = s->n / CHUNK, nth = off / CHUNK_WIRE, at = off % CHUNK_WIRE;
    uint64_t payload = CHUNK, nhead = 6;
    const char *head = "4000\r\n";

    if (nth >= full) {
        nth = full;
        at = off - full * CHUNK_WIRE;
        payload = s->n % CHUNK;
        nhead = s->ntail;
        head = s->tail;
        uint64_t last = payload ? nhead + payload + 2 : 0;
        if (at >= last)
            return (struct iovec){(char *)"0\r\n\r\n" + (at - last), 5 - (at - last)};
    }
    if (at < nhead)
        return (struct iovec){(char *)head + at, nhead - at};
    if (at < nhead + payload)
        return (struct iovec){(char *)pattern_at(nth * CHUNK + at - nhead),
                              nhead + payload - at};
    at -= nhead + payload;
    return (struct iovec){(char *)"\r\n" + at, 2 - at};
}

static int stream_iov(const struct stream *s, struct iovec *iov, int n, int max)
{
    for (uint64_t off = s->off; n < max && off < s->end; n++) {
        iov[n] = s->chunked ? chunk_piece(s, off)
                            : (struct iovec){(char *)pattern_at(off), PATTERN_RUN};
        if (iov[n].iov_len > s->end - off)
            iov[n].iov_len = s->end - off;
        off += iov[n].iov_len;
    }
    return n;
}

/* Removes w written bytes from the front of c->out, obuf and the stream. */
static void consume(struct conn *c, size_t w, size_t *rendered_off)
{
    if (c->out.n) {
        size_t k = w < c->out.n ? w : c->out.n;
        c->out.n -= k;
        memmove(c->out.p, c->out.p + k, c->out.n);
        w -= k;
    }
    size_t k = w < obuf.n - *rendered_off ? w : obuf.n - *rendered_off;
    *rendered_off += k;
    c->stream.off += w - k;
}

/* Writes the pending bytes. 1: all; 0: some are left; -1: the peer is gone. */
static int flush(struct conn *c)
{
    size_t off = 0;
    int rc = 1;

    while (!c->held && (c->out.n || off < obuf.n || c->stream.off < c->stream.end)) {
        struct iovec iov[IOV_MAX_USED];
        int n = 0;
        if (c->out.n)
            iov[n++] = (struct iovec){c->out.p, c->out.n};
        if (off < obuf.n)
            iov[n++] = (struct iovec){obuf.p + off, obuf.n - off};
        n = stream_iov(&c->stream, iov, n, IOV_MAX_USED);
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
        ssize_t w = sendmsg(c->fd, &m, MSG_NOSIGNAL);
        if (w < 0) {
            if (errno == EINTR)
                continue;
            rc = errno == EAGAIN ? 0 : -1;
            break;
        }
        consume(c, (size_t)w, &off);
    }
    if (rc == 1 && c->held)
        rc = 0;
    if (rc >= 0 && off < obuf.n)
        buf_add(&c->out, obuf.p + off, obuf.n - off);
    obuf.n = 0;
    return rc;
}

/* ---- reading ---- */

static size_t head_feed(struct conn *c, const char *p, size_t n)
{
    static struct req r;
    size_t skip = 0;

    while (skip < n && (p[skip] == '\r' || p[skip] == '\n'))
        skip++; /* RFC 9112 2.2: empty lines before the request line */
    const char *end = memmem(p + skip, n - skip, "\r\n\r\n", 4);
    if (!end && n - skip < HEAD_MAX)
        return skip;
    size_t head_n = end ? (size_t)(end - p) + 4 - skip : n - skip;
    int err = end && head_n <= HEAD_MAX ? req_parse(&r, p + skip, head_n) : 400;
    if (err) {
        r.http10 = false;
        r.method = (struct str){"", 0};
        answer_error(c, &r, err, "bad request");
        c->closing = true;
        return n;
    }
    c->requests++;
    c->body_seen = 0;
    c->crc = 0;
    web_head(c, &r);
    if (c->fd < 0)
        return n;
    if (c->state == CONN_BODY) {
        c->trailer_n = 0;
        c->body = r.chunked ? BODY_SIZE : BODY_LENGTH;
        c->body_left = r.length;
        if (c->sink == SINK_SUM) {
            c->head.n = 0;
            buf_add(&c->head, p + skip, head_n);
        }
    }
    return skip + head_n;
}

static size_t swallow(struct conn *c, size_t n)
{
    if (n > c->body_left)
        conn_close(c, false);
    else
        c->body_left -= n;
    return n;
}

static size_t feed_state(struct conn *c, char *p, size_t n)
{
    switch (c->state) {
    case CONN_HEAD:
        return head_feed(c, p, n);
    case CONN_BODY:
        return body_feed(c, p, n);
    case CONN_WS:
        return ws_feed(c, p, n);
    case CONN_LINGER:
        return swallow(c, n);
    }
    return n;
}

static size_t feed(struct conn *c, char *p, size_t n)
{
    size_t used = 0;

    while (used < n && !blocked(c)) {
        size_t k = feed_state(c, p + used, n - used);
        if (k == 0 || c->fd < 0)
            return used + k;
        used += k;
    }
    return used;
}

/* Reads once, after the bytes in c->in. Returns the bytes in rbuf; -1: the peer is gone. */
static ssize_t conn_read(struct conn *c)
{
    size_t n = c->in.n;

    if (n)
        memcpy(rbuf, c->in.p, n);
    while (c->readable && !c->eof && n < sizeof rbuf) {
        size_t room = sizeof rbuf - n < READ_SIZE ? sizeof rbuf - n : READ_SIZE;
        ssize_t got = recv(c->fd, rbuf + n, room, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno != EAGAIN)
            return -1;
        if (got == 0)
            c->eof = true;
        if (got < (ssize_t)room)
            c->readable = false; /* edge-triggered: a short read emptied the socket */
        return (ssize_t)n + (got > 0 ? got : 0);
    }
    return (ssize_t)n;
}

static void keep_left_over(struct conn *c, const char *p, size_t n)
{
    c->in.n = 0;
    if (n) {
        buf_add(&c->in, p, n);
    } else if (c->in.p) {
        free(c->in.p);
        c->in = (struct buf){0};
    }
}

/* The peer may still be sending a body: with unread bytes in the socket, close() would
 * reset the connection, and the response would be lost. Like Tomcat (maxSwallowSize). */
static void linger(struct conn *c)
{
    shutdown(c->fd, SHUT_WR);
    c->closing = false;
    c->state = CONN_LINGER;
    c->body_left = SWALLOW_MAX;
    timer_set(c, TIMER_CLOSE, LINGER_MS);
}

void conn_run(struct conn *c)
{
    for (;;) {
        int rc = flush(c);
        if (rc < 0) {
            conn_close(c, false);
            break;
        }
        if (rc == 0 || c->ticks_left)
            break;
        if (c->closing) {
            if (c->state != CONN_BODY) {
                conn_close(c, false);
                break;
            }
            linger(c);
        }
        bool more = c->readable && !c->eof;
        ssize_t n = conn_read(c);
        if (n < 0) {
            counters.aborted += !c->ctl;
            conn_close(c, false);
            break;
        }
        size_t used = feed(c, rbuf, (size_t)n);
        if (c->fd < 0)
            break;
        keep_left_over(c, rbuf + used, (size_t)n - used);
        if (used == 0 && !more && obuf.n == 0) {
            if (c->eof) {
                counters.aborted += !c->ctl && c->state == CONN_BODY;
                conn_close(c, false);
            }
            break;
        }
    }
    obuf.n = 0;
}

void conn_event(struct conn *c, uint32_t events)
{
    if (c->fd < 0)
        return; /* closed earlier in this round */
    touch(c);
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->readable = true;
    /* a peer that leaves while its response is held is not kept */
    if (events & (EPOLLHUP | EPOLLERR) || (events & EPOLLRDHUP && (c->held || c->ticks_left))) {
        counters.aborted += !c->ctl && (c->held || c->ticks_left);
        conn_close(c, false);
        return;
    }
    conn_run(c);
}

/* ---- time ---- */

void conn_hold(struct conn *c, uint64_t ms)
{
    bool for_ever = c->held && c->timer != TIMER_HOLD;

    c->held = true;
    if (ms != UINT64_MAX && !for_ever)
        timer_set(c, TIMER_HOLD, ms);
}

void conn_timer(struct conn *c)
{
    enum timer kind = c->timer;

    timer_clear(c);
    touch(c);
    if (kind == TIMER_CLOSE) {
        conn_close(c, false);
        return;
    }
    if (kind == TIMER_HOLD)
        c->held = false;
    if (kind == TIMER_TICK)
        web_tick(c);
    conn_run(c);
}

int conn_sweep(void)
{
    uint64_t idle = settings.idle_ms;

    if (idle == 0)
        return -1;
    while (idle_first && now_ms() - idle_first->active >= idle) {
        struct conn *c = idle_first;
        if (c->held || c->ticks_left || c->out.n || c->state == CONN_WS) {
            touch(c); /* busy, not idle */
            continue;
        }
        counters.closed_idle += !c->ctl;
        conn_close(c, false);
    }
    if (!idle_first)
        return -1;
    uint64_t age = now_ms() - idle_first->active;
    return age >= idle ? (int)idle : (int)(idle - age);
}

void conn_close_all(const struct conn *except)
{
    for (struct conn *c = idle_first, *next; c; c = next) {
        next = c->next;
        if (!c->ctl && c != except)
            conn_close(c, false);
    }
}

void conn_release_held(void)
{
    for (struct conn *c = idle_first, *next; c; c = next) {
        next = c->next; /* conn_run(c) closes no connection except c */
        if (c->held && c->timer == TIMER_NONE) {
            c->held = false;
            conn_run(c);
        }
    }
}
