#include "worker/exchange.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "worker/backends.h"
#include "worker/blame.h"
#include "worker/buffers.h"
#include "worker/core.h"
#include "worker/exchange_stats.h"
#include "worker/fail_open.h"
#include "worker/hedge.h"
#include "worker/local_reply.h"
#include "worker/peer.h"
#include "worker/request.h"
#include "worker/retry_budget.h"
#include "worker/sticky.h"
#include "worker/upstream.h"

static void exchange_timer_fired(struct loop_timer *timer);

/* ---- life */

static void find_origin(struct exchange *x)
{
    const struct peer *peer = x->peer;
    const struct origin_peer shown = {.address = &peer->address.any,
                                      .ip = peer_ip(peer),
                                      .server_port = peer->listen->port,
                                      .trusted = peer->trusted};

    origin_find(&x->origin, x->request, &shown, x->worker->conf);
}

struct str exchange_id(const struct exchange *x)
{
    return x->origin.request_id.n ? x->origin.request_id : str_make(x->id, sizeof x->id);
}

struct exchange *exchange_new(struct worker *worker, const struct transport_ops *ops,
                              struct client *client, const struct peer *peer, struct pins *pins,
                              const struct http_request *request)
{
    struct exchange *x = mempool_acquire(&worker->exchanges);

    if (!x)
        return NULL;
    memset(x, 0, sizeof *x);
    x->worker = worker;
    x->ops = ops;
    x->client = client;
    x->peer = peer;
    x->pins = pins;
    x->request = request;
    x->timer.fire = exchange_timer_fired;
    x->at.begin = x->at.parsed = worker->loop.now_us;
    worker_request_id(worker, x->id);
    find_origin(x);
    exchange_stats_begin(x);
    return x;
}

void exchange_arm(struct exchange *x, uint32_t ms)
{
    /* Two attempts of a hedged exchange have one deadline (hedge_start()). */
    if (x->rival.upstream)
        return;
    if (ms)
        loop_timer_set(&x->worker->loop, &x->timer, ms);
    else
        loop_timer_cancel(&x->timer);
}

void exchange_join_running(struct exchange *x, struct backend_view *b)
{
    x->backend = b;
    x->running_prev = NULL;
    x->running_next = b->running;
    if (b->running)
        b->running->running_prev = x;
    b->running = x;
}

void exchange_unlink_running(struct exchange *x)
{
    struct backend_view *b = x->backend;

    if (b->walk == x)
        b->walk = x->running_next;
    if (x->running_prev)
        x->running_prev->running_next = x->running_next;
    else
        b->running = x->running_next;
    if (x->running_next)
        x->running_next->running_prev = x->running_prev;
    x->running_prev = x->running_next = NULL;
    x->backend = NULL;
}

static void leave_running(struct exchange *x)
{
    struct backend_view *b = x->backend;

    if (!b)
        return;
    exchange_unlink_running(x);
    fail_open_release(x);
    if (x->probation)
        retry_budget_probation_release(x->worker, b);
    x->probation = false;
    backends_leave(x->worker, b);
}

static void drop_upstream(struct exchange *x)
{
    if (x->upstream)
        upstream_close(x->upstream);
    x->upstream = NULL;
}

static void forget_response(struct exchange *x)
{
    head_buffer_free(x->worker, x->partial);
    head_buffer_free(x->worker, x->held);
    head_buffer_free(x->worker, x->trailers);
    x->partial = x->held = x->trailers = NULL;
    x->trailer = STR_EMPTY;
    x->at.first_byte = 0;
    x->backend_status = 0;
    x->interims = 0;
    x->no_reuse = false;
}

void exchange_leave(struct exchange *x)
{
    drop_upstream(x);
    exchange_arm(x, 0);
    x->at.connected = x->at.sent = x->stuck_us = x->wants_us = 0;
    forget_response(x);
    leave_running(x);
}

