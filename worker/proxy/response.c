/* The response: from a backend's bytes to the transport (worker/proxy/exchange.h). */
#include <string.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"
#include "worker/proxy/attempt.h"
#include "worker/proxy/exchange.h"
#include "worker/proxy/hedge.h"
#include "worker/proxy/retry.h"
#include "worker/proxy/retry_budget.h"
#include "worker/proxy/sticky.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/fail_open.h"
#include "worker/upstream/pins.h"
#include "worker/upstream/upstream.h"

/* A malformed response: no part of it may reach the client. */
static enum exchange_flow bad_response(struct exchange *x, int error)
{
    retry_bad_response(x, h1_error_info(error)->reason);
    return EXCHANGE_OVER;
}

static enum exchange_flow client_gone(struct exchange *x)
{
    exchange_cut(x, EXCHANGE_END_CLIENT, "the client went away");
    return EXCHANGE_OVER;
}

/* It grew beyond what can be passed on, because its cookies and locations became longer. That
 * is no fault of the backend, and another one would do no better. */
static enum exchange_flow head_too_large(struct exchange *x)
{
    exchange_fail(x, 502, EXCHANGE_END_BACKEND, "http_response_header_section_size",
                  "the head of the response is too large to be passed on");
    return EXCHANGE_OVER;
}

/* What a decided head may point to. */
struct marks {
    char cookie[STICKY_COOKIE], authority[ORIGIN_AUTHORITY];
};

static void describe(const struct exchange *x, struct headers_info *info, struct marks *marks)
{
    info->tls = x->origin.https;
    info->hsts = peer_hsts(x->worker, x->peer);
    info->date = str_from(x->worker->date);
    info->prefix = x->match.prefix;
    info->upstream_path = x->match.upstream_path;
    info->public_authority = origin_authority(&x->origin, marks->authority);
    info->host_authority = x->request->authority;
    info->backend_authority = x->active->backend->authority;
    info->request_id = exchange_id(x);
    sticky_mark(x, info, marks->cookie);
}

/* Changes the parsed head. false: it is too large to be passed on. */
static bool decide(const struct exchange *x, struct http_response *parsed,
                   struct http_head *head, struct marks *marks)
{
    struct headers_info info = {0};
    struct text_out text;

    describe(x, &info, marks);
    text_out_init(&text, x->worker->field_scratch, WORKER_HEADROOM);
    return headers_response(head, parsed, &info, &text);
}

static int put_head(struct exchange *x, struct http_response *parsed, char *data, size_t n,
                    bool last)
{
    struct http_head head;
    struct marks marks;

    if (!decide(x, parsed, &head, &marks))
        return TRANSPORT_HEAD_LARGE;
    return x->transport->ops->respond(x->transport, &head, data, n, last);
}

static int put_interim(struct exchange *x, struct http_response *parsed)
{
    struct http_head head;
    struct marks marks;

    if (!decide(x, parsed, &head, &marks))
        return TRANSPORT_HEAD_LARGE;
    return x->transport->ops->interim(x->transport, &head);
}

/* Gives decoded bytes to the transport, with the head unless that was sent before. */
static enum exchange_flow response_pass_on(struct exchange *x, struct http_response *head,
                                           char *data, size_t n, bool last)
{
    int result = 0;

    if (head)
        result = put_head(x, head, data, n, last);
    else if (n || last)
        result = x->transport->ops->body(x->transport, data, n, last);
    if (result == TRANSPORT_HEAD_LARGE)
        return head_too_large(x);
    x->bytes_out += n;
    x->responded = true;
    /* It is not sent again, and the response, or the tunnel, may go on for hours. */
    request_buffer_free(x->worker, x->request_buffer);
    x->request_buffer = NULL;
    retry_budget_release(x);
    if (result < 0)
        return client_gone(x);
    if (last) {
        exchange_complete(x, result == 0);
        return EXCHANGE_OVER;
    }
    if (result == 1) {
        x->blocked = x->was_blocked = true;
        exchange_arm(x, 0); /* now the client's deadline applies, not the backend's */
        return EXCHANGE_BLOCKED;
    }
    exchange_arm(x, exchange_idle_ms(x));
    return EXCHANGE_GO_ON;
}

