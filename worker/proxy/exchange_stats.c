#include "worker/proxy/exchange_stats.h"

#include <string.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "shm/exchange_ring.h"
#include "worker/core/core.h"
#include "worker/core/peer.h"
#include "worker/log/access.h"
#include "worker/proxy/exchange.h"
#include "worker/proxy/exchange_user.h"
#include "worker/tls/tls.h"
#include "worker/upstream/backends.h"

static enum access_end exchange_stats_end_of(const struct exchange *x)
{
    switch ((enum exchange_end)x->end) {
    case EXCHANGE_END_WHOLE:
        return ACCESS_END_DONE;
    case EXCHANGE_END_CLIENT:
        return ACCESS_END_CLIENT;
    case EXCHANGE_END_BACKEND:
        return ACCESS_END_BACKEND;
    case EXCHANGE_END_TIMEOUT:
        return ACCESS_END_TIMEOUT;
    case EXCHANGE_END_PROXY:
        return ACCESS_END_PROXY;
    }
    return ACCESS_END_PROXY;
}

static enum access_phase phase_of_state(enum exchange_state state)
{
    switch (state) {
    case EXCHANGE_LOCAL:
        return ACCESS_PHASE_HEADER;
    case EXCHANGE_QUEUED:
        return ACCESS_PHASE_QUEUE;
    case EXCHANGE_CONNECTING:
        return ACCESS_PHASE_CONNECT;
    case EXCHANGE_COLLECTING:
    case EXCHANGE_SENDING:
        return ACCESS_PHASE_REQUEST;
    case EXCHANGE_WAITING:
        return ACCESS_PHASE_WAIT;
    case EXCHANGE_RESPONDING:
    case EXCHANGE_DELIVERING:
        return ACCESS_PHASE_RESPONSE;
    case EXCHANGE_TUNNEL:
        return ACCESS_PHASE_TUNNEL;
    }
    return ACCESS_PHASE_DONE;
}

static enum access_phase phase_of(const struct exchange *x)
{
    return x->end == EXCHANGE_END_WHOLE ? ACCESS_PHASE_DONE
                                        : phase_of_state((enum exchange_state)x->active->state);
}

static uint64_t between(uint64_t from, uint64_t to)
{
    return from && to > from ? to - from : 0;
}

static void fill_peer(struct access_record *r, const struct peer *peer)
{
    r->client = &peer->address.any;
    r->connection_requests = peer->requests;
    if (peer->requests <= 1)
        r->handshake_us = peer->handshake_us;
    if (!peer->tls)
        return;
    r->tls_version = tls_conn_version(peer->tls);
    r->tls_cipher = tls_conn_cipher(peer->tls);
    r->tls_resumed = tls_conn_resumed(peer->tls);
    r->sni = tls_conn_sni(peer->tls);
    r->tls_client = tls_conn_client_subject(peer->tls);
}

static void fill_request(struct access_record *r, const struct http_request *request)
{
    r->method = request->method_name;
    r->target = request->target;
    r->host = request->authority;
    r->version_major = request->version_major;
    r->version_minor = request->version_minor;
    for (unsigned i = 0; i < request->nfields; i++) {
        const struct http_field *f = &request->fields[i];

        if (f->id == HTTP_F_USER_AGENT)
            r->user_agent = f->value;
        else if (f->id == HTTP_F_REFERER)
            r->referer = f->value;
    }
}

/* Requests for the status are not traffic: otherwise they would see themselves in the
 * figures. */
static bool is_traffic(const struct peer *peer)
{
    return peer->listen->serve != CONF_SERVE_STATUS;
}

void exchange_stats_begin(const struct exchange *x)
{
    struct worker *worker = x->worker;

    if (!is_traffic(x->peer)) {
        count_add(&worker->row->status_requests, 1);
        return;
    }
    worker->nexchanges++;
    atomic_store_explicit(&worker->row->exchanges, worker->nexchanges, memory_order_relaxed);
    count_add(&worker->row->exchanges_total, 1);
}

void exchange_stats_end(const struct exchange *x)
{
    struct worker *worker = x->worker;

    if (!is_traffic(x->peer))
        return;
    worker->nexchanges--;
    atomic_store_explicit(&worker->row->exchanges, worker->nexchanges, memory_order_relaxed);
}

/* The backend whose response it is, or would have been. */
static const struct backend_view *asked(const struct exchange *x)
{
    return x->active->backend ? x->active->backend : x->served_by;
}

/* The row has a cell for each class that HTTP knows; 0 is for no response. */
static void count_response(struct worker_row *row, unsigned status)
{
    if (status / 100 < sizeof row->status / sizeof *row->status)
        count_add(&row->status[status / 100], 1);
}

static void count_exchange(const struct exchange *x)
{
    struct worker_row *row = x->worker->row;

    if (!is_traffic(x->peer))
        return;
    count_add(&row->bytes_in, x->transport->wire_in);
    count_add(&row->bytes_out, x->transport->wire_out);
    count_response(row, x->status);
    if (x->error && x->status >= 500)
        count_add(&row->own_errors, 1);
}

