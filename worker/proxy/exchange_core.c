/* The lower half of an exchange: how it holds and gives up what it has, and how it ends.
 * Nothing here decides (worker/proxy/exchange.h). */
#include <string.h>

#include "base/conf/conf.h"
#include "worker/core/buffers.h"
#include "worker/core/clients.h"
#include "worker/core/core.h"
#include "worker/core/peer.h"
#include "worker/login/login.h"
#include "worker/proxy/collecting.h"
#include "worker/proxy/exchange.h"
#include "worker/proxy/exchange_stats.h"
#include "worker/proxy/local_reply.h"
#include "worker/proxy/measured.h"
#include "worker/proxy/retry_budget.h"
#include "worker/proxy/sticky.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/fail_open.h"
#include "worker/upstream/upstream.h"

void exchange_find_origin(struct exchange *x)
{
    const struct peer *peer = x->peer;
    const struct origin_peer shown = {.address = &peer->address.any,
                                      .ip = peer_ip(peer),
                                      .server_port = peer->listen->port,
                                      .trusted = peer->trusted};

    origin_find(&x->origin, x->request, &shown, x->worker->conf);
}

void exchange_arm(struct exchange *x, uint32_t ms)
{
    /* Two attempts of a hedged exchange have one deadline (hedge_start()). */
    if (x->hedged && exchange_other(x)->upstream)
        return;
    if (ms)
        loop_timer_set(&x->worker->loop, &x->timer, ms);
    else
        loop_timer_cancel(&x->timer);
}

void exchange_join_running(struct attempt *a, struct backend_view *b)
{
    a->backend = b;
    a->running_prev = NULL;
    a->running_next = b->running;
    if (b->running)
        b->running->running_prev = a;
    b->running = a;
}

void exchange_unlink_running(struct attempt *a)
{
    struct backend_view *b = a->backend;

    if (b->walk == a)
        b->walk = a->running_next;
    if (a->running_prev)
        a->running_prev->running_next = a->running_next;
    else
        b->running = a->running_next;
    if (a->running_next)
        a->running_next->running_prev = a->running_prev;
    a->running_prev = a->running_next = NULL;
    a->backend = NULL;
}

struct exchange *exchange_first_running(struct backend_view *b)
{
    b->walk = b->running;
    return exchange_next_running(b);
}

struct exchange *exchange_next_running(struct backend_view *b)
{
    struct attempt *a = b->walk;

    while (a && a != a->exchange->active)
        a = a->running_next;
    b->walk = a ? a->running_next : NULL;
    return a ? a->exchange : NULL;
}

void exchange_release_opening(struct exchange *x)
{
    if (!x->active->opens)
        return;
    x->active->opens = false;
    fail_open_release(x->worker, x->pool);
}

static void leave_running(struct exchange *x)
{
    struct backend_view *b = x->active->backend;

    if (!b)
        return;
    exchange_unlink_running(x->active);
    exchange_release_opening(x);
    if (x->active->probation)
        retry_budget_probation_release(x->worker, b);
    x->active->probation = x->active->silent = false;
    backends_release_slot(x->worker, b);
}

static void drop_upstream(struct exchange *x)
{
    if (x->active->upstream)
        upstream_close(x->active->upstream);
    x->active->upstream = NULL;
}

static void forget_response(struct exchange *x)
{
    head_buffer_free(x->worker, x->partial);
    head_buffer_free(x->worker, x->held);
    head_buffer_free(x->worker, x->trailers);
    x->partial = x->held = x->trailers = NULL;
    x->transport->ntrailers = 0;
    x->active->first_byte = 0;
    x->backend_status = 0;
    x->interims = 0;
    x->no_reuse = false;
}

void exchange_disconnect(struct exchange *x)
{
    drop_upstream(x);
    exchange_arm(x, 0);
    x->active->connected = x->active->sent = x->active->stuck_us = x->active->wants_us = 0;
    forget_response(x);
}

void exchange_leave(struct exchange *x)
{
    exchange_disconnect(x);
    leave_running(x);
}

/* Closes the other attempt's connection and gives back its probation slot and its permit to try
 * a pool that is down; its slot at the backend is left to the caller. */
struct backend_view *exchange_end_hedge(struct exchange *x)
{
    struct attempt *a = exchange_other(x);
    struct backend_view *b = a->backend;

    exchange_unlink_running(a);
    upstream_close(a->upstream);
    a->upstream = NULL;
    if (a->opens)
        fail_open_release(x->worker, x->pool);
    if (a->probation)
        retry_budget_probation_release(x->worker, b);
    return b;
}

void exchange_drop_hedge(struct exchange *x)
{
    if (x->hedged && exchange_other(x)->upstream)
        backends_release_slot(x->worker, exchange_end_hedge(x));
}

/* The last step of every exchange: statistics and log, then the transport, then it is freed. */
void exchange_finish(struct exchange *x, bool whole)
{
    struct worker *worker = x->worker;

    x->at.end = worker->loop.now_us;
    exchange_stats_count(x);
    loop_timer_cancel(&x->timer);
    collecting_leave(x);
    login_cancel(x->login);
    if (x->waiter.queue)
        wait_queue_leave(worker, x->pool, &x->waiter);
    sticky_end(x);
    drop_upstream(x);
    x->transport->ops->finish(x->transport, whole);
    request_buffer_free(worker, x->request_buffer);
    head_buffer_free(worker, x->partial);
    head_buffer_free(worker, x->held);
    head_buffer_free(worker, x->trailers);
    exchange_drop_hedge(x);
    leave_running(x);
    retry_budget_release(x);
    retry_budget_expect_release(x);
    exchange_stats_end(x);
    clients_done(x->client);
    mempool_return(&worker->exchanges, x);
}

