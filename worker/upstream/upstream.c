#include "worker/upstream/upstream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/container.h"
#include "base/tcp.h"
#include "worker/core/core.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/pins.h"
#include "worker/upstream/upstream_tls.h"

static void leave_idle(struct upstream *u)
{
    struct backend_view *b = u->backend;

    if (u->prev)
        u->prev->next = u->next;
    else if (u->pins)
        b->pinned = u->next;
    else
        b->idle = u->next;
    if (u->next)
        u->next->prev = u->prev;
    u->prev = u->next = NULL;
    u->idle = false;
    if (u->pins) {
        pins_remove(u->pins, u);
        u->pins = NULL;
        b->npinned--;
    } else {
        b->nidle--;
    }
    count_sub(&b->cell->idle, 1);
    loop_timer_cancel(&u->timer);
}

void upstream_close(struct upstream *u)
{
    struct worker *worker = u->worker;

    if (u->idle)
        leave_idle(u);
    loop_timer_cancel(&u->timer);
    upstream_tls_end(u);
    loop_close(&worker->loop, &u->source);
    worker->nupstreams--;
    worker->buffered -= u->nwaiting;
    free(u->waiting);
    mempool_return(&worker->upstreams, u);
}

void upstream_close_idle(struct backend_view *backend)
{
    while (backend->idle)
        upstream_close(backend->idle);
    while (backend->pinned)
        upstream_close(backend->pinned);
}

static void idle_too_long(struct loop_timer *timer)
{
    upstream_close(container_of(timer, struct upstream, timer));
}

/* Is it still open, and has it sent nothing since its last response? Finds what arrived too
 * late for an event. Costs 0.2 us for each request over a kept connection. */
