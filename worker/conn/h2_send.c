/* HTTP/2, its sending side (worker/conn/h2.h). Frames of a turn are collected and go out in one
 * write; bodies that the client's windows, or its socket, do not take wait at their stream. */
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/container.h"
#include "worker/conn/conn_state.h"
#include "worker/conn/h2.h"
#include "worker/core/core.h"
#include "worker/core/request_id.h"
#include "worker/http/headers.h"

enum { H2_FIELDS_ADDED = 2 }; /* :status, content-length */

static struct h2_stream *stream_of(struct transport *t)
{
    return container_of(t, struct h2_stream, transport);
}

/* ---- heads */

static char *lower(char *to, struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        to[i] = (char)ascii_lower((unsigned char)name.p[i]);
    return to + name.n;
}

static nghttp2_nv nv_of(const char *name, size_t nname, struct str value, bool index)
{
    return (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name,
        .namelen = nname,
        .value = (uint8_t *)(uintptr_t)value.p,
        .valuelen = value.n,
        .flags = (uint8_t)(NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE |
                           (index ? 0 : NGHTTP2_NV_FLAG_NO_INDEX)),
    };
}

/* Names in lower case, in head_scratch. Returns how many there are; -1: too large. */
static int list_fields(struct worker *worker, nghttp2_nv *to, const struct http_field *fields,
                       size_t n)
{
    char *at = worker->head_scratch, *end = at + WORKER_HEADROOM;

    for (size_t i = 0; i < n; i++) {
        const struct http_field *f = &fields[i];

        if ((size_t)(end - at) < f->name.n)
            return -1;
        /* What is of one request only would push out of the table what comes again. */
        to[i] = nv_of(at, f->name.n, f->value,
                      f->id != HTTP_F_X_REQUEST_ID && f->id != HTTP_F_SET_COOKIE);
        at = lower(at, f->name);
    }
    return (int)n;
}

/* A header block that may be larger than a frame. */
static int send_large_block(struct h2_stream *s, nghttp2_nv *nv, size_t n, size_t most,
                            bool end)
{
    uint8_t *block = malloc(most);
    enum h2_type type = H2_HEADERS;
    ssize_t len = -1, at = 0;

    if (block)
        len = nghttp2_hd_deflate_hd(s->h2->deflater, block, most, nv, n);
    while (at < len) {
        size_t part = len - at < H2_FRAME_MAX ? (size_t)(len - at) : H2_FRAME_MAX;
        uint8_t flags = type == H2_HEADERS && end ? H2_F_END_STREAM : 0;
        char *p = h2_room(s->h2, H2_FRAME_HEAD + part);

        if (!p)
            break;
        if (at + (ssize_t)part == len)
            flags |= H2_F_END_HEADERS;
        h2_put_head(p, part, type, flags, s->id);
        memcpy(p + H2_FRAME_HEAD, block + at, part);
        s->transport.wire_out += H2_FRAME_HEAD + part;
        at += (ssize_t)part;
        type = H2_CONTINUATION;
    }
    free(block);
    if (len < 0)
        s->h2->conn->broken = true;
    return len >= 0 && at == len ? 0 : -1;
}

static int send_block(struct h2_stream *s, nghttp2_nv *nv, size_t n, bool end)
{
    struct h2 *h2 = s->h2;
    size_t most = nghttp2_hd_deflate_bound(h2->deflater, nv, n);
    ssize_t len;
    char *p;

    if (most > H2_FRAME_MAX)
        return send_large_block(s, nv, n, most, end);
    p = h2_room(h2, H2_FRAME_HEAD + most);
    if (!p)
        return -1;
    len = nghttp2_hd_deflate_hd(h2->deflater, (uint8_t *)p + H2_FRAME_HEAD, most, nv, n);
    h2->nout -= most - (len < 0 ? 0 : (size_t)len);
    if (len < 0) { /* no memory: the client's table and ours differ from here on */
        h2->nout -= H2_FRAME_HEAD;
        h2->conn->broken = true;
        return -1;
    }
    h2_put_head(p, (size_t)len, H2_HEADERS,
                (uint8_t)(H2_F_END_HEADERS | (end ? H2_F_END_STREAM : 0)), s->id);
    s->transport.wire_out += H2_FRAME_HEAD + (size_t)len;
    return 0;
}

