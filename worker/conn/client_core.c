/* Lists and the deadline of a client; see worker/conn/client_state.h. */
#include "base/conf/conf.h"
#include "worker/conn/client_state.h"
#include "worker/core/core.h"

void client_append(struct loop_link *list, struct loop_link *link)
{
    link->prev = list->prev;
    link->next = list;
    link->prev->next = link->next->prev = link;
}

void client_take_out(struct loop_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->prev = link->next = NULL;
}

bool client_of_status(const struct client *c)
{
    return c->peer.listen->serve == CONF_SERVE_STATUS;
}

void client_listed(struct client *c, struct loop_link *list)
{
    if (c->listed)
        client_take_out(&c->idle);
    c->listed = list;
    if (list)
        client_append(list, &c->idle);
}

static struct loop_link *list_of(const struct client *c)
{
    switch ((enum client_state)c->state) {
    case CLIENT_HANDSHAKE:
        return &c->worker->new_clients;
    case CLIENT_IDLE:
        return c->peer.requests ? &c->worker->idle_clients : &c->worker->new_clients;
    case CLIENT_HEAD:
        return &c->worker->head_clients;
    case CLIENT_EXCHANGE:
    case CLIENT_LINGER:
    case CLIENT_CLOSED:
        break;
    }
    return NULL;
}

void client_settle(struct client *c)
{
    struct loop_link *list = list_of(c);

    if (list != c->listed && !client_of_status(c))
        client_listed(c, list);
}

void client_asked(struct client *c)
{
    if (!client_of_status(c))
        return;
    client_take_out(&c->idle);
    client_append(&c->worker->status_clients, &c->idle);
}

void client_arm(struct client *c, uint32_t ms)
{
    if (ms)
        loop_timer_set(&c->worker->loop, &c->timer, ms);
    else
        loop_timer_cancel(&c->timer);
}

void client_arm_wait(struct client *c)
{
    const struct conf_timeouts *timeouts = &c->worker->conf->timeouts;
    uint32_t ms = timeouts->header_ms;

    if (c->state == CLIENT_HANDSHAKE)
        ms = timeouts->handshake_ms;
    else if (c->state == CLIENT_IDLE && c->peer.requests)
        ms = timeouts->idle_ms;
    client_arm(c, c->worker->draining && ms > WORKER_DRAIN_IDLE_MS ? WORKER_DRAIN_IDLE_MS : ms);
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
