/* Lists and the deadline of a client, and whether it may come in; see worker/conn/conn_state.h.
 */
#include "base/conf/conf.h"
#include "base/conf/networks.h"
#include "base/log.h"
#include "worker/conn/conn_state.h"
#include "worker/core/clients.h"
#include "worker/core/core.h"

void conn_append(struct loop_link *list, struct loop_link *link)
{
    link->prev = list->prev;
    link->next = list;
    link->prev->next = link->next->prev = link;
}

void conn_take_out(struct loop_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->prev = link->next = NULL;
}

bool conn_of_status(const struct conn *c)
{
    return c->peer.listen->serve == CONF_SERVE_STATUS;
}

/* By the list of the listener. */
static bool is_listed(const struct conn *c)
{
    static struct log_gate gate;
    const struct peer *peer = &c->peer;

    if (peer->listen->n_clients == 0 || peer->trusted ||
        conf_networks_admit(peer->listen->clients, peer->listen->n_clients, &peer->address.any))
        return true;
    count_add(&c->worker->row->connections_denied, 1);
    if (log_wants(LOG_LEVEL_INFO) && log_gate_open(&gate))
        log_info("connections to %s closed, such as from %s: clients of that listener does not "
                 "admit them",
                 peer->listen->address, peer->ip);
    return false;
}

bool conn_admits(struct conn *c)
{
    if (!is_listed(c))
        return false;
    return conn_of_status(c) ||
           clients_connect(c->worker, &c->peer.address.any, &c->peer.client) == CLIENT_WITHIN;
}

void conn_offend(struct conn *c)
{
    clients_offend(c->worker, c->peer.client);
}

void conn_listed(struct conn *c, struct loop_link *list)
{
    if (c->listed)
        conn_take_out(&c->idle);
    c->listed = list;
    if (list)
        conn_append(list, &c->idle);
}

static struct loop_link *list_of(const struct conn *c)
{
    switch ((enum conn_state)c->state) {
    case CONN_PROXY:
    case CONN_HANDSHAKE:
        return &c->worker->new_conns;
    case CONN_IDLE:
        return c->peer.requests ? &c->worker->idle_conns : &c->worker->new_conns;
    case CONN_HEAD:
        return &c->worker->head_conns;
    case CONN_EXCHANGE:
    case CONN_LINGER:
    case CONN_CLOSED:
        break;
    }
    return NULL;
}

void conn_settle(struct conn *c)
{
    struct loop_link *list = list_of(c);

    if (list != c->listed && !conn_of_status(c))
        conn_listed(c, list);
}

void conn_asked(struct conn *c)
{
    if (!conn_of_status(c))
        return;
    conn_take_out(&c->idle);
    conn_append(&c->worker->status_conns, &c->idle);
}

void conn_arm(struct conn *c, uint32_t ms)
{
    if (ms)
        loop_timer_set(&c->worker->loop, &c->timer, ms);
    else
        loop_timer_cancel(&c->timer);
}

void conn_arm_wait(struct conn *c)
{
    const struct conf_timeouts *timeouts = &c->worker->conf->timeouts;
    uint32_t ms = timeouts->header_ms;

    if (c->state <= CONN_HANDSHAKE)
        ms = timeouts->handshake_ms;
    else if (c->state == CONN_IDLE && c->peer.requests)
        ms = timeouts->idle_ms;
    conn_arm(c, c->worker->draining && ms > WORKER_DRAIN_IDLE_MS ? WORKER_DRAIN_IDLE_MS : ms);
}

void conn_schedule(struct conn *c)
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