static int drop_accept(nghttp2_nv *nv, int n)
{
    int kept = 0;

    for (int i = 0; i < n; i++)
        if (!str_eq(str_make((const char *)nv[i].name, nv[i].namelen),
                    STR("sec-websocket-accept")))
            nv[kept++] = nv[i];
    return kept;
}

static int h2_send_head(struct h2_stream *s, const struct http_head *head, bool end)
{
    nghttp2_nv nv[HTTP_FIELDS_MAX + H2_FIELDS_ADDED];
    char status[STR_DECIMAL], length[STR_DECIMAL];
    unsigned code = head->status == 101 ? 200 : head->status; /* RFC 8441 5 */
    int n;

    nv[0] = nv_of(":status", 7, str_decimal(status, code), true);
    n = list_fields(s->h2->conn->worker, nv + 1, head->fields, head->nfields);
    if (n < 0)
        return -1;
    n++;
    if (head->status == 101) /* of HTTP/1.1 only: our own key was replied to */
        n = drop_accept(nv, n);
    if (head->has_length)
        nv[n++] = nv_of("content-length", 14, str_decimal(length, head->content_length), true);
    s->local_ended |= end;
    return send_block(s, nv, (size_t)n, end);
}

static void send_trailers(struct h2_stream *s)
{
    nghttp2_nv nv[HTTP_FIELDS_MAX];
    const struct transport *t = &s->transport;
    int n = list_fields(s->h2->conn->worker, nv, t->trailers, t->ntrailers);

    s->local_ended = true;
    if (n > 0)
        send_block(s, nv, (size_t)n, true);
    else
        h2_send_frame(s->h2, H2_DATA, H2_F_END_STREAM, s->id, NULL, 0);
}

void h2_send_continue(struct h2_stream *s)
{
    nghttp2_nv nv = nv_of(":status", 7, STR("100"), true);

    s->expect = false;
    send_block(s, &nv, 1, false);
}

/* ---- bodies */

/* Bytes that may go out now. */
static size_t sendable(const struct h2_stream *s)
{
    int64_t most = s->send_window < s->h2->send_window ? s->send_window : s->h2->send_window;

    return most > 0 && !s->h2->conn->writing ? (size_t)most : 0;
}

/* Writes n bytes that the windows allow. end: nothing follows. false: the client is gone. */
static bool put_data(struct h2_stream *s, const char *data, size_t n, bool end)
{
    struct h2 *h2 = s->h2;

    s->send_window -= (int64_t)n;
    h2->send_window -= (int64_t)n;
    h2_budget_bytes(&h2->budget, n);
    s->local_ended |= end;
    do {
        size_t part = n < H2_FRAME_MAX ? n : H2_FRAME_MAX;
        char *p = h2_room(h2, H2_FRAME_HEAD + part);

        if (!p)
            return false;
        h2_put_head(p, part, H2_DATA, part == n && end ? H2_F_END_STREAM : 0, s->id);
        if (part)
            memcpy(p + H2_FRAME_HEAD, data, part);
        s->transport.wire_out += H2_FRAME_HEAD + part;
        data += part;
        n -= part;
    } while (n);
    return true;
}

static void h2_send_end(struct h2_stream *s)
{
    if (s->transport.exchange && s->transport.ntrailers)
        send_trailers(s);
    else
        put_data(s, NULL, 0, true);
}

