#include "worker/client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/conf.h"
#include "base/log.h"
#include "worker/box.h"
#include "worker/client_state.h"
#include "worker/core.h"
#include "worker/tls.h"

#define CLIENT_OF(member, field) \
    ((struct client *)(void *)((char *)(member)-offsetof(struct client, field)))

static void run(struct client *c);
static void ready(struct loop_source *source, uint32_t events);
static void timer_fired(struct loop_timer *timer);

/* ---- life */

static void name_peer(struct peer *peer, const struct sockaddr *from, socklen_t len)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;

    memcpy(&peer->address, from, len < sizeof peer->address ? len : sizeof peer->address);
    /* A dual-stack listener shows IPv4 as ::ffff:a.b.c.d: plain IPv4 from here on. */
    if (from->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = six->sin6_port};

        memcpy(&four.sin_addr, &six->sin6_addr.s6_addr[12], 4);
        peer->address.v4 = four;
    }
    if (peer->address.any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &peer->address.v4.sin_addr, peer->ip, sizeof peer->ip);
        peer->port = ntohs(peer->address.v4.sin_port);
    } else {
        inet_ntop(AF_INET6, &peer->address.v6.sin6_addr, peer->ip, sizeof peer->ip);
        peer->port = ntohs(peer->address.v6.sin6_port);
    }
    peer->ip_len = (uint8_t)strlen(peer->ip);
}

void client_arm(struct client *c, uint32_t ms)
{
    if (ms)
        loop_timer_set(&c->worker->loop, &c->timer, ms);
    else
        loop_timer_cancel(&c->timer);
}

static void count_clients(struct worker *worker)
{
    atomic_store_explicit(&worker->row->connections, worker->nclients, memory_order_relaxed);
}

void client_open(struct worker *worker, int fd, const struct conf_listen *listen,
                 const struct sockaddr *from, socklen_t len)
{
    struct client *c = pool_take(&worker->clients);

    if (!c) {
        close(fd);
        return;
    }
    memset(c, 0, sizeof *c);
    c->worker = worker;
    c->source.ready = ready;
    c->source.fd = -1;
    c->timer.fire = timer_fired;
    if (stream_init(&c->stream, fd, listen->tls ? worker->tls : NULL) < 0 ||
        loop_add(&worker->loop, &c->source, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) <
            0) {
        stream_release(&c->stream);
        pool_give(&worker->clients, c);
        close(fd);
        return;
    }
    c->peer.listen = listen;
    c->peer.tls = c->stream.tls;
    c->peer.accepted_us = worker->loop.now_us;
    name_peer(&c->peer, from, len);
    c->peer.trusted = conf_trusts(worker->conf, &c->peer.address.any);
    c->state = c->stream.tls ? CLIENT_HANDSHAKE : CLIENT_IDLE;
    client_arm(c, c->stream.tls ? worker->conf->timeouts.handshake_ms
                                : worker->conf->timeouts.header_ms);
    c->link.prev = worker->all_clients.prev;
    c->link.next = &worker->all_clients;
    c->link.prev->next = c->link.next->prev = &c->link;
    worker->nclients++;
    count_add(&worker->row->connections_total, 1);
    count_clients(worker);
}

static void client_free(struct client *c)
{
    struct worker *worker = c->worker;

    CHECK(!c->exchange && !c->scheduled);
    loop_timer_cancel(&c->timer);
    c->link.prev->next = c->link.next;
    c->link.next->prev = c->link.prev;
    stream_release(&c->stream);
    loop_close(&worker->loop, &c->source);
    inbox_free(worker, c->inbox);
    inbox_free(worker, c->next);
    pool_give(&worker->clients, c);
    worker->nclients--;
    count_clients(worker);
    worker_left(worker);
}

void client_schedule(struct client *c)
{
    struct worker *worker = c->worker;

    if (c->scheduled)
        return;
    c->scheduled = true;
    c->run_next = NULL;
    if (worker->run_last)
        worker->run_last->run_next = c;
    else
        worker->run_first = c;
    worker->run_last = c;
}

void clients_run(struct worker *worker)
{
    struct client *c = worker->run_first, *next;

    /* Those that come into the list from here on have the next round: a client
     * that could run for ever lets events in between. */
    worker->run_first = worker->run_last = NULL;
    for (; c; c = next) {
        next = c->run_next;
        c->scheduled = false;
        run(c);
    }
}

/* The end: nothing more is to be sent. */
static void close_now(struct client *c)
{
    if (c->exchange)
        exchange_abort(c->exchange, 0, "the client went away");
    c->state = CLIENT_CLOSED;
}

static bool flush(struct client *c)
{
    ssize_t waiting = stream_flush(&c->stream);

    if (waiting < 0) {
        c->broken = true;
        close_now(c);
        return false;
    }
    if (waiting > 0) {
        client_arm(c, c->worker->conf->timeouts.send_ms);
        return false;
    }
    c->writing = false;
    client_arm(c, 0);
    if (c->exchange)
        exchange_carrier_writable(c->exchange);
    return true;
}

static void run(struct client *c)
{
    bool more = true;

    /* A read of the socket is answered before the next one is begun, so that a
     * client that pipelines without end gets no more than its share. */
    for (int round = 0; more && c->state != CLIENT_CLOSED; round++) {
        if (round == WORKER_ROUNDS * 4) {
            client_schedule(c);
            return;
        }
        more = client_step(c);
    }
    if (c->state == CLIENT_CLOSED && !c->scheduled)
        client_free(c);
}

/* ---- events */

static void ready(struct loop_source *source, uint32_t events)
{
    struct client *c = CLIENT_OF(source, source);

    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        stream_event(&c->stream, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    if (events & (EPOLLHUP | EPOLLERR))
        c->broken = true;
    if (c->state == CLIENT_HANDSHAKE && (events & EPOLLOUT))
        stream_flush(&c->stream);
    else if (c->writing && (events & EPOLLOUT))
        flush(c);
    run(c);
}

static void timer_fired(struct loop_timer *timer)
{
    struct client *c = CLIENT_OF(timer, timer);

    switch ((enum client_state)c->state) {
    case CLIENT_HANDSHAKE:
        count_add(&c->worker->row->handshake_errors, 1);
        c->state = CLIENT_CLOSED;
        break;
    case CLIENT_IDLE:
        stream_shutdown(&c->stream, false);
        c->state = CLIENT_CLOSED;
        break;
    case CLIENT_HEAD:
        client_refuse_head(c, HTTP1_E_HEAD_TIMEOUT);
        break;
    case CLIENT_EXCHANGE:
        if (c->writing || !c->exchange) {
            c->broken = true;
            close_now(c);
        } else if (c->want_body) {
            exchange_abort(c->exchange, 408, "the request's body stopped coming");
        }
        break;
    case CLIENT_LINGER:
    case CLIENT_CLOSED:
        c->state = CLIENT_CLOSED;
        break;
    }
    run(c);
}

/* ---- all of them */

void clients_drain(struct worker *worker)
{
    struct loop_link *at = worker->all_clients.next;

    for (; at != &worker->all_clients; at = at->next) {
        struct client *c = CLIENT_OF(at, link);

        if (c->state == CLIENT_IDLE)
            client_arm(c, WORKER_DRAIN_IDLE_MS);
    }
}

void clients_close_all(struct worker *worker)
{
    while (worker->all_clients.next != &worker->all_clients) {
        struct client *c = CLIENT_OF(worker->all_clients.next, link);

        close_now(c);
        clients_run(worker);
        /* close_now() with no exchange schedules nothing. */
        if (worker->all_clients.next == &c->link)
            run(c);
    }
}