static ssize_t response_parse(struct exchange *x, struct http_response *head,
                              struct h1_scan *scan, const char *data, size_t n)
{
    const struct h1_response_context context = {
        .method = x->request->method,
        .upgrade = x->request->upgrade,
    };

    return h1_response_parse(head, data, n, scan, &x->worker->limits, &context);
}

/* ---- small responses are held until they are complete
 *
 * so that one that is cut can be fetched from another backend. Only those with a length: it is
 * not known where a chunked one ends (it may be a stream of events), and one that ends with the
 * connection cannot be distinguished from a cut one. */

/* Parses again, because a parsed head must point into the bytes that are kept. */
static bool parse_held(struct exchange *x, struct head_buffer *buffer, size_t len)
{
    struct h1_scan scan = {0};

    return response_parse(x, &buffer->head.response, &scan, buffer->bytes, len) == (ssize_t)len;
}

/* raw: the bytes of the head. false: no memory. */
static bool response_hold(struct exchange *x, const char *raw, size_t len, const char *body,
                          size_t n)
{
    struct head_buffer *buffer = head_buffer_new(x->worker, len + (size_t)x->left);

    if (!buffer)
        return false;
    memcpy(buffer->bytes, raw, len);
    if (n)
        memcpy(buffer->bytes + len, body, n);
    buffer->n = len + n;
    if (!parse_held(x, buffer, len)) {
        head_buffer_free(x->worker, buffer);
        return false;
    }
    x->held = buffer;
    x->held_head = len;
    x->left -= n;
    exchange_arm(x, x->route->timeouts.response_idle_ms);
    return true;
}

static enum exchange_flow response_held(struct exchange *x, const char *data, size_t n)
{
    struct worker *worker = x->worker;
    struct head_buffer *buffer = x->held;
    size_t take = n < x->left ? n : (size_t)x->left;
    enum exchange_flow flow;

    memcpy(buffer->bytes + buffer->n, data, take);
    buffer->n += take;
    x->left -= take;
    x->no_reuse |= take < n;
    if (x->left) {
        exchange_arm(x, x->route->timeouts.response_idle_ms);
        return EXCHANGE_GO_ON;
    }
    x->held = NULL;
    n = buffer->n - x->held_head;
    memcpy(worker_body(worker), buffer->bytes + x->held_head, n);
    flow = response_pass_on(x, &buffer->head.response, worker_body(worker), n, true);
    head_buffer_free(worker, buffer);
    return flow;
}

/* ---- trailers: for clients that send "TE: trailers" */

static void keep_trailers(struct exchange *x)
{
    const struct http_field *te = http_request_field(x->request, HTTP_F_TE);
    struct str list = te ? te->value : STR_EMPTY, item;
    bool asked = false;

    while (!http_request_is_10(x->request) && str_next_item(&list, &item))
        asked |= str_eq_case(item, STR("trailers"));
    if (!asked)
        return;
    /* Without memory, trailers are dropped, as for every other client. */
    x->trailers = head_buffer_new(x->worker, WORKER_HEAD_BUFFER);
    if (!x->trailers)
        return;
    x->chunks.keep = x->trailers->bytes;
    x->chunks.keep_cap = WORKER_HEAD_BUFFER;
}

static void end_trailers(struct exchange *x)
{
    const struct h1_chunked *chunks = &x->chunks;
    struct http_field *fields;

    if (!chunks->keep || chunks->kept < chunks->trailers)
        return;
    fields = x->trailers->head.response.fields; /* the same lifetime as their bytes */
    x->transport->trailers = fields;
    x->transport->ntrailers = h1_trailers(fields, HTTP_FIELDS_MAX, chunks->keep, chunks->kept);
}

