/* HTTP/1.1, its sending side: heads, bodies, our own responses (worker/conn/h1.h). */
#include <string.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/container.h"
#include "worker/conn/conn_state.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"
#include "worker/core/request_id.h"
#include "worker/http/h1_write.h"
#include "worker/http/headers.h"

/* last: last bytes of this response. */
static int h1_put(struct conn *c, const char *bytes, size_t n, bool last)
{
    c->h1.transport.wire_out += n;
    return conn_put(c, bytes, n, last && !c->h1.keep);
}

/* Can the connection go on after a response that begins now? */
static bool goes_on(const struct conn *c)
{
    return c->h1.keep && c->h1.body_done && !c->worker->draining;
}

static struct conn *client_of(struct transport *t)
{
    return container_of(t, struct conn, h1.transport);
}

/* Writes the head to head_scratch. Its length, or -1. */
static ssize_t h1_send_head(struct conn *c, const struct http_head *head)
{
    struct text_out out;

    text_out_init(&out, c->worker->head_scratch, WORKER_HEADROOM - H1_CHUNK_HEAD_MAX);
    return h1_write_response(&out, head, c->h1.keep, c->h1.minor);
}

/* Ends a chunked body that has trailers; the bytes before are out. */
static int put_trailers(struct conn *c)
{
    char *to = c->worker->head_scratch;
    struct text_out out;
    ssize_t n;

    memcpy(to, "0\r\n", 3);
    text_out_init(&out, to + 3, WORKER_HEADROOM - 5);
    n = h1_write_trailers(&out, c->h1.transport.trailers, c->h1.transport.ntrailers);
    if (n < 0)
        n = 0;
    memcpy(to + 3 + n, "\r\n", 2);
    return h1_put(c, to, (size_t)n + 5, true);
}

/* Writes n bytes, framed, with the end of the body if last. before: bytes that go in front of
 * them in the same write. */
static int put_chunk(struct conn *c, struct str before, char *data, size_t n, bool last)
{
    bool trailers = last && c->h1.chunked && c->h1.transport.ntrailers;
    int result;

    if (c->h1.chunked && (n || (last && !trailers)))
        n = h1_chunk_frame(&data, n, last && !trailers);
    if (before.n) {
        /* Head and first bytes go out as one record and one write. */
        CHECK(data - c->worker->relay_buffer >= (ptrdiff_t)before.n);
        data -= before.n;
        memcpy(data, before.p, before.n);
        n += before.n;
    }
    result = n ? h1_put(c, data, n, last && !trailers) : c->writing ? 2 : 0;
    return trailers && result >= 0 ? put_trailers(c) : result;
}

static int respond(struct transport *t, const struct http_head *head, char *data, size_t n,
                   bool last)
{
    struct conn *c = client_of(t);
    enum http_body body = h1_write_body(head, c->h1.minor);
    ssize_t len;

    c->tunnel = head->status == 101;
    c->h1.expect = false; /* no 100 after a final response */
    c->h1.chunked = body == HTTP_BODY_CHUNKED && !c->tunnel;
    c->h1.keep = goes_on(c) && body != HTTP_BODY_UNTIL_CLOSE && !c->tunnel;
    if (c->tunnel)
        c->h1.want_body = c->h1.body_done = false;
    len = h1_send_head(c, head);
    if (len < 0) {
        c->tunnel = false;
        return TRANSPORT_HEAD_LARGE;
    }
    return put_chunk(c, str_make(c->worker->head_scratch, (size_t)len), data, n, last);
}

static int body(struct transport *t, char *data, size_t n, bool last)
{
    struct conn *c = client_of(t);

    if (n || !last || !c->tunnel)
        return put_chunk(c, STR_EMPTY, data, n, last);
    conn_end_output(c);
    return 0;
}

static int h1_send_interim(struct transport *t, const struct http_head *head)
{
    struct conn *c = client_of(t);
    ssize_t len;

    if (c->h1.minor == 0)
        return 0;
    len = h1_send_head(c, head);
    return len < 0 ? TRANSPORT_HEAD_LARGE
                   : h1_put(c, c->worker->head_scratch, (size_t)len, false);
}

