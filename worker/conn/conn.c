#include "worker/conn/conn.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "worker/conn/conn_state.h"
#include "worker/conn/h1.h"
#include "worker/core/clients.h"
#include "worker/core/core.h"
#include "worker/tls/tls.h"

enum {
    IDLE_LOOKS_MAX = 8, /* idle connections to check, to find one that may be closed */
    CONN_TURN_MS = 50,  /* by then the loop has given each client its turn */
};

#define CONN_OF(member, field) \
    ((struct conn *)(void *)((char *)(member)-offsetof(struct conn, field)))

static void conn_run(struct conn *c);
static void conn_ready(struct loop_source *source, uint32_t events);
static void conn_timer_fired(struct loop_timer *timer);
static bool has_asked(const struct conn *c);

/* ---- life */

static void count_conns(struct worker *worker)
{
    atomic_store_explicit(&worker->row->connections, worker->nconns - worker->nwatchers,
                          memory_order_relaxed);
}

void conn_open(struct worker *worker, int fd, const struct conf_listen *listen,
               const struct sockaddr *from, socklen_t len)
{
    struct conn *c = mempool_acquire(&worker->conns);

    if (!c) {
        close(fd);
        return;
    }
    memset(c, 0, sizeof *c);
    c->worker = worker;
    c->protocol = &h1_protocol;
    c->protocol->init(c);
    c->source.ready = conn_ready;
    c->source.fd = -1;
    c->timer.fire = conn_timer_fired;
    c->peer.listen = listen;
    c->peer.accepted_us = worker->loop.now_us;
    peer_name(&c->peer, worker->conf, from, len);
    c->state = conn_proxied(listen, from) ? CONN_PROXY
               : listen->tls              ? CONN_HANDSHAKE
                                          : CONN_IDLE;
    if (c->state != CONN_PROXY && !conn_admits(c)) {
        mempool_return(&worker->conns, c);
        close(fd);
        return;
    }
    if (stream_init(&c->stream, fd, listen->tls ? worker->tls : NULL) < 0 ||
        loop_add(&worker->loop, &c->source, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) <
            0) {
        stream_release(&c->stream);
        clients_disconnect(c->peer.client);
        mempool_return(&worker->conns, c);
        close(fd);
        return;
    }
    if (c->stream.tls && listen->http2)
        tls_conn_offer_h2(c->stream.tls);
    c->peer.tls = c->stream.tls;
    if (listen->client_cert != CONF_CLIENT_CERT_NONE && c->stream.tls)
        tls_conn_ask_client(c->stream.tls, listen->index);
    conn_arm_wait(c);
    conn_append(&worker->all_conns, &c->link);
    conn_settle(c);
    worker->nconns++;
    if (conn_of_status(c)) {
        conn_append(&worker->status_conns, &c->idle);
        worker->nwatchers++;
    } else {
        count_add(&worker->row->connections_total, 1);
    }
    count_conns(worker);
}

static void conn_free(struct conn *c)
{
    struct worker *worker = c->worker;
    bool watcher = conn_of_status(c);

    CHECK(!c->scheduled);
    loop_timer_cancel(&c->timer);
    conn_take_out(&c->link);
    if (c->idle.next)
        conn_take_out(&c->idle);
    conn_waits(c, 0);
    stream_release(&c->stream);
    loop_close(&worker->loop, &c->source);
    c->protocol->release(c);
    clients_disconnect(c->peer.client);
    mempool_return(&worker->conns, c);
    worker->nconns--;
    worker->nwatchers -= watcher;
    count_conns(worker);
    worker_left(worker);
}

void conns_run(struct worker *worker)
{
    struct conn *c = worker->run_first, *next;

    /* Clients that are added from here on run in the next round, so that one that could always
     * run lets events in between. */
    worker->run_first = worker->run_last = NULL;
    for (; c; c = next) {
        next = c->run_next;
        c->scheduled = false;
        conn_run(c);
    }
}