/* Removes the transfer coding; head: NULL after the first call. */
static enum exchange_flow response_body(struct exchange *x, struct http_response *head,
                                        char *data, size_t n)
{
    size_t take = n;
    bool last = false;
    ssize_t used;

    switch ((enum http_body)x->body) {
    case HTTP_BODY_NONE:
        take = 0;
        last = true;
        x->no_reuse |= n > 0; /* bytes that belong to no response (case 94) */
        break;
    case HTTP_BODY_LENGTH:
        if (n >= x->left) {
            take = (size_t)x->left;
            last = true;
            x->no_reuse |= n > take; /* case 95 */
        }
        x->left -= take;
        break;
    case HTTP_BODY_CHUNKED:
        used = h1_chunked_squeeze(&x->chunks, data, n, &take, &x->worker->limits);
        if (used < 0 && head)
            return bad_response(x, (int)used);
        if (used < 0) {
            retry_response_cut(x, false, "http_response_transfer_coding",
                               h1_error_info((int)used)->reason);
            return EXCHANGE_OVER;
        }
        last = x->chunks.done;
        if (last)
            end_trailers(x);
        x->no_reuse |= (size_t)used < n;
        break;
    case HTTP_BODY_UNTIL_CLOSE:
        x->no_reuse = true;
        break;
    }
    return response_pass_on(x, head, data, take, last);
}

/* The first byte of the response has arrived: this attempt wins the hedge. */
static void begin_response(struct exchange *x)
{
    struct worker_backend *cell = x->active->backend->cell;
    uint64_t now = x->worker->loop.now_us, from = x->active->sent;

    x->active->first_byte = now;
    if (!from)
        from = x->active->chosen;
    if (count_read(&cell->served_us) < from)
        atomic_store_explicit(&cell->served_us, from, memory_order_relaxed);
    if (!exchange_client_owes(x))
        count_add(&cell->latency[latency_bucket(now > from ? now - from : 0)], 1);
    /* From here on the response is awaited, however slowly its head comes. */
    if (x->hedge_due) {
        x->hedge_due = false;
        exchange_arm(x, exchange_time_left(x));
    }
    hedge_win(x);
}

static void note_status(struct exchange *x, unsigned status)
{
    struct worker_backend *cell = x->active->backend->cell;

    x->status = x->backend_status = (uint16_t)status;
    x->end = EXCHANGE_END_WHOLE;
    x->error = NULL;
    x->detail = NULL;
    /* An error response because of a body that the client does not send is not the backend's
     * fault. */
    if ((status == 408 || status >= 500) && exchange_client_owes(x)) {
        x->end = EXCHANGE_END_CLIENT;
        x->detail = EXCHANGE_BODY_OWED;
        return;
    }
    exchange_release_opening(x);
    fail_open_responded(x->worker, x->active->backend, status);
    if (status >= 502 && status <= 504)
        count_add(&cell->gateway_errors, 1);
    else if (status >= 500)
        count_add(&cell->server_errors, 1);
}

/* 101 after a requested upgrade: from now on only bytes are relayed. */
static enum exchange_flow begin_tunnel(struct exchange *x, struct http_response *head,
                                       char *data, size_t n)
{
    enum exchange_flow flow;

    x->active->state = EXCHANGE_TUNNEL;
    x->body = HTTP_BODY_UNTIL_CLOSE;
    flow = response_pass_on(x, head, data, n, false);
    if (flow != EXCHANGE_OVER)
        x->transport->ops->want_body(x->transport);
    return flow;
}

/* raw: the bytes of the head, len of them. */
static enum exchange_flow response_head(struct exchange *x, struct http_response *head,
                                        const char *raw, size_t len, char *data, size_t n)
{
    if (!x->active->first_byte) /* reset by a 100 in the same read */
        begin_response(x);
    x->expects = false;
    x->no_reuse |= !head->keep_alive;
    x->body = head->body;
    x->left = head->content_length;
    h1_chunked_init(&x->chunks);
    if (head->body == HTTP_BODY_CHUNKED)
        keep_trailers(x);
    note_status(x, head->status);
    x->active->upstream->bound |= pins_bound_by_response(head);
    if (head->status >= 400 && retry_refuse_response(x, head->status))
        return EXCHANGE_OVER;
    if (x->refused)
        retry_budget_result(x, head->status);
    sticky_response(x, head);
    if (head->status == 101)
        return begin_tunnel(x, head, data, n);
    x->active->state = EXCHANGE_RESPONDING;
    if (head->body == HTTP_BODY_LENGTH && head->content_length == 0)
        x->body = HTTP_BODY_NONE;
    if (x->body == HTTP_BODY_LENGTH && n < x->left && x->left <= x->transport->ops->piece &&
        retry_may_hold(x) && response_hold(x, raw, len, data, n))
        return EXCHANGE_GO_ON;
    return response_body(x, head, data, n);
}

