#include "worker/proxy/exchange.h"

#include <errno.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/container.h"
#include "base/log.h"
#include "worker/core/clients.h"
#include "worker/core/core.h"
#include "worker/core/peer.h"
#include "worker/core/request_id.h"
#include "worker/proxy/attempt.h"
#include "worker/proxy/collecting.h"
#include "worker/proxy/exchange_stats.h"
#include "worker/proxy/hedge.h"
#include "worker/proxy/local_reply.h"
#include "worker/proxy/permit.h"
#include "worker/proxy/request.h"
#include "worker/proxy/retry.h"
#include "worker/proxy/retry_budget.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/upstream.h"

static void exchange_timer_fired(struct loop_timer *timer);

/* ---- life */

/* Counts it for its client: that of the connection, or the one that a trusted peer reports. */
static void find_client(struct exchange *x)
{
    struct client *client = x->peer->client;

    if (x->origin.hop >= 0 && x->peer->listen->serve != CONF_SERVE_STATUS)
        client = clients_find(x->worker, x->origin.address);
    x->over_limit = (uint8_t)clients_request(x->worker, client, &x->retry_s);
    if (x->over_limit == CLIENT_WITHIN)
        x->client = client;
}

static bool exchange_create(struct worker *worker, struct transport *transport)
{
    struct exchange *x = mempool_acquire_zeroed(&worker->exchanges);

    if (!x)
        return false;
    x->worker = worker;
    x->transport = transport;
    x->peer = transport->peer;
    x->request = transport->request;
    x->active = &x->attempt[0];
    x->attempt[0].exchange = x->attempt[1].exchange = x;
    x->timer.fire = exchange_timer_fired;
    x->at.begin = transport->begin_us;
    x->at.parsed = worker->loop.now_us;
    request_id_make(worker, x->id);
    exchange_find_origin(x);
    find_client(x);
    transport->exchange = x;
    transport->ntrailers = 0;
    transport->body_ms = worker->conf->timeouts.body_ms;
    transport->send_ms = worker->conf->timeouts.send_ms;
    exchange_stats_begin(x);
    return true;
}

/* ---- towards a backend */

/* Collects more of the body, or goes on to a backend. */
static void exchange_collect(struct exchange *x)
{
    if (!request_collects(x)) {
        collecting_leave(x);
        x->active->state = EXCHANGE_COLLECTING;
        if (!x->login) /* otherwise exchange_login_ended() goes on */
            attempt_join(x);
        return;
    }
    x->active->state = EXCHANGE_COLLECTING;
    collecting_wait(x);
    x->transport->ops->want_body(x->transport);
}

static void exchange_begin(struct exchange *x, const char *data, size_t n, bool last)
{
    x->body_done = last;
    x->bytes_in = n;
    x->expects = x->request->expect_continue && !last && !n;
    if (x->over_limit != CLIENT_WITHIN) {
        local_reply_over_limit(x);
        return;
    }
    if (!request_prepare(x, data, n))
        return;
    exchange_collect(x);
}

void exchange_login_ended(void *owner, int result)
{
    struct exchange *x = owner;

    if (permit_login(x, result) && !request_collects(x))
        attempt_join(x);
}

/* ---- the request's body */

static void collected(struct exchange *x, const char *data, size_t n)
{
    collecting_hold(x);
    if (!clients_may_hold(x->worker, x->client)) {
        clients_refuse_bytes(x->worker, x->client);
        x->over_limit = CLIENT_BYTES;
        x->retry_s = HEADERS_RETRY_AFTER_S;
        local_reply_over_limit(x);
        return;
    }
    if (request_add_body(x, data, n))
        exchange_collect(x);
    else
        exchange_fail(x, 503, EXCHANGE_END_PROXY, "proxy_internal_error", EXCHANGE_NO_MEMORY);
}

bool exchange_end_slow_body(struct worker *worker)
{
    static struct log_gate gate;
    struct exchange *x = collecting_slowest(worker);

    if (!x)
        return false;
    if (log_gate_open(&gate))
        log_warn(
            "request bodies that are still coming have filled their half of limits.memory, "
            "or other requests need the memory: the slowest ones get 408");
    count_add(&worker->row->slow_bodies, 1);
    atomic_store_explicit(&worker->row->bodies_full_ms, worker->loop.now_ms,
                          memory_order_relaxed);
    exchange_abort(x, 408, "the slowest request body made room for others (limits.memory)");
    return true;
}