/* Writes a whole response, in one write if that is not too large. *sent: its length. */
static int put_own(struct conn *c, const struct http_head *head, struct str body, size_t *sent)
{
    char *bytes = c->worker->head_scratch;
    ssize_t len = h1_send_head(c, head);
    size_t n = (size_t)len;
    int result;

    *sent = 0;
    if (len < 0)
        return -1;
    *sent = n + body.n;
    if (body.n && body.n <= WORKER_HEADROOM - n) {
        memcpy(bytes + n, body.p, body.n);
        n += body.n;
        body = STR_EMPTY;
    }
    result = h1_put(c, bytes, n, !body.n);
    return body.n && result >= 0 ? h1_put(c, body.p, body.n, true) : result;
}

static int own(struct transport *t, const struct http_head *head, struct str body)
{
    struct conn *c = client_of(t);
    size_t sent;

    /* After a refusal that the client's bytes caused, its next bytes cannot be trusted to be a
     * request. One that sends too many has to connect again, which is limited as well. */
    c->h1.keep =
        goes_on(c) && head->status != 400 && head->status != 408 && head->status != 429;
    return put_own(c, head, body, &sent);
}

/* Without an exchange: there is no request, or no memory for one. */
static void refuse(struct conn *c, struct headers_own_info *info, const char *detail)
{
    struct worker *worker = c->worker;
    struct headers_own own;
    struct text_out text;
    size_t sent = 0;

    c->h1.keep = false;
    c->h1.transport.send_ms = worker->conf->timeouts.send_ms;
    info->date = str_from(worker->date);
    info->hsts = peer_hsts(worker, &c->peer);
    text_out_init(&text, worker->field_scratch, WORKER_HEADROOM);
    if (headers_own(&own, info, &text))
        put_own(c, &own.head, own.body, &sent);
    worker->requests->refused(worker, &c->peer, info, detail,
                              c->h1.head_buffer ? c->h1.head_buffer->n : 0, sent, own.body.n);
}

void h1_refuse(struct conn *c, uint16_t status, const char *detail)
{
    struct headers_own_info info = {.status = status};
    char id[32];

    if (status == 405) /* TRACE, CONNECT: refused before a route is known (RFC 9110 15.5.6) */
        info.allow = c->peer.listen->serve == CONF_SERVE_STATUS ? STR("GET, HEAD")
                                                                : STR(HEADERS_METHODS);
    if (status == 503) {
        request_id_make(c->worker, id);
        info.request_id = str_make(id, sizeof id);
        info.retry_after = HEADERS_RETRY_AFTER_S;
        info.proxy_error = "proxy_internal_error";
        info.proxy_detail = detail;
    }
    refuse(c, &info, detail);
}

void h1_refuse_plain_http(struct conn *c)
{
    struct headers_own_info info = {
        .status = 400,
        .body =
            STR("400 Bad Request: this port requires TLS, and the request came without it.\n"
                "Use https:// instead of http://.\n"),
    };

    stream_drop_tls(&c->stream);
    c->peer.tls = NULL;
    refuse(c, &info, "plain HTTP on a TLS port");
    c->h1.body_done = false; /* what follows is read and discarded */
    c->state = CONN_EXCHANGE;
}

int h1_continue(struct conn *c)
{
    if (!c->h1.expect)
        return 0;
    c->h1.expect = false;
    return h1_put(c, H1_WRITE_CONTINUE, sizeof H1_WRITE_CONTINUE - 1, false);
}

static void want_body(struct transport *t)
{
    struct conn *c = client_of(t);

    if (c->h1.want_body || c->h1.body_done)
        return;
    c->h1.want_body = true;
    conn_schedule(c);
}

static void h1_send_finish(struct transport *t, bool whole)
{
    struct conn *c = client_of(t);

    c->h1.transport.exchange = NULL;
    c->h1.want_body = false;
    c->h1.keep &= whole;
    c->cut = !whole;
    conn_schedule(c);
}

const struct transport_ops h1_ops = {
    .piece = WORKER_BODY,
    .respond = respond,
    .body = body,
    .interim = h1_send_interim,
    .own = own,
    .shrink = h1_head_shrink,
    .want_body = want_body,
    .finish = h1_send_finish,
};
