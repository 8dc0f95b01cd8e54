#include "worker/accept.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/log.h"
#include "worker/client.h"
#include "worker/core.h"
#include "worker/tls.h"

enum {
    ACCEPT_BURST = 32,     /* connections per turn; those that wait are told again */
    ACCEPT_PAUSE_MS = 100, /* without descriptors, trying at once would only spin */
};

struct acceptor {
    struct loop_source source;
    struct loop_timer pause;
    struct worker *worker;
    const struct conf_listen *listen;
    int fd;
};

static void pause_accept(struct acceptor *a, const char *why)
{
    static struct log_gate gate;

    if (log_gate_open(&gate))
        log_warn("accepting paused: %s", why);
    count_add(&a->worker->row->connections_refused, 1);
    loop_del(&a->worker->loop, &a->source);
    loop_timer_set(&a->worker->loop, &a->pause, ACCEPT_PAUSE_MS);
}

static void ready(struct loop_source *source, uint32_t events)
{
    struct acceptor *a =
        (struct acceptor *)((char *)source - offsetof(struct acceptor, source));
    struct worker *worker = a->worker;

    (void)events;
    for (int i = 0; i < ACCEPT_BURST; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        int fd;

        if (worker->nclients >= worker->conf->limits.connections) {
            pause_accept(a, "limits.connections reached");
            return;
        }
        fd = accept4(a->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            client_open(worker, fd, a->listen, (struct sockaddr *)&from, len);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accept(a, strerror(errno));
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return; /* EAGAIN; anything else is the network's and passes */
        }
    }
}

static void pause_over(struct loop_timer *timer)
{
    struct acceptor *a = (struct acceptor *)((char *)timer - offsetof(struct acceptor, pause));

    if (a->worker->draining || a->source.fd >= 0)
        return;
    if (loop_add(&a->worker->loop, &a->source, a->fd, EPOLLIN) < 0)
        loop_timer_set(&a->worker->loop, &a->pause, ACCEPT_PAUSE_MS);
}

int accept_init(struct worker *worker)
{
    const struct heritage *heritage = worker->heritage;

    worker->acceptors = calloc(heritage->nlisteners, sizeof *worker->acceptors);
    if (!worker->acceptors)
        return -1;
    for (uint32_t i = 0; i < heritage->nlisteners; i++) {
        struct acceptor *a = &worker->acceptors[i];
        int one = 1;

        a->worker = worker;
        a->fd = heritage->listener[i].fd;
        a->listen = &worker->conf->listen[heritage->listener[i].index];
        a->source.ready = ready;
        a->source.fd = -1;
        a->pause.fire = pause_over;
        /* Accepted sockets inherit it: one call here instead of one each. */
        setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    return 0;
}

int accept_start(struct worker *worker, bool named)
{
    for (uint32_t i = 0; i < worker->heritage->nlisteners && !worker->draining; i++) {
        struct acceptor *a = &worker->acceptors[i];
        bool waits = a->listen->tls && (!named || !tls_engine_ready(worker->tls));

        if (a->source.fd >= 0 || loop_timer_armed(&a->pause) || waits)
            continue;
        if (loop_add(&worker->loop, &a->source, a->fd, EPOLLIN) < 0)
            return -1;
    }
    return 0;
}

void accept_stop(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->heritage->nlisteners; i++) {
        loop_timer_cancel(&worker->acceptors[i].pause);
        loop_del(&worker->loop, &worker->acceptors[i].source);
    }
}
