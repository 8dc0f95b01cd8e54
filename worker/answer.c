/* The answer: from a backend's bytes to the carrier (worker/exchange.h). */
#include <string.h>

#include "base/check.h"
#include "base/conf.h"
#include "worker/backends.h"
#include "worker/blame.h"
#include "worker/box.h"
#include "worker/budget.h"
#include "worker/core.h"
#include "worker/exchange.h"
#include "worker/hedge.h"
#include "worker/sticky.h"
#include "worker/upstream.h"

/* An answer that breaks the rules: nothing of it may reach the client. */
static enum exchange_flow bad_answer(struct exchange *x, int error)
{
    exchange_bad_answer(x, http1_error_info(error)->reason);
    return EXCHANGE_OVER;
}

static enum exchange_flow client_gone(struct exchange *x)
{
    exchange_cut(x, EXCHANGE_END_CLIENT, "the client went away");
    return EXCHANGE_OVER;
}

/* Gives decoded bytes to the carrier, with the head if that has not gone yet. */
static enum exchange_flow pass_on(struct exchange *x, const struct http_response *head,
                                  char *data, size_t n, bool last)
{
    int result = 0;

    x->bytes_out += n;
    if (head)
        result = x->ops->respond(x, head, data, n, last);
    else if (n || last)
        result = x->ops->body(x, data, n, last);
    x->answered = true;
    budget_give(x);
    if (result < 0)
        return client_gone(x);
    if (last) {
        exchange_complete(x);
        return EXCHANGE_OVER;
    }
    if (result > 0) {
        x->blocked = true;
        exchange_arm(x, 0); /* the client's deadline runs, not the backend's */
        return EXCHANGE_BLOCKED;
    }
    exchange_arm(x, x->state == EXCHANGE_TUNNEL ? x->route->timeouts.tunnel_ms
                                                : x->route->timeouts.response_idle_ms);
    return EXCHANGE_GO_ON;
}

static ssize_t parse(struct exchange *x, struct http_response *head, struct http1_scan *scan,
                     const char *data, size_t n)
{
    const struct http1_response_context context = {
        .method = x->request->method,
        .upgrade = x->request->upgrade,
    };

    return http1_response_parse(head, data, n, scan, &x->worker->limits, &context);
}

/* ---- small answers are held until they are whole
 *
 * so that one that is cut can be fetched elsewhere. Only those with a length: where a
 * chunked one ends cannot be known (it may be a stream of events), and one that ends
 * with the connection cannot be told from a cut one. */

/* A parsed head must point into the bytes that are kept. */
static bool parse_held(struct exchange *x, struct inbox *box, size_t len)
{
    struct http1_scan scan = {0};

    return parse(x, &box->head.response, &scan, box->bytes, len) == (ssize_t)len;
}

/* raw: the bytes of its head. false: there is no memory for it. */
static bool hold(struct exchange *x, const char *raw, size_t len, const char *body, size_t n)
{
    struct inbox *box = inbox_new(x->worker, len + (size_t)x->left);

    if (!box)
        return false;
    memcpy(box->bytes, raw, len);
    if (n)
        memcpy(box->bytes + len, body, n);
    box->n = len + n;
    if (!parse_held(x, box, len)) {
        inbox_free(x->worker, box);
        return false;
    }
    x->held = box;
    x->held_head = len;
    x->left -= n;
    exchange_arm(x, x->route->timeouts.response_idle_ms);
    return true;
}

static enum exchange_flow answer_held(struct exchange *x, const char *data, size_t n)
{
    struct worker *worker = x->worker;
    struct inbox *box = x->held;
    size_t take = n < x->left ? n : (size_t)x->left;
    enum exchange_flow flow;

    memcpy(box->bytes + box->n, data, take);
    box->n += take;
    x->left -= take;
    x->no_reuse |= take < n;
    if (x->left) {
        exchange_arm(x, x->route->timeouts.response_idle_ms);
        return EXCHANGE_GO_ON;
    }
    x->held = NULL;
    n = box->n - x->held_head;
    memcpy(worker_body(worker), box->bytes + x->held_head, n);
    flow = pass_on(x, &box->head.response, worker_body(worker), n, true);
    inbox_free(worker, box);
    return flow;
}

/* Takes the transfer coding off; head: NULL after the first call. */
static enum exchange_flow answer_body(struct exchange *x, const struct http_response *head,
                                      char *data, size_t n)
{
    size_t take = n;
    bool last = false;
    ssize_t used;

    switch ((enum http_body)x->body) {
    case HTTP_BODY_NONE:
        take = 0;
        last = true;
        x->no_reuse |= n > 0; /* bytes that belong to no answer (case 94) */
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
        used = http1_chunked_squeeze(&x->chunks, data, n, &take, &x->worker->limits);
        if (used < 0 && head)
            return bad_answer(x, (int)used);
        if (used < 0) {
            exchange_answer_cut(x, false, "http_response_transfer_coding",
                                http1_error_info((int)used)->reason);
            return EXCHANGE_OVER;
        }
        last = x->chunks.done;
        x->no_reuse |= (size_t)used < n;
        break;
    case HTTP_BODY_UNTIL_CLOSE:
        x->no_reuse = true;
        break;
    }
    return pass_on(x, head, data, take, last);
}

/* Its first byte: who had it wins a race. */
static void begin_answer(struct exchange *x)
{
    struct worker_backend *cell = x->backend->cell;
    uint64_t now = x->worker->loop.now_us, from = x->at.sent;

    x->at.first_byte = now;
    if (!from)
        from = x->at.chosen;
    count_add(&cell->latency[latency_bucket(now > from ? now - from : 0)], 1);
    hedge_won(x);
}