/* It keeps little more than its log line needs. */
static void give_back_memory(struct exchange *x)
{
    request_buffer_free(x->worker, x->request_buffer);
    x->request_buffer = NULL;
    if (!x->transport->ops->shrink || !x->transport->ops->shrink(x->transport))
        return;
    x->request = x->transport->request;
    exchange_find_origin(x);
}

/* The backend is done: only the client still reads. */
static void deliver(struct exchange *x)
{
    x->active->state = EXCHANGE_DELIVERING;
    x->served_by = x->active->backend;
    loop_timer_cancel(&x->timer);
    sticky_end(x);
    give_back_memory(x);
    leave_running(x);
    retry_budget_expect_release(x);
}

void exchange_complete(struct exchange *x, bool out)
{
    struct upstream *u = x->active->upstream;

    measured_response(x);
    backends_completed(x->active->backend);
    x->active->upstream = NULL;
    /* After a request that was not sent completely the connection cannot be used again (case
     * 58). */
    if (x->no_reuse || !x->body_done || u->waiting)
        upstream_close(u);
    else
        upstream_keep(u, &x->transport->pins);
    if (out)
        exchange_finish(x, true);
    else
        deliver(x);
}

void exchange_cut(struct exchange *x, enum exchange_end end, const char *detail)
{
    x->end = (uint8_t)end;
    x->detail = detail;
    if (!x->responded)
        x->status = 0;
    exchange_finish(x, false);
}

void exchange_reply(struct exchange *x, struct headers_own_info *info)
{
    const struct worker *worker = x->worker;
    struct headers_own own;
    struct text_out text;

    x->status = info->status;
    info->client_method = x->request->method;
    info->request_id = exchange_id(x);
    info->date = str_from(worker->date);
    info->hsts = peer_hsts(worker, x->peer);
    text_out_init(&text, worker->field_scratch, WORKER_HEADROOM);
    if (!headers_own(&own, info, &text)) {
        exchange_finish(x, false);
        return;
    }
    x->bytes_out = own.body.n;
    exchange_finish(x, x->transport->ops->own(x->transport, &own.head, own.body) >= 0);
}

void exchange_fail(struct exchange *x, uint16_t status, enum exchange_end end,
                   const char *error, const char *detail)
{
    struct headers_own_info info = {
        .status = status, .proxy_error = error, .proxy_detail = error ? detail : NULL};

    x->error = error;
    if (x->responded) {
        exchange_cut(x, end, detail);
        return;
    }
    x->end = (uint8_t)end;
    x->detail = detail;
    if (status == 503)
        info.retry_after = HEADERS_RETRY_AFTER_S;
    exchange_reply(x, &info);
}

void exchange_abort(struct exchange *x, uint16_t status, const char *detail)
{
    /* To go away while a response is awaited is nobody's fault: browsers do it all the time. */
    if (status == 400 || (status == 0 && !x->body_done && x->active->state != EXCHANGE_TUNNEL))
        clients_offend(x->worker, x->client);
    if (status)
        exchange_fail(x, status, EXCHANGE_END_CLIENT, NULL, detail);
    else
        exchange_cut(x, EXCHANGE_END_CLIENT, detail);
}

/* ---- what is due */

uint32_t exchange_time_left(const struct exchange *x)
{
    bool connecting = x->active->state == EXCHANGE_CONNECTING;
    uint32_t ms = connecting ? x->route->timeouts.connect_ms : x->route->timeouts.first_byte_ms;
    uint64_t from = connecting ? x->active->chosen : x->active->sent;
    uint64_t waited = (x->worker->loop.now_us - from) / 1000;

    return !ms ? 0 : waited < ms ? ms - (uint32_t)waited : 1;
}

/* A half-closed tunnel is treated like a response in progress. */
uint32_t exchange_idle_ms(const struct exchange *x)
{
    const struct conf_timeouts *t = &x->route->timeouts;
    bool half = x->client_ended || x->backend_ended;

    if (x->active->state != EXCHANGE_TUNNEL)
        return t->response_idle_ms;
    if (!half || !t->response_idle_ms)
        return t->tunnel_ms;
    return t->tunnel_ms && t->tunnel_ms < t->response_idle_ms ? t->tunnel_ms
                                                              : t->response_idle_ms;
}

uint64_t exchange_owed_since(const struct exchange *x)
{
    if (x->active->first_byte)
        return 0;
    if (x->active->sent)
        return x->active->sent;
    return x->active->state == EXCHANGE_CONNECTING ? x->active->chosen : x->active->stuck_us;
}

bool exchange_client_owes(const struct exchange *x)
{
    return x->active->wants_us && !x->body_done && x->active->upstream &&
           !upstream_waits(x->active->upstream) &&
           x->worker->loop.now_us - x->active->wants_us >=
               EXCHANGE_BODY_OWED_MS * UINT64_C(1000);
}