static enum exchange_flow response_interim(struct exchange *x, struct http_response *head)
{
    int result;

    x->no_reuse |= !head->keep_alive;
    if (++x->interims > H1_INTERIM_MAX)
        return bad_response(x, H1_E_INTERIM_MANY);
    /* The client gets its 100 when its body is requested, and only then. */
    if (head->status == 100) {
        x->active->first_byte = 0; /* the final response is still to come */
        if (x->expects)
            attempt_continue(x);
        return EXCHANGE_GO_ON;
    }
    result = put_interim(x, head);
    if (result == TRANSPORT_HEAD_LARGE)
        return head_too_large(x);
    return result < 0 ? client_gone(x) : EXCHANGE_GO_ON;
}

/* Keeps the beginning of a head until the rest arrives. */
static enum exchange_flow keep_partial(struct exchange *x, const struct http_response *head,
                                       const struct h1_scan *scan, const char *data, size_t n)
{
    size_t room = n + WORKER_BODY; /* so that any single read fits after it */

    CHECK(!x->partial);
    x->partial = head_buffer_new(x->worker,
                                 room > WORKER_HEADROOM ? room : WORKER_HEADROOM + WORKER_BODY);
    if (!x->partial) {
        exchange_fail(x, 503, EXCHANGE_END_PROXY, "proxy_internal_error", "out of memory");
        return EXCHANGE_OVER;
    }
    x->partial->head.response = *head;
    x->partial->scan = *scan;
    memcpy(x->partial->bytes, data, n);
    x->partial->n = n;
    return EXCHANGE_GO_ON;
}

/* A head that arrived in pieces: appends the rest to what was kept. The bytes after the head
 * are copied to the relay buffer, where body bytes are expected. */
static enum exchange_flow response_partial(struct exchange *x, const char *data, size_t n)
{
    struct worker *worker = x->worker;
    struct head_buffer *buffer = x->partial;
    char *body = worker_body(worker);
    enum exchange_flow flow;
    ssize_t len;

    if (buffer->n + n > buffer->cap)
        return bad_response(x, H1_E_HEAD_LONG);
    memcpy(buffer->bytes + buffer->n, data, n);
    buffer->n += n;
    len = response_parse(x, &buffer->head.response, &buffer->scan, buffer->bytes, buffer->n);
    if (len < 0)
        return bad_response(x, (int)len);
    if (len == 0)
        return EXCHANGE_GO_ON;
    x->partial = NULL;
    n = buffer->n - (size_t)len;
    if (n)
        memcpy(body, buffer->bytes + len, n);
    if (buffer->head.response.status < 200 && buffer->head.response.status != 101) {
        flow = response_interim(x, &buffer->head.response);
        if (flow == EXCHANGE_GO_ON && n)
            flow = exchange_response(x, body, n);
    } else {
        flow = response_head(x, &buffer->head.response, buffer->bytes, (size_t)len, body, n);
    }
    /* The exchange may be over, but the buffer is ours. */
    head_buffer_free(worker, buffer);
    return flow;
}

enum exchange_flow exchange_response(struct exchange *x, char *data, size_t n)
{
    struct worker *worker = x->worker;
    struct http_response *head = &worker->response;

    count_add(&x->active->backend->cell->bytes_in, n);
    if (x->active->state == EXCHANGE_TUNNEL)
        return response_pass_on(x, NULL, data, n, false);
    if (x->active->state == EXCHANGE_RESPONDING)
        return x->held ? response_held(x, data, n) : response_body(x, NULL, data, n);
    if (!x->active->first_byte)
        begin_response(x);
    if (x->partial)
        return response_partial(x, data, n);
    for (;;) {
        struct h1_scan scan = {0};
        enum exchange_flow flow;
        ssize_t len = response_parse(x, head, &scan, data, n);

        if (len < 0)
            return bad_response(x, (int)len);
        if (len == 0)
            return keep_partial(x, head, &scan, data, n);
        if (head->status >= 200 || head->status == 101)
            return response_head(x, head, data, (size_t)len, data + len, n - (size_t)len);
        flow = response_interim(x, head);
        if (flow != EXCHANGE_GO_ON)
            return flow;
        data += len;
        n -= (size_t)len;
        if (!n)
            return EXCHANGE_GO_ON;
    }
}