static bool is_silent(struct upstream *u)
{
    char byte;

    if (u->tls)
        return upstream_tls_is_silent(u);
    return recv(u->source.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* May this connection be kept, and is there room for it? */
static bool may_keep(const struct upstream *u)
{
    const struct conf_limits *limits = &u->worker->conf->limits;
    const struct backend_view *b = u->backend;

    if (u->hung_up || u->worker->draining || u->addresses != b->addresses)
        return false;
    return u->bound ? b->npinned < limits->upstream_pinned
                    : b->nidle < limits->upstream_keepalive;
}

void upstream_close_pinned(struct pins *pins)
{
    while (pins->of[0])
        upstream_close(pins->of[0]);
}

void upstream_keep(struct upstream *u, struct pins *pins)
{
    struct backend_view *b = u->backend;
    struct upstream **list = u->bound ? &b->pinned : &b->idle;

    CHECK(!upstream_waits(u) && !u->connecting);
    u->attempt = NULL;
    /* A full read may have left something in the socket, which no further event reports. */
    if (!may_keep(u) || (u->readable && !is_silent(u))) {
        upstream_close(u);
        return;
    }
    u->readable = false;
    u->served++;
    if (u->bound) {
        if (pins_full(pins))
            upstream_close(pins->of[0]); /* which removes it from there */
        pins_keep(pins, u);
        u->pins = pins;
        b->npinned++;
    } else {
        b->nidle++;
    }
    u->idle = true;
    u->prev = NULL;
    u->next = *list;
    if (*list)
        (*list)->prev = u;
    *list = u;
    count_add(&b->cell->idle, 1);
    u->timer.fire = idle_too_long;
    loop_timer_set(&u->worker->loop, &u->timer, u->worker->conf->timeouts.upstream_idle_ms);
}

/* The same through TLS. */
static void read_tls(struct upstream *u)
{
    struct worker *worker = u->worker;
    char *to = worker_body(worker);

    for (int round = 0; u->readable; round++) {
        ssize_t got;

        if (round >= WORKER_ROUNDS && !upstream_tls_has_more(u)) {
            loop_mod(&worker->loop, &u->source, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
            return;
        }
        got = upstream_tls_read(u, to, u->piece);
        if (got < 0 && errno == EAGAIN)
            continue;
        if (got <= 0) {
            u->readable = false;
            u->ops->ended(u, got < 0 ? errno : 0);
            return;
        }
        if (!u->ops->received(u, to, (size_t)got))
            return;
    }
}

/* Reads what is available and gives it to the owner. */
static void read_plain(struct upstream *u)
{
    struct worker *worker = u->worker;
    char *to = worker_body(worker);

    for (int round = 0; u->readable; round++) {
        ssize_t got;

        if (round == WORKER_ROUNDS) {
            /* Let others run; a fresh edge brings us back. */
            loop_mod(&worker->loop, &u->source, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
            return;
        }
        got = recv(u->source.fd, to, u->piece, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN) {
            u->readable = false;
            return;
        }
        if (got <= 0) {
            u->readable = false;
            u->ops->ended(u, got < 0 ? errno : 0);
            return;
        }
        /* A short read has emptied the socket, unless the end follows. */
        if ((size_t)got < u->piece && !u->hung_up)
            u->readable = false;
        if (!u->ops->received(u, to, (size_t)got))
            return;
    }
}

static void read_on(struct upstream *u)
{
    if (u->tls)
        read_tls(u);
    else
        read_plain(u);
}

void upstream_resume(struct upstream *u)
{
    if (u->readable)
        read_on(u);
}

/* All is sent. */
static ssize_t flushed(struct upstream *u)
{
    if (u->end_due)
        upstream_shutdown(u);
    return 0;
}

static ssize_t upstream_flush(struct upstream *u)
{
    if (u->tls) {
        ssize_t waiting = upstream_tls_send(u, NULL, 0);

        return waiting ? waiting : flushed(u);
    }
    while (u->nwaiting > u->sent) {
        ssize_t n =
            send(u->source.fd, u->waiting + u->sent, u->nwaiting - u->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return (ssize_t)(u->nwaiting - u->sent);
        if (n < 0)
            return -1;
        u->sent += (size_t)n;
    }
    u->worker->buffered -= u->nwaiting;
    free(u->waiting);
    u->waiting = NULL;
    u->nwaiting = u->sent = 0;
    return flushed(u);
}

ssize_t upstream_send(struct upstream *u, const char *bytes, size_t n)
{
    ssize_t sent = 0;
    char *more;

    if (u->tls)
        return upstream_tls_send(u, bytes, n);
    if (!u->waiting && !u->connecting) {
        do {
            sent = send(u->source.fd, bytes, n, MSG_NOSIGNAL);
        } while (sent < 0 && errno == EINTR);
        if (sent < 0 && errno != EAGAIN)
            return -1;
        if (sent < 0)
            sent = 0;
        if ((size_t)sent == n)
            return 0;
    }
    more = realloc(u->waiting, u->nwaiting + n - (size_t)sent);
    if (!more) {
        errno = ENOMEM;
        return -1;
    }
    u->waiting = more;
    memcpy(more + u->nwaiting, bytes + sent, n - (size_t)sent);
    u->nwaiting += n - (size_t)sent;
    u->worker->buffered += n - (size_t)sent;
    return (ssize_t)(u->nwaiting - u->sent);
}

void upstream_shutdown(struct upstream *u)
{
    if (u->tls)
        upstream_tls_close_notify(u);
    u->end_due = upstream_waits(u);
    if (!u->end_due)
        shutdown(u->source.fd, SHUT_WR);
}

/* The result of connect(). */
static int connect_result(struct upstream *u)
{
    socklen_t len = sizeof(int);
    int error = 0;

    if (getsockopt(u->source.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    return error;
}

/* 1: connected; 0: not yet; -1: failed with *error. */
static int go_on_connecting(struct upstream *u, uint32_t events, int *error)
{
    if (!u->tls) {
        *error = connect_result(u);
        if (*error)
            return -1;
        if (!(events & EPOLLOUT))
            return 0;
        if (!u->backend->pool->uses_tls)
            return 1;
        *error = upstream_tls_begin(u);
        if (*error)
            return -1;
    }
    return upstream_tls_handshake(u, error);
}

static void ready_busy(struct upstream *u, uint32_t events)
{
    u->ops->turn(u);
    if (u->connecting) {
        int error, done = go_on_connecting(u, events, &error);

        if (done < 0)
            u->ops->connect_failed(u, error);
        if (done <= 0)
            return;
        u->connecting = false;
        if (!u->ops->connected(u))
            return;
    } else if ((events & EPOLLOUT) && upstream_waits(u)) {
        ssize_t waiting = upstream_flush(u);

        if (waiting == 0) {
            u->ops->writable(u);
        } else if (waiting < 0) {
            u->readable = true;
            u->ops->send_failed(u);
        }
    }
    if (u->readable && u->ops->wants_more(u))
        read_on(u);
}

static void upstream_ready(struct loop_source *source, uint32_t events)
{
    struct upstream *u = container_of(source, struct upstream, source);

    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        u->readable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        u->hung_up = true;
    if (u->idle) {
        /* Idle: the backend closed it (as Tomcat does), or sent something unrequested. In both
         * cases it is of no use any more. */
        if (u->readable && !(u->tls && !u->hung_up && upstream_tls_is_silent(u)))
            upstream_close(u);
        return;
    }
    ready_busy(u, events);
}

/* All of our descriptors for backends are in use: closes an idle connection. */
static bool close_an_idle_one(struct worker *worker)
{
    for (size_t i = 0; i < worker->conf->n_backends; i++)
        if (worker->backends[i].idle) {
            upstream_close(worker->backends[i].idle);
            return true;
        }
    for (size_t i = 0; i < worker->conf->n_backends; i++)
        if (worker->backends[i].pinned) { /* its user authenticates again */
            upstream_close(worker->backends[i].pinned);
            return true;
        }
    return false;
}

static struct upstream *open_fresh(struct backend_view *b)
{
    struct worker *worker = b->pool->worker;
    const struct sockaddr *to = (const struct sockaddr *)&b->health.address;
    struct upstream *u;
    int fd;

    if (worker->nupstreams >= worker->max_upstreams && !close_an_idle_one(worker)) {
        errno = EMFILE;
        return NULL;
    }
    fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    if (to->sa_family != AF_UNIX)
        tcp_prepare(fd, worker->conf->tcp.keepalive_ms, worker->conf->tcp.user_ms);
    u = mempool_acquire(&worker->upstreams);
    if (!u)
        goto fail;
    *u = (struct upstream){
        .worker = worker, .backend = b, .addresses = b->addresses, .connecting = true};
    u->source.ready = upstream_ready;
    u->source.fd = -1;
    count_add(&b->cell->connects, 1);
    if (connect(fd, to, b->address_len) < 0 && errno != EINPROGRESS)
        goto fail;
    if (loop_add(&worker->loop, &u->source, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0)
        goto fail;
    worker->nupstreams++;
    return u;
fail:
    if (u)
        mempool_return(&worker->upstreams, u);
    int error = errno;
    close(fd);
    errno = error;
    return NULL;
}

/* Takes a kept connection out of its list. NULL: it was no longer usable, and is closed. */
static struct upstream *take_kept(struct upstream *u)
{
    leave_idle(u);
    if (is_silent(u))
        return u;
    upstream_close(u);
    return NULL;
}

struct upstream *upstream_get(struct backend_view *b, const struct upstream_owner *owner,
                              bool fresh, bool *reused)
{
    struct upstream *u = fresh ? NULL : pins_find(owner->pins, b);

    if (u)
        u = take_kept(u);
    while (!u && !fresh && b->idle)
        u = take_kept(b->idle);
    *reused = u != NULL;
    if (!u)
        u = open_fresh(b);
    if (u) {
        u->ops = owner->ops;
        u->attempt = owner->attempt;
        u->bound |= owner->binds;
        u->piece = owner->piece;
    }
    return u;
}
