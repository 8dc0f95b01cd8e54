#include "worker/conn/client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "worker/conn/client_state.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"
#include "worker/tls/tls.h"

enum {
    IDLE_LOOKS_MAX = 8,  /* idle connections to check, to find one that may be closed */
    CLIENT_TURN_MS = 50, /* by then the loop has given each client its turn */
};

#define CLIENT_OF(member, field) \
    ((struct client *)(void *)((char *)(member)-offsetof(struct client, field)))

static void client_run(struct client *c);
static void client_ready(struct loop_source *source, uint32_t events);
static void client_timer_fired(struct loop_timer *timer);
static bool has_asked(const struct client *c);

/* ---- life */

static void name_peer(struct peer *peer, const struct sockaddr *from, socklen_t len)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;

    memcpy(&peer->address, from, len < sizeof peer->address ? len : sizeof peer->address);
    /* A dual-stack listener shows IPv4 as ::ffff:a.b.c.d; use plain IPv4 from here on. */
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

static void count_clients(struct worker *worker)
{
    atomic_store_explicit(&worker->row->connections, worker->nclients - worker->nwatchers,
                          memory_order_relaxed);
}

void client_open(struct worker *worker, int fd, const struct conf_listen *listen,
                 const struct sockaddr *from, socklen_t len)
{
    struct client *c = mempool_acquire(&worker->clients);

    if (!c) {
        close(fd);
        return;
    }
    memset(c, 0, sizeof *c);
    c->worker = worker;
    c->transport.ops = &client_ops;
    c->transport.peer = &c->peer;
    c->source.ready = client_ready;
    c->source.fd = -1;
    c->timer.fire = client_timer_fired;
    if (stream_init(&c->stream, fd, listen->tls ? worker->tls : NULL) < 0 ||
        loop_add(&worker->loop, &c->source, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) <
            0) {
        stream_release(&c->stream);
        mempool_return(&worker->clients, c);
        close(fd);
        return;
    }
    c->peer.listen = listen;
    c->peer.tls = c->stream.tls;
    c->peer.accepted_us = worker->loop.now_us;
    name_peer(&c->peer, from, len);
    c->peer.trusted = conf_trusts(worker->conf, &c->peer.address.any);
    c->state = c->stream.tls ? CLIENT_HANDSHAKE : CLIENT_IDLE;
    client_arm_wait(c);
    client_append(&worker->all_clients, &c->link);
    client_settle(c);
    worker->nclients++;
    if (client_of_status(c)) {
        client_append(&worker->status_clients, &c->idle);
        worker->nwatchers++;
    } else {
        count_add(&worker->row->connections_total, 1);
    }
    count_clients(worker);
}

static void client_free(struct client *c)
{
    struct worker *worker = c->worker;

    CHECK(!c->transport.exchange && !c->scheduled);
    loop_timer_cancel(&c->timer);
    client_take_out(&c->link);
    if (c->idle.next)
        client_take_out(&c->idle);
    client_waits(c, 0);
    stream_release(&c->stream);
    loop_close(&worker->loop, &c->source);
    head_buffer_free(worker, c->head_buffer);
    head_buffer_free(worker, c->next);
    worker->requests->client_gone(&c->transport.pins);
    mempool_return(&worker->clients, c);
    worker->nclients--;
    worker->nwatchers -= client_of_status(c);
    count_clients(worker);
    worker_left(worker);
}

void clients_run(struct worker *worker)
{
    struct client *c = worker->run_first, *next;

    /* Clients that are added from here on run in the next round, so that one that could always
     * run lets events in between. */
    worker->run_first = worker->run_last = NULL;
    for (; c; c = next) {
        next = c->run_next;
        c->scheduled = false;
        client_run(c);
    }
}

/* The end: nothing more is sent. FIN would make a partial response look complete. */
static void close_now(struct client *c, enum exchange_end end, const char *why)
{
    if (c->transport.exchange || c->writing)
        stream_reset(&c->stream);
    if (c->transport.exchange)
        c->worker->requests->cut(c->transport.exchange, end, why);
    c->state = CLIENT_CLOSED;
}

static bool client_flush(struct client *c)
{
    ssize_t waiting = stream_flush(&c->stream);

    if (waiting < 0) {
        c->broken = true;
        close_now(c, EXCHANGE_END_CLIENT, "the client went away");
        return false;
    }
    if (waiting > 0) {
        client_waits(c, (size_t)waiting);
        /* The backend continues when half of the buffer is free, not at each byte. */
        if (c->transport.exchange && client_has_room(c) &&
            c->waiting <= c->worker->conf->limits.response_buffer / 2)
            c->worker->requests->writable(c->transport.exchange, false);
        return false;
    }
    client_flushed(c);
    if (c->end_due)
        client_end_output(c);
    if (c->transport.exchange)
        c->worker->requests->writable(c->transport.exchange, true);
    return true;
}