static void exchange_body(struct exchange *x, char *data, size_t n, bool last)
{
    ssize_t waiting;

    x->bytes_in += n;
    if (x->active->state != EXCHANGE_TUNNEL) {
        if (x->bytes_in > x->route->body_bytes) {
            exchange_fail(x, 413, EXCHANGE_END_CLIENT, NULL, "body over the limit");
            return;
        }
        x->body_done = last;
        if (x->active->state == EXCHANGE_COLLECTING) {
            collected(x, data, n);
            return;
        }
        x->streamed = true;
        if (last || x->bytes_in >= x->route->request_buffer)
            retry_budget_expect_release(x);
        if (x->chunked)
            n = h1_chunk_frame(&data, n, last);
    } else {
        exchange_arm(x, exchange_idle_ms(x));
    }
    waiting = n ? upstream_send(x->active->upstream, data, n) : 0;
    if (waiting < 0) {
        /* An early response may still be there to read (case 58); the reading side finds it, or
         * the end. */
        x->no_reuse = x->client_ended = true;
        x->active->upstream->readable = x->active->upstream->hung_up = true;
        if (!x->blocked)
            upstream_resume(x->active->upstream);
        return;
    }
    count_add(&x->active->backend->cell->bytes_out, n);
    if (waiting == 0)
        attempt_writable(x);
    else if (x->active->state == EXCHANGE_SENDING)
        attempt_wait_for_room(x);
}

static void exchange_tunnel_ended(struct exchange *x)
{
    x->client_ended = x->no_reuse = true;
    if (x->backend_ended) {
        exchange_complete(x, true);
        return;
    }
    upstream_shutdown(x->active->upstream);
    if (!x->blocked)
        exchange_arm(x, exchange_idle_ms(x));
}

static void exchange_transport_writable(struct exchange *x, bool all)
{
    if (x->active->state == EXCHANGE_DELIVERING) {
        if (all)
            exchange_finish(x, true);
        return;
    }
    if (!x->blocked)
        return;
    x->blocked = false;
    if (x->active->upstream)
        upstream_resume(x->active->upstream);
}

static void exchange_timer_fired(struct loop_timer *timer)
{
    struct exchange *x = container_of(timer, struct exchange, timer);

    hedge_expire(x);
    switch ((enum exchange_state)x->active->state) {
    case EXCHANGE_QUEUED:
        if (x->affinity && x->affinity->health.state == HEALTH_UNKNOWN) {
            wait_queue_leave(x->worker, x->pool, &x->waiter);
            x->affinity = NULL;
            attempt_choose(x);
            return;
        }
        if (retry_budget_exceed(x)) {
            wait_queue_leave(x->worker, x->pool, &x->waiter);
            x->waiter.since_ms = 0;
            attempt_choose(x);
            return;
        }
        attempt_queue_timeout(x);
        return;
    case EXCHANGE_CONNECTING:
        if (x->hedge_due)
            hedge_start(x);
        else
            retry_connect_failed(x, ETIMEDOUT);
        return;
    case EXCHANGE_SENDING:
        if (x->expects && !upstream_waits(x->active->upstream)) {
            attempt_continue(x);
            return;
        }
        retry_no_response(x, "connection_write_timeout",
                          "the backend does not read the request");
        return;
    case EXCHANGE_WAITING:
        if (x->hedge_due) {
            hedge_start(x);
        } else {
            retry_no_response(x, "http_response_timeout",
                              "no first byte of the response in time");
        }
        return;
    case EXCHANGE_RESPONDING:
        retry_response_cut(x, true, "connection_read_timeout", "the response stopped arriving");
        return;
    case EXCHANGE_TUNNEL:
        exchange_cut(x, EXCHANGE_END_TIMEOUT, "the tunnel was idle for too long");
        return;
    case EXCHANGE_LOCAL:
    case EXCHANGE_COLLECTING: /* the transport's deadline applies */
    case EXCHANGE_DELIVERING:
        return;
    }
}

/* ---- what transports call */

static void exchange_no_memory(struct exchange *x, size_t n)
{
    x->bytes_in += n;
    exchange_fail(x, 503, EXCHANGE_END_PROXY, "proxy_internal_error", EXCHANGE_NO_MEMORY);
}

static bool exchange_owes_body(const struct exchange *x)
{
    return x->request->expect_continue && !x->bytes_in && x->active->backend;
}

static bool exchange_at_work(const struct exchange *x)
{
    return x->active->state == EXCHANGE_WAITING;
}

const struct request_ops exchange_requests = {
    .create = exchange_create,
    .begin = exchange_begin,
    .body = exchange_body,
    .tunnel_ended = exchange_tunnel_ended,
    .writable = exchange_transport_writable,
    .abort = exchange_abort,
    .cut = exchange_cut,
    .no_memory = exchange_no_memory,
    .hold = collecting_hold,
    .owes_body = exchange_owes_body,
    .at_work = exchange_at_work,
    .refused = exchange_stats_refused,
    .client_gone = upstream_close_pinned,
};