/* The last step of every exchange: statistics and log, then the transport, then it is freed. */
static void exchange_finish(struct exchange *x, bool whole)
{
    struct worker *worker = x->worker;

    x->at.end = worker->loop.now_us;
    exchange_stats_count(x);
    loop_timer_cancel(&x->timer);
    if (x->queue)
        backends_queue_leave(worker, x->pool, x);
    sticky_end(x);
    drop_upstream(x);
    x->ops->finish(x, whole);
    request_buffer_free(worker, x->request_buffer);
    head_buffer_free(worker, x->partial);
    head_buffer_free(worker, x->held);
    head_buffer_free(worker, x->trailers);
    hedge_drop(x);
    leave_running(x);
    retry_budget_release(x);
    retry_budget_expect_release(x);
    exchange_stats_end(x);
    mempool_return(&worker->exchanges, x);
}

/* The backend is done: only the client still reads. */
static void deliver(struct exchange *x)
{
    x->state = EXCHANGE_DELIVERING;
    x->served_by = x->backend;
    loop_timer_cancel(&x->timer);
    sticky_end(x);
    request_buffer_free(x->worker, x->request_buffer);
    x->request_buffer = NULL;
    leave_running(x);
    retry_budget_expect_release(x);
}

void exchange_complete(struct exchange *x, bool out)
{
    struct upstream *u = x->upstream;

    backends_completed(x->backend);
    x->upstream = NULL;
    /* After a request that was not sent completely the connection cannot be used again (case
     * 58). */
    if (x->no_reuse || !x->body_done || u->waiting)
        upstream_close(u);
    else
        upstream_keep(u);
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

void exchange_reply(struct exchange *x, struct rewrite_own_info *info)
{
    x->status = info->status;
    exchange_finish(x, x->ops->own(x, info) >= 0);
}

void exchange_fail(struct exchange *x, uint16_t status, enum exchange_end end,
                   const char *error, const char *detail)
{
    struct rewrite_own_info info = {
        .status = status, .proxy_error = error, .proxy_detail = error ? detail : NULL};

    x->error = error;
    if (x->responded) {
        exchange_cut(x, end, detail);
        return;
    }
    x->end = (uint8_t)end;
    x->detail = detail;
    if (status == 503)
        info.retry_after = LOCAL_REPLY_RETRY_AFTER_S;
    exchange_reply(x, &info);
}

void exchange_abort(struct exchange *x, uint16_t status, const char *detail)
{
    if (status)
        exchange_fail(x, status, EXCHANGE_END_CLIENT, NULL, detail);
    else
        exchange_cut(x, EXCHANGE_END_CLIENT, detail);
}

/* ---- towards a backend */

uint32_t exchange_time_left(const struct exchange *x)
{
    uint32_t ms = x->route->timeouts.first_byte_ms;
    uint64_t waited = (x->worker->loop.now_us - x->at.sent) / 1000;

    return !ms ? 0 : waited < ms ? ms - (uint32_t)waited : 1;
}

/* A half-closed tunnel is treated like a response in progress. */
uint32_t exchange_idle_ms(const struct exchange *x)
{
    const struct conf_timeouts *t = &x->route->timeouts;
    bool half = x->client_ended || x->backend_ended;

    if (x->state != EXCHANGE_TUNNEL)
        return t->response_idle_ms;
    if (!half || !t->response_idle_ms)
        return t->tunnel_ms;
    return t->tunnel_ms && t->tunnel_ms < t->response_idle_ms ? t->tunnel_ms
                                                              : t->response_idle_ms;
}

static void arm_waiting(struct exchange *x)
{
    uint32_t ms = exchange_time_left(x), race = hedge_delay(x);

    x->race_due = race && (!ms || race < ms) && !x->rival.upstream;
    exchange_arm(x, x->race_due ? race : ms);
}

void exchange_arm_state(struct exchange *x)
{
    if (x->state == EXCHANGE_CONNECTING)
        exchange_arm(x, x->route->timeouts.connect_ms);
    else if (x->state == EXCHANGE_SENDING)
        exchange_arm(x, x->route->timeouts.body_ms);
    else
        arm_waiting(x);
}

uint64_t exchange_owed_since(const struct exchange *x)
{
    if (x->at.first_byte)
        return 0;
    if (x->at.sent)
        return x->at.sent;
    return x->state == EXCHANGE_CONNECTING ? x->at.chosen : x->stuck_us;
}

bool exchange_client_owes(const struct exchange *x)
{
    return x->wants_us && !x->body_done && x->upstream && !x->upstream->waiting &&
           x->worker->loop.now_us - x->wants_us >= EXCHANGE_BODY_OWED_MS * UINT64_C(1000);
}

static void wait_for_room(struct exchange *x)
{
    if (!x->stuck_us)
        x->stuck_us = x->worker->loop.now_us;
    exchange_arm(x, x->route->timeouts.body_ms);
}

/* Sends head and first part of the body to the connected upstream. false: the exchange is
 * over. */
static bool send_request_buffer(struct exchange *x)
{
    ssize_t waiting =
        upstream_send(x->upstream, x->request_buffer->bytes, x->request_buffer->n);

    if (waiting < 0) {
        exchange_gone_unanswered(x, errno, false);
        return false;
    }
    count_add(&x->backend->cell->bytes_out, x->request_buffer->n);
    x->state = EXCHANGE_SENDING;
    if (waiting > 0)
        wait_for_room(x);
    else
        exchange_upstream_writable(x);
    return true;
}

enum exchange_flow exchange_connected(struct exchange *x)
{
    x->at.connected = x->worker->loop.now_us;
    return send_request_buffer(x) ? EXCHANGE_GO_ON : EXCHANGE_OVER;
}

void exchange_continue(struct exchange *x)
{
    x->expects = false;
    exchange_upstream_writable(x);
}

void exchange_upstream_writable(struct exchange *x)
{
    x->stuck_us = 0;
    if (x->expects) {
        exchange_arm(x, EXCHANGE_EXPECT_MS);
        return;
    }
    if (x->state == EXCHANGE_TUNNEL || !x->body_done) {
        /* From here on the client must send, and its own deadline runs. */
        if (x->state == EXCHANGE_SENDING)
            exchange_arm(x, 0);
        x->wants_us = x->body_done ? 0 : x->worker->loop.now_us;
        x->ops->want_body(x);
        return;
    }
    if (!x->at.sent)
        x->at.sent = x->worker->loop.now_us;
    if (x->state == EXCHANGE_SENDING) {
        x->state = EXCHANGE_WAITING;
        arm_waiting(x);
    }
}

void exchange_connect(struct exchange *x, struct backend_view *b)
{
    exchange_join_running(x, b);
    x->sticky = b == x->home;
    x->at.chosen = x->worker->loop.now_us;
    x->attempts++;
    x->state = EXCHANGE_CONNECTING;
    x->upstream = upstream_get(b, x, x->fresh, &x->reused);
    if (!x->upstream) {
        exchange_connect_failed(x, errno);
        return;
    }
    if (x->reused) {
        x->at.connected = x->at.chosen;
        send_request_buffer(x);
        return;
    }
    exchange_arm(x, x->route->timeouts.connect_ms);
}

/* Reports the last failure, when every backend has been tried. */
static void fail_none_left(struct exchange *x)
{
    if (x->error)
        exchange_fail(x, x->status ? x->status : 502, (enum exchange_end)x->end, x->error,
                      x->detail);
    else
        exchange_fail(x, 503, EXCHANGE_END_PROXY, "destination_unavailable",
                      x->pool->outage_ms ? "every backend of the pool is down"
                                         : "no backend may serve this request");
}

/* A request that was at a backend before reports what happened there. */
static void fail_no_slot(struct exchange *x, enum exchange_end end, const char *detail)
{
    if (x->error)
        fail_none_left(x);
    else
        exchange_fail(x, 503, end, "connection_limit_reached", detail);
}

static void fail_queue_timeout(struct exchange *x)
{
    backends_queue_refused(x, true);
    fail_no_slot(x, EXCHANGE_END_TIMEOUT, "timed out waiting for a free backend slot");
}

static void wait_in_queue(struct exchange *x)
{
    uint32_t limit = x->pool->conf->queue.timeout_ms;
    uint64_t waited = x->queued_ms ? x->worker->loop.now_ms - x->queued_ms : 0;

    if (waited >= limit) {
        fail_queue_timeout(x);
        return;
    }
    if (!backends_queue_join(x->worker, x->pool, x)) {
        backends_queue_refused(x, false);
        fail_no_slot(x, EXCHANGE_END_PROXY, "the queue of the pool is full");
        return;
    }
    x->state = EXCHANGE_QUEUED;
    exchange_arm(x, (uint32_t)(limit - waited));
}

/* An affinity target that failed or may not serve any more is dropped: any other backend will
 * do. */
static bool has_lost_home(const struct exchange *x)
{
    uint32_t i = x->home ? (uint32_t)(x->home - x->pool->backends) : 0;

    return x->home && ((x->tried[i / 64] >> (i % 64) & 1) || !backends_is_home(x->home));
}

/* A retry that ended in another worker before it could see this one wait has rung no
 * doorbell. */
static void wait_for_budget(struct exchange *x)
{
    struct worker *worker = x->worker;
    struct pool_view *pool = x->pool;

    wait_in_queue(x);
    backends_wake(worker, pool);
}

void exchange_choose(struct exchange *x)
{
    struct backend_view *b;

    if (has_lost_home(x))
        x->home = NULL;
    if (!retry_budget_acquire(x)) {
        wait_for_budget(x);
        return;
    }
    b = retry_budget_probation_acquire(x);
    if (b) {
        exchange_connect(x, b);
        return;
    }
    switch (backends_choose(x->worker, x->pool, x->home, x->tried, &b)) {
    case BACKENDS_TRIES:
        x->opens = true;
        exchange_connect(x, b);
        return;
    case BACKENDS_CHOSEN:
        exchange_connect(x, b);
        return;
    case BACKENDS_NONE:
        fail_none_left(x);
        return;
    case BACKENDS_FULL:
    case BACKENDS_WAIT:
        wait_in_queue(x);
        return;
    }
}

bool exchange_retry_queued(struct exchange *x)
{
    struct backend_view *b = NULL;
    bool was_counted = x->in_budget;
    enum backends_choice choice;

    if (!retry_budget_acquire(x)) {
        if (!x->refused || blame_retry_helps(x->pool))
            return false;
        backends_queue_leave(x->worker, x->pool, x);
        fail_none_left(x);
        return true;
    }
    /* From now on it waits in another queue, or not at all. */
    if (has_lost_home(x) || x->in_budget != was_counted) {
        backends_queue_leave(x->worker, x->pool, x);
        exchange_choose(x);
        return true;
    }
    choice = backends_choose(x->worker, x->pool, x->home, x->tried, &b);

    if (choice == BACKENDS_FULL || choice == BACKENDS_WAIT)
        return false;
    backends_queue_leave(x->worker, x->pool, x);
    x->opens = choice == BACKENDS_TRIES;
    if (choice == BACKENDS_CHOSEN || choice == BACKENDS_TRIES)
        exchange_connect(x, b);
    else
        fail_none_left(x);
    return true;
}

/* It has everything that it needs before it takes a slot. */
static void exchange_join(struct exchange *x)
{
    if (has_lost_home(x))
        x->home = NULL;
    /* Nobody overtakes exchanges that already wait for the same. */
    if (backends_others_wait(x->pool, x->home))
        wait_in_queue(x);
    else
        exchange_choose(x);
}

static void exchange_collect(struct exchange *x)
{
    x->state = EXCHANGE_COLLECTING;
    x->ops->want_body(x);
}

void exchange_begin(struct exchange *x, const char *data, size_t n, bool last)
{
    x->body_done = last;
    x->bytes_in = n;
    x->expects = x->request->expect_continue && !last && !n;
    if (!request_prepare(x, data, n))
        return;
    if (request_collects(x))
        exchange_collect(x);
    else
        exchange_join(x);
}

/* ---- the request's body */

static void collected(struct exchange *x, const char *data, size_t n)
{
    if (!request_add_body(x, data, n))
        exchange_fail(x, 503, EXCHANGE_END_PROXY, "proxy_internal_error", "out of memory");
    else if (request_collects(x))
        exchange_collect(x);
    else
        exchange_join(x);
}

void exchange_body(struct exchange *x, char *data, size_t n, bool last)
{
    ssize_t waiting;

    x->bytes_in += n;
    if (x->state != EXCHANGE_TUNNEL) {
        if (x->bytes_in > x->route->body_bytes) {
            exchange_fail(x, 413, EXCHANGE_END_CLIENT, NULL, "body over the limit");
            return;
        }
        x->body_done = last;
        if (x->state == EXCHANGE_COLLECTING) {
            collected(x, data, n);
            return;
        }
        x->streamed = true;
        if (last || x->bytes_in >= x->route->request_buffer)
            retry_budget_expect_release(x);
        if (x->chunked)
            n = request_chunk(&data, n, last);
    } else {
        exchange_arm(x, exchange_idle_ms(x));
    }
    waiting = n ? upstream_send(x->upstream, data, n) : 0;
    if (waiting < 0) {
        /* An early response may still be there to read (case 58); the reading side finds it, or
         * the end. */
        x->no_reuse = x->client_ended = true;
        x->upstream->readable = x->upstream->hung_up = true;
        if (!x->blocked)
            upstream_resume(x->upstream);
        return;
    }
    count_add(&x->backend->cell->bytes_out, n);
    if (waiting == 0)
        exchange_upstream_writable(x);
    else if (x->state == EXCHANGE_SENDING)
        wait_for_room(x);
}

void exchange_tunnel_ended(struct exchange *x)
{
    x->client_ended = x->no_reuse = true;
    if (x->backend_ended) {
        exchange_complete(x, true);
        return;
    }
    upstream_shutdown(x->upstream);
    if (!x->blocked)
        exchange_arm(x, exchange_idle_ms(x));
}

void exchange_transport_writable(struct exchange *x, bool all)
{
    if (x->state == EXCHANGE_DELIVERING) {
        if (all)
            exchange_finish(x, true);
        return;
    }
    if (!x->blocked)
        return;
    x->blocked = false;
    if (x->upstream)
        upstream_resume(x->upstream);
}

static void exchange_timer_fired(struct loop_timer *timer)
{
    struct exchange *x = (struct exchange *)((char *)timer - offsetof(struct exchange, timer));

    hedge_late(x);
    switch ((enum exchange_state)x->state) {
    case EXCHANGE_QUEUED:
        if (x->home && x->home->health.state == HEALTH_UNKNOWN) {
            backends_queue_leave(x->worker, x->pool, x);
            x->home = NULL;
            exchange_choose(x);
            return;
        }
        if (retry_budget_exceed(x)) {
            backends_queue_leave(x->worker, x->pool, x);
            x->queued_ms = 0;
            exchange_choose(x);
            return;
        }
        fail_queue_timeout(x);
        return;
    case EXCHANGE_CONNECTING:
        exchange_connect_failed(x, ETIMEDOUT);
        return;
    case EXCHANGE_SENDING:
        if (x->expects && !x->upstream->waiting) {
            exchange_continue(x);
            return;
        }
        exchange_no_response(x, "connection_write_timeout",
                             "the backend does not read the request");
        return;
    case EXCHANGE_WAITING:
        if (x->race_due) {
            x->race_due = false;
            hedge_start(x);
        } else {
            exchange_no_response(x, "http_response_timeout",
                                 "no first byte of the response in time");
        }
        return;
    case EXCHANGE_RESPONDING:
        exchange_response_cut(x, true, "connection_read_timeout",
                              "the response stopped arriving");
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