/* Its deadline has passed while bytes wait for it: RST, because the response is incomplete. */
static void cut_reader(struct client *c, const char *why)
{
    if (c->transport.exchange)
        c->worker->requests->cut(c->transport.exchange, EXCHANGE_END_TIMEOUT, why);
    c->cut = true;
    c->writing = false;
}

static void cut_sender(struct client *c)
{
    const struct conf *conf = c->worker->conf;
    uint32_t left = pace_left(&c->sends, c->worker->loop.now_ms, c->transport.body_ms,
                              conf->limits.min_body_rate);

    const char *why = left > 1 ? "the request body stopped arriving"
                               : "the request body arrived too slowly (limits.min_body_rate)";

    if (client_begin_left(c) <= 1)
        why = "no request body after 100 Continue";
    count_add(&c->worker->row->slow_bodies, 1);
    c->worker->requests->abort(c->transport.exchange, 408, why);
}

static void head_timed_out(struct client *c)
{
    if (!c->worker->draining) {
        client_refuse_head(c, H1_E_HEAD_TIMEOUT);
        return;
    }
    client_refuse(c, 408, "the request was not complete when its worker had to end");
    c->body_done = false; /* what follows is read and discarded */
    c->state = CLIENT_EXCHANGE;
}

static void client_run(struct client *c)
{
    bool more = true;

    c->runs = true;
    /* What one read brought is handled before the next read, so that a client that pipelines
     * without end gets no more than its share. */
    for (int round = 0; more && c->state != CLIENT_CLOSED; round++) {
        if (round == WORKER_ROUNDS * 4) {
            client_schedule(c);
            break;
        }
        more = client_step(c);
    }
    c->runs = false;
    client_settle(c);
    if (c->stream.yielded && c->state != CLIENT_CLOSED)
        client_schedule(c);
    c->stream.yielded = false;
    if (c->state == CLIENT_CLOSED && !c->scheduled)
        client_free(c);
}

/* ---- events */