/* Keeps what cannot go out yet. */
static bool hold_data(struct h2_stream *s, const char *data, size_t n)
{
    struct conn *c = s->h2->conn;
    uint64_t now = c->worker->loop.now_ms;

    if (s->out_at) {
        memmove(s->out, s->out + s->out_at, s->nout - s->out_at);
        s->nout -= s->out_at;
        s->out_at = 0;
    }
    if (n > s->out_cap - s->nout) {
        size_t cap = s->nout + n > 2 * s->out_cap ? s->nout + n : 2 * s->out_cap;
        char *more = realloc(s->out, cap);

        if (!more)
            return false;
        s->out = more;
        s->out_cap = cap;
    }
    memcpy(s->out + s->nout, data, n);
    s->nout += n;
    conn_holds(c, c->held + n);
    if (!c->writing)
        pace_wait(&s->reads, now);
    return true;
}

void h2_stream_drop_out(struct h2_stream *s)
{
    struct conn *c = s->h2->conn;

    conn_holds(c, c->held - (s->nout - s->out_at));
    free(s->out);
    s->out = NULL;
    s->nout = s->out_at = s->out_cap = 0;
    s->end_due = false;
}

/* The result of an operation whose bytes were taken. */
static int taken(struct h2_stream *s)
{
    const struct conn *c = s->h2->conn;

    if (c->broken)
        return -1;
    s->waits = s->nout > 0 || s->end_due || c->writing;
    if (!s->waits)
        return 0;
    return conn_has_room(c) && !s->tunnel ? 2 : 1;
}

static int send_body(struct h2_stream *s, const char *data, size_t n, bool last)
{
    size_t now = s->nout ? 0 : sendable(s);
    bool trailers = last && s->transport.exchange && s->transport.ntrailers;

    if (now > n)
        now = n;
    if (now && !put_data(s, data, now, last && now == n && !trailers))
        return -1;
    if (now < n && !hold_data(s, data + now, n - now))
        return -1;
    if (last && s->nout)
        s->end_due = true;
    else if (last && !s->local_ended)
        h2_send_end(s);
    return taken(s);
}

/* Up to a frame of what waits. true: some went out. */
static bool pump(struct h2_stream *s)
{
    size_t waiting = s->nout - s->out_at, n = sendable(s);
    struct conn *c = s->h2->conn;
    bool end;

    if (n > waiting)
        n = waiting;
    if (n > H2_FRAME_MAX)
        n = H2_FRAME_MAX;
    if (!n)
        return false;
    end = n == waiting && s->end_due && !(s->transport.exchange && s->transport.ntrailers);
    if (!put_data(s, s->out + s->out_at, n, end))
        return false;
    s->out_at += n;
    conn_holds(c, c->held - n);
    pace_got(&s->reads, c->worker->loop.now_ms, n, c->worker->conf->limits.min_read_rate);
    if (n < waiting) {
        pace_wait(&s->reads, c->worker->loop.now_ms);
        return true;
    }
    if (s->end_due && !s->local_ended)
        h2_send_end(s);
    h2_stream_drop_out(s);
    s->h2->reap |= s->finished;
    return true;
}

void h2_pump(struct h2 *h2)
{
    bool more = h2->conn->held > 0;

    while (more) {
        more = false;
        for (struct h2_stream *s = h2->first; s; s = s->next)
            if (s->nout && !s->reset)
                more |= pump(s);
    }
}

void h2_wake(struct h2 *h2, bool all)
{
    struct conn *c = h2->conn;
    size_t half = c->worker->conf->limits.response_buffer / 2;

    for (struct h2_stream *s = h2->first; s; s = s->next) {
        bool done = !s->nout && !c->writing;

        if (!s->waits || !s->transport.exchange)
            continue;
        if (!done && (!all || !conn_has_room(c) || c->waiting + c->held > half))
            continue;
        s->waits = !done;
        c->worker->requests->writable(s->transport.exchange, done);
    }
}

/* ---- what an exchange calls */

/* Authentication of connections is not possible where requests share one with others: the
 * client is to come again by HTTP/1.1 (RFC 9113 9.2, as IIS does), and browsers do. */
static bool asks_for_h1(const struct http_head *head)
{
    for (unsigned i = 0; head->status == 401 && i < head->nfields; i++) {
        const struct http_field *f = &head->fields[i];

        if (str_eq_case(f->name, STR("WWW-Authenticate")) &&
            (str_starts_case(f->value, STR("NTLM")) ||
             str_starts_case(f->value, STR("Negotiate"))))
            return true;
    }
    return false;
}