static bool conn_flush(struct conn *c)
{
    ssize_t waiting = stream_flush(&c->stream);

    if (waiting < 0) {
        c->broken = true;
        conn_close_now(c, EXCHANGE_END_CLIENT, "the client went away");
        return false;
    }
    if (waiting > 0) {
        conn_waits(c, (size_t)waiting);
        /* The backend continues when half of the buffer is free, not at each byte. */
        if (conn_has_room(c) && c->waiting <= c->worker->conf->limits.response_buffer / 2)
            c->protocol->writable(c, false);
        return false;
    }
    conn_flushed(c);
    if (c->end_due)
        conn_end_output(c);
    c->protocol->writable(c, true);
    return true;
}

/* Its deadline has passed while bytes wait for it: RST, because the response is incomplete. */
static void cut_reader(struct conn *c, const char *why)
{
    conn_offend(c);
    c->protocol->cut(c, EXCHANGE_END_TIMEOUT, why);
    c->cut = true;
    c->writing = false;
}

static void conn_run(struct conn *c)
{
    bool more = true;

    c->runs = true;
    /* What one read brought is handled before the next read, so that a client that pipelines
     * without end gets no more than its share. */
    for (int round = 0; more && c->state != CONN_CLOSED; round++) {
        if (round == WORKER_ROUNDS * 4) {
            conn_schedule(c);
            break;
        }
        more = conn_step(c);
    }
    c->runs = false;
    conn_settle(c);
    if (c->stream.yielded && c->state != CONN_CLOSED)
        conn_schedule(c);
    c->stream.yielded = false;
    if (c->state == CONN_CLOSED && !c->scheduled)
        conn_free(c);
}

/* ---- events */

