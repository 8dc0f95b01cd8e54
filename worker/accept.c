#include "worker/accept.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/conf/conf.h"
#include "base/container.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/tcp.h"
#include "worker/conn/conn.h"
#include "worker/core/core.h"
#include "worker/descriptors.h"
#include "worker/tls/tls.h"

enum {
    ACCEPT_BURST = 32,     /* connections per turn; epoll reports those that still wait */
    ACCEPT_PAUSE_MS = 100, /* without descriptors, an immediate retry would only spin */
    ACCEPT_LAST = 4096,    /* from a socket that is given up: a full backlog */
};

struct acceptor {
    struct acceptor *next; /* next in worker->lent */
    uint32_t slot;         /* worker slot that owns the socket; for those in worker->lent */
    struct loop_source source;
    struct loop_timer pause;
    struct worker *worker;
    const struct conf_listen *listen;
    int fd;
};

static bool for_status(const struct acceptor *a)
{
    return a->listen->serve == CONF_SERVE_STATUS;
}

/* No room for another client: closes one that has no complete request for too long, or the one
 * that has been idle longest (true), or pauses accepting for a moment (false). */
static bool accept_make_room(struct acceptor *a, const char *why)
{
    static struct log_gate idle_gate, head_gate, pause_gate, status_gate;

    if (for_status(a) && conns_make_status_room(a->worker)) {
        if (log_gate_open(&status_gate))
            log_warn(
                "the oldest connections of status listeners closed to make room for others: "
                "%s",
                why);
        return true;
    }
    if (conns_drop_unfinished(a->worker)) {
        if (log_gate_open(&head_gate))
            log_warn(
                "the oldest connections without a complete request closed to make room for "
                "others: %s",
                why);
        return true;
    }
    if (conns_make_room(a->worker)) {
        if (log_gate_open(&idle_gate))
            log_warn("idle client connections closed to make room for others: %s", why);
        return true;
    }
    if (log_gate_open(&pause_gate))
        log_warn("accepting paused: %s", why);
    count_add(&a->worker->row->connections_refused, 1);
    atomic_store_explicit(&a->worker->row->paused_ms, a->worker->loop.now_ms,
                          memory_order_relaxed);
    loop_del(&a->worker->loop, &a->source);
    loop_timer_set(&a->worker->loop, &a->pause, ACCEPT_PAUSE_MS);
    return false;
}