static uint32_t shorter(uint64_t us)
{
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* Our own texts, which fill the field or end with a NUL. */
static void exchange_stats_put_text(char *to, size_t size, const char *text)
{
    memcpy(to, text, strnlen(text, size));
}

/* Kept to find out later why this backend was unhealthy. */
static void exchange_stats_remember(const struct exchange *x, const char *end,
                                    enum access_phase phase, uint64_t end_us)
{
    struct recent_row row = {.end_wall_ms = clock_wall_ms(),
                             .total_us = shorter(between(x->at.begin, end_us)),
                             .first_byte_us =
                                 shorter(between(x->active->sent, x->active->first_byte)),
                             .status = x->at.end ? x->status : 0,
                             .backend_status = x->backend_status,
                             .attempts = x->attempts};

    exchange_stats_put_text(row.end, sizeof row.end, end);
    exchange_stats_put_text(row.phase, sizeof row.phase, access_phase_name(phase));
    struct str id = str_head(exchange_id(x), sizeof row.id);
    memcpy(row.id, id.p, id.n);
    struct str method = str_head(x->request->method_name, sizeof row.method);
    if (method.n)
        memcpy(row.method, method.p, method.n);
    exchange_ring_path(&row, x->request->path);
    exchange_ring_add(x->worker->row, asked(x)->slot, &row);
}

void exchange_stats_moved(const struct exchange *x)
{
    exchange_stats_remember(x, "moved", phase_of_state((enum exchange_state)x->active->state),
                            x->worker->loop.now_us);
}

static void write_access(const struct exchange *x, enum access_phase phase)
{
    const struct exchange_times *at = &x->at;
    const struct attempt *last = x->active;
    struct access_record r = {
        .start_wall_ms = clock_wall_ms() - (at->end - at->begin) / 1000,
        .header_us = between(at->begin, at->parsed),
        .queue_us =
            x->waiter.since_ms ? between(at->parsed, last->chosen ? last->chosen : at->end) : 0,
        .connect_us = x->active->reused ? 0 : between(last->chosen, last->connected),
        .first_byte_us = between(last->sent, last->first_byte),
        .total_us = between(at->begin, at->end),
        .request_id = exchange_id(x),
        .status = x->status,
        .backend_status = x->backend_status,
        .bytes_in = x->transport->wire_in,
        .bytes_out = x->transport->wire_out,
        .body_in = x->bytes_in,
        .body_out = x->bytes_out,
        .attempts = x->attempts,
        .retried = x->retried,
        .hedged = x->hedged,
        .reused = x->active->reused,
        .sticky = x->active->sticky,
        .end = (uint8_t)exchange_stats_end_of(x),
        .phase = (uint8_t)phase,
        .error = x->backend_status >= 500 ? "backend" : x->error,
        .detail = x->detail,
        .upgrade = x->active->state == EXCHANGE_TUNNEL ? "websocket" : NULL,
    };

    fill_peer(&r, x->peer);
    r.stream = x->transport->stream;
    if (x->origin.hop >= 0) {
        r.peer = r.client;
        r.client = x->origin.address;
    }
    fill_request(&r, x->request);
    if (x->logged_in)
        r.user = exchange_user(x);
    if (x->pool)
        r.pool = x->pool->conf->name;
    if (asked(x)) {
        r.backend = asked(x)->conf->name;
        r.backend_state = health_state_name((enum health_state)asked(x)->health.state);
    }
    access_write(x->worker->access, &r);
}

void exchange_stats_count(const struct exchange *x)
{
    enum access_phase phase = phase_of(x);

    count_exchange(x);
    if (asked(x))
        exchange_stats_remember(x, access_end_name(exchange_stats_end_of(x)), phase, x->at.end);
    if (x->worker->access)
        write_access(x, phase);
}

void exchange_stats_refused(struct worker *worker, const struct peer *peer,
                            const struct headers_own_info *info, const char *detail, size_t in,
                            size_t out, size_t body)
{
    struct access_record r = {
        .start_wall_ms = clock_wall_ms(),
        .status = info->status,
        .end = info->proxy_error ? ACCESS_END_PROXY : ACCESS_END_CLIENT,
        .phase = ACCESS_PHASE_HEADER,
        .request_id = info->request_id,
        .error = info->proxy_error,
        .detail = detail,
        .bytes_in = in,
        .bytes_out = out,
        .body_out = body,
    };

    if (is_traffic(peer)) {
        count_add(info->proxy_error ? &worker->row->own_errors : &worker->row->bad_requests, 1);
        count_response(worker->row, info->status);
        count_add(&worker->row->bytes_in, in);
        count_add(&worker->row->bytes_out, out);
    }
    fill_peer(&r, peer);
    access_write(worker->access, &r);
}