static void conn_ready(struct loop_source *source, uint32_t events)
{
    struct conn *c = CONN_OF(source, source);

    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        stream_event(&c->stream, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    /* After our own FIN, HUP only means that the client's FIN has come as well. */
    if ((events & EPOLLERR) || ((events & EPOLLHUP) && !c->ended))
        c->broken = true;
    if (c->writing && (events & EPOLLOUT))
        conn_flush(c);
    else if (events & EPOLLOUT)
        stream_flush(&c->stream); /* of a handshake or alert; the next read finds errors */
    conn_run(c);
}

static void conn_timer_fired(struct loop_timer *timer)
{
    struct conn *c = CONN_OF(timer, timer);

    /* A drain gives little time: what has come, but had no turn in a busy worker, is read
     * first. */
    if (c->worker->draining && c->state <= CONN_HEAD && has_asked(c)) {
        conn_arm(c, CONN_TURN_MS);
        return;
    }
    switch ((enum conn_state)c->state) {
    case CONN_PROXY:
        conn_proxy_failed(c, "its PROXY header did not come in time");
        break;
    case CONN_HANDSHAKE:
        conn_handshake_failed(c, HANDSHAKE_TIMEOUT, "not done in time");
        break;
    case CONN_IDLE:
        c->protocol->close(c);
        break;
    case CONN_HEAD:
        c->protocol->late(c);
        break;
    case CONN_EXCHANGE:
        if (c->writing) {
            const char *why = conn_late(c);

            if (why)
                cut_reader(c, why);
        } else {
            c->protocol->late(c);
        }
        break;
    case CONN_LINGER:
    case CONN_CLOSED:
        c->state = CONN_CLOSED;
        break;
    }
    conn_run(c);
}

/* ---- all clients */

/* Has it sent something that it had no turn to handle yet? */
static bool has_asked(const struct conn *c)
{
    char byte;

    return c->scheduled || c->stream.readable ||
           recv(c->source.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool conns_make_room(struct worker *worker)
{
    struct loop_link *list = &worker->idle_conns;

    for (int tried = 0; tried < IDLE_LOOKS_MAX && list->next != list; tried++) {
        struct conn *c = CONN_OF(list->next, idle);

        if (!has_asked(c)) {
            c->protocol->close(c);
            conn_run(c);
            count_add(&worker->row->connections_reused, 1);
            return true;
        }
        conn_listed(c, list); /* it has a request to come: to the end of the list */
    }
    return false;
}

/* ---- requests that do not come to the end of their heads */

static uint64_t began_us(const struct conn *c)
{
    return c->state == CONN_HEAD ? c->head_us : c->peer.accepted_us;
}

/* The oldest of a list that lets others wait, and itself waits for its client. A younger one
 * may just not have come to its end yet: a packet was lost, or many came at once. */
static struct conn *unfinished(struct worker *worker, const struct loop_link *list)
{
    struct loop_link *at = list->next;

    for (int looks = 0; looks < IDLE_LOOKS_MAX && at != list; looks++, at = at->next) {
        struct conn *c = CONN_OF(at, idle);

        if (worker->loop.now_us - began_us(c) < WORKER_HEAD_MS * UINT64_C(1000))
            break;
        if (!c->runs && !has_asked(c))
            return c;
    }
    return NULL;
}

/* Holds no buffer from here on. */
static void refuse_unfinished(struct conn *c, const char *why)
{
    struct worker_row *row = c->worker->row;

    count_add(&row->heads_dropped, 1);
    atomic_store_explicit(&row->heads_full_ms, c->worker->loop.now_ms, memory_order_relaxed);
    conn_listed(c, NULL);
    if (c->state == CONN_HEAD)
        c->protocol->drop_head(c, why);
}

bool conns_drop_unfinished(struct worker *worker)
{
    struct conn *fresh = unfinished(worker, &worker->new_conns);
    struct conn *c = unfinished(worker, &worker->head_conns);

    if (!c || (fresh && began_us(fresh) < began_us(c)))
        c = fresh;
    if (!c)
        return false;
    refuse_unfinished(c, "an incomplete request made room for others (limits.connections)");
    c->protocol->close(c);
    conn_run(c);
    return true;
}

bool conns_end_old_head(struct worker *worker)
{
    static struct log_gate gate;
    struct conn *c = unfinished(worker, &worker->head_conns);

    if (!c)
        return false;
    if (log_gate_open(&gate))
        log_warn("clients that do not complete their requests have used up limits.memory: the "
                 "oldest ones get 408");
    refuse_unfinished(c, "an incomplete request made room for others (limits.memory)");
    conn_schedule(c);
    return true;
}

/* ---- clients of status listeners */

/* The oldest one that waits for nothing but its own client; if there is none, the oldest one.
 */
static struct conn *oldest_status_conn(struct worker *worker)
{
    struct loop_link *list = &worker->status_conns;

    for (struct loop_link *at = list->next; at != list; at = at->next) {
        struct conn *c = CONN_OF(at, idle);

        if (c->writing || !has_asked(c))
            return c;
    }
    return CONN_OF(list->next, idle);
}

bool conns_make_status_room(struct worker *worker)
{
    const struct loop_link *list = &worker->status_conns;
    struct conn *c;

    if (list->next == list)
        return false;
    c = oldest_status_conn(worker);
    conn_close_now(c, EXCHANGE_END_PROXY, "made room for another client of a status listener");
    if (!c->scheduled)
        conn_run(c);
    else
        conns_run(worker);
    return true;
}

void conns_drain(struct worker *worker)
{
    struct loop_link *at = worker->all_conns.next;

    for (; at != &worker->all_conns; at = at->next) {
        struct conn *c = CONN_OF(at, link);

        if (c->state <= CONN_HANDSHAKE)
            conn_arm(c, WORKER_DRAIN_IDLE_MS);
        else
            c->protocol->drain(c);
    }
}

void conns_close_all(struct worker *worker)
{
    while (worker->all_conns.next != &worker->all_conns) {
        struct conn *c = CONN_OF(worker->all_conns.next, link);

        conn_close_now(c, EXCHANGE_END_PROXY, "pasgate stops");
        conns_run(worker);
        /* close_now() with no exchange schedules nothing. */
        if (worker->all_conns.next == &c->link)
            conn_run(c);
    }
}