static bool waits(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

/* Monitoring must still get in when clients have used up all connections, and the other way
 * round. NULL: there is room. */
static const char *accept_full(const struct acceptor *a)
{
    const struct worker *worker = a->worker;

    if (for_status(a))
        return worker->nwatchers < DESCRIPTORS_STATUS ? NULL
                                                      : "they have used up those of their own";
    if (worker->nconns - worker->nwatchers < worker->max_conns)
        return NULL;
    return worker->max_conns < worker->conf->limits.connections
               ? "the limit of descriptors is reached"
               : "limits.connections is reached";
}

/* Accepts at most `most` connections. */
static void accept_take(struct acceptor *a, int most)
{
    struct worker *worker = a->worker;

    for (int i = 0; i < most; i++) {
        const char *full = accept_full(a);
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        int fd;

        if (full && (!waits(a->fd) || !accept_make_room(a, full)))
            return;
        fd = accept4(a->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            conn_open(worker, fd, a->listen, (struct sockaddr *)&from, len);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            if (!accept_make_room(a, strerror(errno)))
                return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return; /* EAGAIN; any other error comes from the network and passes */
        }
    }
}

static void accept_ready(struct loop_source *source, uint32_t events)
{
    (void)events;
    accept_take(container_of(source, struct acceptor, source), ACCEPT_BURST);
}

static void pause_over(struct loop_timer *timer)
{
    struct acceptor *a = container_of(timer, struct acceptor, pause);

    if (a->worker->draining || a->source.fd >= 0)
        return;
    if (loop_add(&a->worker->loop, &a->source, a->fd, EPOLLIN) < 0)
        loop_timer_set(&a->worker->loop, &a->pause, ACCEPT_PAUSE_MS);
}

static void init(struct acceptor *a, struct worker *worker, int fd, uint64_t index)
{
    *a = (struct acceptor){.worker = worker, .fd = fd, .listen = &worker->conf->listen[index]};
    a->source.ready = accept_ready;
    a->source.fd = -1;
    a->pause.fire = pause_over;
    /* Accepted sockets inherit these options: one call here instead of one for each. */
    tcp_prepare(fd, worker->conf->tcp.keepalive_ms, worker->conf->tcp.user_ms);
}

int accept_init(struct worker *worker)
{
    const struct heritage *heritage = worker->heritage;

    worker->acceptors = calloc(heritage->nlisteners, sizeof *worker->acceptors);
    if (!worker->acceptors)
        return -1;
    for (uint32_t i = 0; i < heritage->nlisteners; i++)
        init(&worker->acceptors[i], worker, heritage->listener[i].fd,
             heritage->listener[i].index);
    return 0;
}

/* May it be served? Clients of TLS listeners wait until the names have certificates. */
static bool may_serve(const struct acceptor *a, bool named)
{
    return !a->listen->tls || (named && tls_engine_ready(a->worker->tls));
}

static int start(struct acceptor *a, bool named)
{
    if (a->fd < 0 || a->source.fd >= 0 || loop_timer_armed(&a->pause) || !may_serve(a, named))
        return 0;
    return loop_add(&a->worker->loop, &a->source, a->fd, EPOLLIN);
}

int accept_start(struct worker *worker, bool named)
{
    if (worker->draining)
        return 0;
    for (uint32_t i = 0; i < worker->heritage->nlisteners; i++)
        if (start(&worker->acceptors[i], named) < 0)
            return -1;
    for (struct acceptor *a = worker->lent; a; a = a->next)
        if (start(a, named) < 0)
            return -1;
    return 0;
}

/* last: no other process serves it. A connection that comes between the last accept and the
 * close is refused a moment later than it would be anyway. */
static void stop(struct acceptor *a, bool last)
{
    if (last && a->fd >= 0 && may_serve(a, true))
        accept_take(a, ACCEPT_LAST);
    loop_timer_cancel(&a->pause);
    loop_del(&a->worker->loop, &a->source);
    fd_close(&a->fd);
}

static bool accept_is_last(const struct acceptor *a, uint64_t last)
{
    return last >> (a->listen - a->worker->conf->listen) & 1;
}

void accept_stop(struct worker *worker, uint64_t last)
{
    for (uint32_t i = 0; i < worker->heritage->nlisteners; i++)
        stop(&worker->acceptors[i], accept_is_last(&worker->acceptors[i], last));
    while (worker->lent) {
        struct acceptor *a = worker->lent;

        worker->lent = a->next;
        stop(a, accept_is_last(a, last));
        free(a);
    }
}

void accept_lend(struct worker *worker, uint32_t slot, uint64_t index, int fd, bool once)
{
    struct acceptor *a = NULL;

    if (fd >= 0 && index < worker->conf->n_listen && !worker->draining)
        a = calloc(1, sizeof *a);
    if (!a) { /* they wait for their own worker, or another one gets the socket */
        fd_close(&fd);
        return;
    }
    init(a, worker, fd, index);
    a->slot = slot;
    if (once) {
        stop(a, true);
        free(a);
        return;
    }
    a->next = worker->lent;
    worker->lent = a;
    /* A worker that still waits for certificates is not chosen for this. */
    if (start(a, true) < 0)
        log_warn("cannot serve a socket of worker %u: %s", slot, strerror(errno));
}

void accept_return(struct worker *worker, uint32_t slot)
{
    for (struct acceptor **at = &worker->lent; *at;) {
        struct acceptor *a = *at;

        if (a->slot != slot) {
            at = &a->next;
            continue;
        }
        *at = a->next;
        stop(a, false);
        free(a);
    }
}