static void client_ready(struct loop_source *source, uint32_t events)
{
    struct client *c = CLIENT_OF(source, source);

    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        stream_event(&c->stream, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    /* After our own FIN, HUP only means that the client's FIN has come as well. */
    if ((events & EPOLLERR) || ((events & EPOLLHUP) && !c->ended))
        c->broken = true;
    if (c->writing && (events & EPOLLOUT))
        client_flush(c);
    else if (events & EPOLLOUT)
        stream_flush(&c->stream); /* of a handshake or alert; the next read finds errors */
    client_run(c);
}

static void client_timer_fired(struct loop_timer *timer)
{
    struct client *c = CLIENT_OF(timer, timer);

    /* A drain gives little time: what has come, but had no turn in a busy worker, is read
     * first. */
    if (c->worker->draining && c->state <= CLIENT_HEAD && has_asked(c)) {
        client_arm(c, CLIENT_TURN_MS);
        return;
    }
    switch ((enum client_state)c->state) {
    case CLIENT_HANDSHAKE:
        client_handshake_failed(c, HANDSHAKE_TIMEOUT, "not done in time");
        break;
    case CLIENT_IDLE:
        stream_shutdown(&c->stream, false);
        c->state = CLIENT_CLOSED;
        break;
    case CLIENT_HEAD:
        head_timed_out(c);
        break;
    case CLIENT_EXCHANGE:
        if (c->writing) {
            const char *why = client_late(c);

            if (why)
                cut_reader(c, why);
        } else if (!c->transport.exchange) {
            c->broken = true;
            close_now(c, EXCHANGE_END_TIMEOUT, "the client does not read the response");
        } else if (c->want_body) {
            cut_sender(c);
        }
        break;
    case CLIENT_LINGER:
    case CLIENT_CLOSED:
        c->state = CLIENT_CLOSED;
        break;
    }
    client_run(c);
}

/* ---- all clients */

/* Has it sent something that it had no turn to handle yet? */
static bool has_asked(const struct client *c)
{
    char byte;

    return c->scheduled || c->stream.readable ||
           recv(c->source.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool clients_make_room(struct worker *worker)
{
    struct loop_link *list = &worker->idle_clients;

    for (int tried = 0; tried < IDLE_LOOKS_MAX && list->next != list; tried++) {
        struct client *c = CLIENT_OF(list->next, idle);

        if (!has_asked(c)) {
            stream_shutdown(&c->stream, false);
            c->state = CLIENT_CLOSED;
            client_run(c);
            count_add(&worker->row->connections_reused, 1);
            return true;
        }
        client_listed(c, list); /* it has a request to come: to the end of the list */
    }
    return false;
}

/* ---- requests that do not come to the end of their heads */

static uint64_t began_us(const struct client *c)
{
    return c->state == CLIENT_HEAD ? c->head_us : c->peer.accepted_us;
}

/* The oldest of a list that lets others wait, and itself waits for its client. A younger one
 * may just not have come to its end yet: a packet was lost, or many came at once. */
static struct client *unfinished(struct worker *worker, const struct loop_link *list)
{
    struct loop_link *at = list->next;

    for (int looks = 0; looks < IDLE_LOOKS_MAX && at != list; looks++, at = at->next) {
        struct client *c = CLIENT_OF(at, idle);

        if (worker->loop.now_us - began_us(c) < WORKER_HEAD_MS * UINT64_C(1000))
            break;
        if (!c->runs && !has_asked(c))
            return c;
    }
    return NULL;
}

/* Holds no buffer from here on. */
static void refuse_unfinished(struct client *c, const char *why)
{
    struct worker_row *row = c->worker->row;

    count_add(&row->heads_dropped, 1);
    atomic_store_explicit(&row->heads_full_ms, c->worker->loop.now_ms, memory_order_relaxed);
    client_listed(c, NULL);
    if (c->state != CLIENT_HEAD)
        return;
    client_refuse(c, 408, why);
    c->body_done = false; /* what follows is read and discarded */
    c->state = CLIENT_EXCHANGE;
    head_buffer_free(c->worker, c->head_buffer);
    c->head_buffer = NULL;
}

bool clients_drop_unfinished(struct worker *worker)
{
    struct client *fresh = unfinished(worker, &worker->new_clients);
    struct client *c = unfinished(worker, &worker->head_clients);

    if (!c || (fresh && began_us(fresh) < began_us(c)))
        c = fresh;
    if (!c)
        return false;
    refuse_unfinished(c, "an incomplete request made room for others (limits.connections)");
    stream_shutdown(&c->stream, false);
    c->state = CLIENT_CLOSED;
    client_run(c);
    return true;
}

bool clients_end_old_head(struct worker *worker)
{
    static struct log_gate gate;
    struct client *c = unfinished(worker, &worker->head_clients);

    if (!c)
        return false;
    if (log_gate_open(&gate))
        log_warn("clients that do not complete their requests have used up limits.memory: the "
                 "oldest ones get 408");
    refuse_unfinished(c, "an incomplete request made room for others (limits.memory)");
    client_schedule(c);
    return true;
}

/* ---- clients of status listeners */

/* The oldest one that waits for nothing but its own client; if there is none, the oldest one.
 */
static struct client *oldest_status_client(struct worker *worker)
{
    struct loop_link *list = &worker->status_clients;

    for (struct loop_link *at = list->next; at != list; at = at->next) {
        struct client *c = CLIENT_OF(at, idle);

        if (c->writing || !has_asked(c))
            return c;
    }
    return CLIENT_OF(list->next, idle);
}

bool clients_make_status_room(struct worker *worker)
{
    const struct loop_link *list = &worker->status_clients;
    struct client *c;

    if (list->next == list)
        return false;
    c = oldest_status_client(worker);
    close_now(c, EXCHANGE_END_PROXY, "made room for another client of a status listener");
    if (!c->scheduled)
        client_run(c);
    else
        clients_run(worker);
    return true;
}

void clients_drain(struct worker *worker)
{
    struct loop_link *at = worker->all_clients.next;

    for (; at != &worker->all_clients; at = at->next) {
        struct client *c = CLIENT_OF(at, link);

        if (c->state == CLIENT_IDLE || c->state == CLIENT_HEAD || c->state == CLIENT_HANDSHAKE)
            client_arm(c, WORKER_DRAIN_IDLE_MS);
    }
}

void clients_close_all(struct worker *worker)
{
    while (worker->all_clients.next != &worker->all_clients) {
        struct client *c = CLIENT_OF(worker->all_clients.next, link);

        close_now(c, EXCHANGE_END_PROXY, "pasgate stops");
        clients_run(worker);
        /* close_now() with no exchange schedules nothing. */
        if (worker->all_clients.next == &c->link)
            client_run(c);
    }
}