static void require_h1(struct h2_stream *s)
{
    s->reset = true;
    h2_send_number(s->h2, H2_RST_STREAM, s->id, H2_HTTP_1_1_REQUIRED);
}

static int h2_send_respond(struct transport *t, const struct http_head *head, char *data,
                           size_t n, bool last)
{
    struct h2_stream *s = stream_of(t);

    if (s->reset || s->h2->dead)
        return -1;
    s->expect = false;
    s->responded = true;
    s->tunnel = head->status == 101;
    if (asks_for_h1(head)) {
        require_h1(s);
        return last ? 0 : -1;
    }
    if (h2_send_head(s, head, last && !n && !t->ntrailers) < 0)
        return -1;
    return n || (last && !s->local_ended) ? send_body(s, data, n, last) : taken(s);
}

static int h2_send_body(struct transport *t, char *data, size_t n, bool last)
{
    struct h2_stream *s = stream_of(t);

    return s->reset || s->h2->dead ? -1 : send_body(s, data, n, last);
}

static int h2_send_interim(struct transport *t, const struct http_head *head)
{
    struct h2_stream *s = stream_of(t);

    return s->reset || s->h2->dead ? -1 : h2_send_head(s, head, false);
}

static int put_own(struct h2_stream *s, const struct http_head *head, struct str body)
{
    s->expect = false;
    s->responded = true;
    if (h2_send_head(s, head, !body.n) < 0)
        return -1;
    return body.n ? send_body(s, body.p, body.n, true) : 0;
}

static int h2_send_own(struct transport *t, const struct http_head *head, struct str body)
{
    struct h2_stream *s = stream_of(t);

    return s->reset || s->h2->dead ? -1 : put_own(s, head, body);
}

void h2_refuse(struct h2_stream *s, uint16_t status, const char *detail)
{
    struct conn *c = s->h2->conn;
    struct worker *worker = c->worker;
    struct headers_own_info info = {.status = status};
    struct headers_own own;
    struct text_out text;
    char id[32];

    if (status == 405)
        info.allow = conn_of_status(c) ? STR("GET, HEAD") : STR(HEADERS_METHODS);
    if (status == 503) {
        request_id_make(worker, id);
        info.request_id = str_make(id, sizeof id);
        info.retry_after = HEADERS_RETRY_AFTER_S;
        info.proxy_error = "proxy_internal_error";
        info.proxy_detail = detail;
    }
    info.date = str_from(worker->date);
    info.hsts = peer_hsts(worker, &c->peer);
    text_out_init(&text, worker->field_scratch, WORKER_HEADROOM);
    s->finished = s->h2->reap = true;
    s->whole = headers_own(&own, &info, &text) && put_own(s, &own.head, own.body) >= 0;
    worker->requests->refused(worker, &c->peer, &info, detail, s->transport.wire_in,
                              s->transport.wire_out, s->whole ? own.body.n : 0);
}

static void h2_send_want_body(struct transport *t)
{
    struct h2_stream *s = stream_of(t);

    if (s->want_body || s->told_end)
        return;
    s->want_body = true;
    if (s->expect || s->nin || s->remote_ended) {
        s->h2->attend = true;
        conn_schedule(s->h2->conn);
    }
}

static void h2_send_finish(struct transport *t, bool whole)
{
    struct h2_stream *s = stream_of(t);

    s->transport.exchange = NULL;
    s->want_body = false;
    s->finished = s->h2->reap = true;
    s->whole = whole;
    conn_schedule(s->h2->conn);
}

const struct transport_ops h2_ops = {
    .piece = WORKER_BODY,
    .respond = h2_send_respond,
    .body = h2_send_body,
    .interim = h2_send_interim,
    .own = h2_send_own,
    .want_body = h2_send_want_body,
    .finish = h2_send_finish,
};