static void count_status(struct exchange *x, unsigned status)
{
    struct worker_backend *cell = x->backend->cell;

    x->status = x->backend_status = (uint16_t)status;
    x->error = NULL;
    x->detail = NULL;
    if (status >= 502 && status <= 504)
        count_add(&cell->gateway_errors, 1);
    else if (status >= 500)
        count_add(&cell->server_errors, 1);
}

/* 101 after an asked upgrade: from now on bytes only. */
static enum exchange_flow begin_tunnel(struct exchange *x, const struct http_response *head,
                                       char *data, size_t n)
{
    enum exchange_flow flow;

    x->state = EXCHANGE_TUNNEL;
    x->body = HTTP_BODY_UNTIL_CLOSE;
    flow = pass_on(x, head, data, n, false);
    if (flow != EXCHANGE_OVER)
        x->ops->want_body(x);
    return flow;
}

/* raw: the bytes of the head, len of them. */
static enum exchange_flow answer_head(struct exchange *x, const struct http_response *head,
                                      const char *raw, size_t len, char *data, size_t n)
{
    x->no_reuse |= !head->keep_alive;
    x->body = head->body;
    x->left = head->content_length;
    http1_chunked_init(&x->chunks);
    count_status(x, head->status);
    if (head->status >= 500 && exchange_refuse_answer(x, head->status))
        return EXCHANGE_OVER;
    blame_answer(x, head->status);
    sticky_answer(x, head);
    if (head->status == 101)
        return begin_tunnel(x, head, data, n);
    x->state = EXCHANGE_ANSWERING;
    if (head->body == HTTP_BODY_LENGTH && head->content_length == 0)
        x->body = HTTP_BODY_NONE;
    if (x->body == HTTP_BODY_LENGTH && n < x->left && x->left <= WORKER_BODY &&
        exchange_may_hold(x) && hold(x, raw, len, data, n))
        return EXCHANGE_GO_ON;
    return answer_body(x, head, data, n);
}

static enum exchange_flow interim(struct exchange *x, const struct http_response *head)
{
    if (++x->interims > HTTP1_INTERIM_MAX)
        return bad_answer(x, HTTP1_E_INTERIM_MANY);
    /* We answer Expect ourselves; a 100 of the backend has no reader. */
    if (head->status == 100)
        return EXCHANGE_GO_ON;
    return x->ops->interim(x, head) < 0 ? client_gone(x) : EXCHANGE_GO_ON;
}

/* Keeps the beginning of a head until the rest comes. */
static enum exchange_flow keep_partial(struct exchange *x, const struct http_response *head,
                                       const struct http1_scan *scan, const char *data,
                                       size_t n)
{
    size_t room = n + WORKER_BODY; /* so that any one read fits behind it */

    CHECK(!x->partial);
    x->partial = inbox_new(x->worker, room > WORKER_FRONT ? room : WORKER_FRONT + WORKER_BODY);
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

/* A head that came in pieces: the rest joins what was kept. What follows the
 * head goes back to the area, where body bytes are expected. */
static enum exchange_flow answer_partial(struct exchange *x, const char *data, size_t n)
{
    struct worker *worker = x->worker;
    struct inbox *box = x->partial;
    char *body = worker_body(worker);
    enum exchange_flow flow;
    ssize_t len;

    if (box->n + n > box->cap)
        return bad_answer(x, HTTP1_E_HEAD_LONG);
    memcpy(box->bytes + box->n, data, n);
    box->n += n;
    len = parse(x, &box->head.response, &box->scan, box->bytes, box->n);
    if (len < 0)
        return bad_answer(x, (int)len);
    if (len == 0)
        return EXCHANGE_GO_ON;
    x->partial = NULL;
    n = box->n - (size_t)len;
    if (n)
        memcpy(body, box->bytes + len, n);
    if (box->head.response.status < 200 && box->head.response.status != 101) {
        flow = interim(x, &box->head.response);
        if (flow == EXCHANGE_GO_ON && n)
            flow = exchange_answer(x, body, n);
    } else {
        flow = answer_head(x, &box->head.response, box->bytes, (size_t)len, body, n);
    }
    /* The exchange may be over, the box is ours. */
    inbox_free(worker, box);
    return flow;
}

enum exchange_flow exchange_answer(struct exchange *x, char *data, size_t n)
{
    struct worker *worker = x->worker;
    struct http_response *head = &worker->response;

    count_add(&x->backend->cell->bytes_in, n);
    if (x->state == EXCHANGE_TUNNEL)
        return pass_on(x, NULL, data, n, false);
    if (x->state == EXCHANGE_ANSWERING)
        return x->held ? answer_held(x, data, n) : answer_body(x, NULL, data, n);
    if (!x->at.first_byte)
        begin_answer(x);
    if (x->partial)
        return answer_partial(x, data, n);
    for (;;) {
        struct http1_scan scan = {0};
        enum exchange_flow flow;
        ssize_t len = parse(x, head, &scan, data, n);

        if (len < 0)
            return bad_answer(x, (int)len);
        if (len == 0)
            return keep_partial(x, head, &scan, data, n);
        if (head->status >= 200 || head->status == 101)
            return answer_head(x, head, data, (size_t)len, data + len, n - (size_t)len);
        flow = interim(x, head);
        if (flow != EXCHANGE_GO_ON)
            return flow;
        data += len;
        n -= (size_t)len;
        if (!n)
            return EXCHANGE_GO_ON;
    }
}
