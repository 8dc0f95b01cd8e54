/* What is written to a client: heads, bodies, our own responses (worker/conn/client.h). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/container.h"
#include "base/log.h"
#include "worker/conn/client_state.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"
#include "worker/core/request_id.h"
#include "worker/http/rewrite.h"
#include "worker/tls/tls.h"

void client_waits(struct client *c, size_t waiting)
{
    if (!client_of_status(c))
        c->worker->waiting += waiting - c->waiting;
    c->waiting = waiting;
}

enum { CLIENT_LOOK_MS = 1000 }; /* minimum time between two checks of a slow reader */

/* ---- slow readers: their responses are kept as long as they read at all */

bool client_has_room(const struct client *c)
{
    const struct worker *worker = c->worker;
    const struct conf_limits *limits = &worker->conf->limits;

    return !c->tunnel && c->waiting < limits->response_buffer &&
           worker->waiting < limits->response_memory &&
           worker->collecting_bytes + worker->waiting < limits->memory / 4 * 3 &&
           worker->buffered + worker->waiting < limits->memory;
}

/* Milliseconds until the next check whether it reads. */
static uint32_t left_to_read(const struct client *c)
{
    uint32_t left = pace_left(&c->reads, c->worker->loop.now_ms, c->transport.send_ms,
                              c->worker->conf->limits.min_read_rate);

    /* A client that has used up its time still gets a moment to show that it reads. */
    if (left < CLIENT_LOOK_MS)
        left = CLIENT_LOOK_MS;
    return left < c->transport.send_ms ? left : c->transport.send_ms;
}

static void begin_waiting(struct client *c)
{
    c->writing = true;
    /* Its request body is not read meanwhile. */
    pace_got(&c->sends, c->worker->loop.now_ms, 0, c->worker->conf->limits.min_body_rate);
    c->handed = stream_handed(&c->stream);
    c->taken = stream_acknowledged(&c->stream);
    pace_wait(&c->reads, c->worker->loop.now_ms);
    client_arm(c, left_to_read(c));
}

void client_flushed(struct client *c)
{
    uint64_t handed = stream_handed(&c->stream);

    c->writing = false;
    client_waits(c, 0);
    pace_got(&c->reads, c->worker->loop.now_ms, handed - c->handed,
             c->worker->conf->limits.min_read_rate);
    client_arm(c, 0);
}

const char *client_late(struct client *c)
{
    uint64_t now = c->worker->loop.now_ms, taken = stream_acknowledged(&c->stream);
    uint64_t more = taken > c->taken ? taken - c->taken : 0;

    /* The socket's own buffer may hold more than the client reads in this time: only bytes that
     * the client has acknowledged count. */
    pace_got(&c->reads, now, more, c->worker->conf->limits.min_read_rate);
    pace_wait(&c->reads, now);
    c->taken = taken;
    c->handed = stream_handed(&c->stream);
    if (more && pace_left(&c->reads, now, c->transport.send_ms,
                          c->worker->conf->limits.min_read_rate)) {
        client_arm(c, left_to_read(c));
        return NULL;
    }
    count_add(&c->worker->row->slow_readers, 1);
    return more ? "the client read too slowly (limits.min_read_rate)"
                : "the client does not read the response";
}

/* Some bytes wait. 1: the backend must wait for the client, 2: it need not. */
static int keep_waiting(struct client *c, size_t waiting)
{
    const struct conf_limits *limits = &c->worker->conf->limits;

    client_waits(c, waiting);
    if (!c->writing)
        begin_waiting(c);
    if (client_has_room(c))
        return 2;
    if (!c->tunnel && waiting < limits->response_buffer)
        worker_refused_memory(c->worker, c->worker->waiting >= limits->response_memory
                                             ? "limits.response_memory"
                                             : "limits.memory");
    return 1;
}

/* One write; arms the client's deadline if the socket does not take everything. last: last
 * bytes of this response. */
static int client_write_put(struct client *c, const char *bytes, size_t n, bool last)
{
    ssize_t waiting = last && !c->keep ? stream_write_last(&c->stream, bytes, n)
                                       : stream_write(&c->stream, bytes, n);

    c->transport.wire_out += n;
    if (waiting < 0) {
        c->broken = true;
        return -1;
    }
    if (waiting > 0)
        return keep_waiting(c, (size_t)waiting);
    if (c->writing)
        client_flushed(c);
    return 0;
}

static struct str hsts(const struct client *c)
{
    return c->peer.tls ? c->worker->hsts : STR_EMPTY;
}

/* Can the connection go on after a response that begins now? */
static bool goes_on(const struct client *c)
{
    return c->keep && c->body_done && !c->worker->draining;
}

static struct client *client_of(struct transport *t)
{
    return container_of(t, struct client, transport);
}

static ssize_t client_write_head(struct client *c, const struct http_response *head,
                                 struct rewrite_response_info *info)
{
    struct worker *worker = c->worker;
    struct rewrite_out out;

    info->client_method = c->method;
    info->client_minor = c->minor;
    info->keep_alive = c->keep;
    info->hsts = hsts(c);
    info->date = str_from(worker->date);
    rewrite_out_init(&out, worker->head_scratch, WORKER_HEADROOM - H1_CHUNK_HEAD_MAX);
    return rewrite_response(&out, head, info);
}

/* Ends a chunked body that has trailers; the bytes before are out. */
static int put_trailers(struct client *c)
{
    char *to = c->worker->head_scratch;
    size_t n = c->transport.trailer.n;

    memcpy(to, "0\r\n", 3);
    memcpy(to + 3, c->transport.trailer.p, n);
    memcpy(to + 3 + n, "\r\n", 2);
    return client_write_put(c, to, n + 5, true);
}

/* Writes n bytes, framed, with the end of the body if last. before: bytes that go in front of
 * them in the same write. */
static int put_chunk(struct client *c, struct str before, char *data, size_t n, bool last)
{
    bool trailers = last && c->chunked && c->transport.trailer.n;
    int result;

    if (c->chunked && (n || (last && !trailers)))
        n = h1_chunk_frame(&data, n, last && !trailers);
    if (before.n) {
        /* Head and first bytes go out as one record and one write. */
        CHECK(data - c->worker->relay_buffer >= (ptrdiff_t)before.n);
        data -= before.n;
        memcpy(data, before.p, before.n);
        n += before.n;
    }
    result = n ? client_write_put(c, data, n, last && !trailers) : c->writing ? 2 : 0;
    return trailers && result >= 0 ? put_trailers(c) : result;
}

static int respond(struct transport *t, const struct http_response *head,
                   struct rewrite_response_info *info, char *data, size_t n, bool last)
{
    struct client *c = client_of(t);
    enum http_body body = rewrite_response_body(head, c->minor);
    ssize_t len;

    c->tunnel = head->status == 101;
    c->expect = false; /* no 100 after a final response */
    c->chunked = body == HTTP_BODY_CHUNKED && !c->tunnel;
    c->keep = goes_on(c) && body != HTTP_BODY_UNTIL_CLOSE && !c->tunnel;
    if (c->tunnel)
        c->want_body = c->body_done = false;
    len = client_write_head(c, head, info);
    if (len < 0)
        return -1;
    return put_chunk(c, str_make(c->worker->head_scratch, (size_t)len), data, n, last);
}

static int body(struct transport *t, char *data, size_t n, bool last)
{
    struct client *c = client_of(t);

    if (n || !last || !c->tunnel)
        return put_chunk(c, STR_EMPTY, data, n, last);
    client_end_output(c);
    return 0;
}

void client_end_output(struct client *c)
{
    ssize_t waiting = c->writing ? 1 : stream_shutdown(&c->stream, false);

    c->end_due = waiting > 0;
    if (waiting > 0) {
        if (!c->writing)
            begin_waiting(c);
        return;
    }
    c->ended = true;
    stream_shutdown(&c->stream, true);
}

static int client_write_interim(struct transport *t, const struct http_response *head,
                                struct rewrite_response_info *info)
{
    struct client *c = client_of(t);
    ssize_t len;

    if (c->minor == 0)
        return 0;
    len = client_write_head(c, head, info);
    return len < 0 ? -1 : client_write_put(c, c->worker->head_scratch, (size_t)len, false);
}

/* Length of the body of a whole response. */
static size_t body_of(const char *bytes, size_t n)
{
    const char *end = memmem(bytes, n, "\r\n\r\n", 4);

    return end ? n - (size_t)(end + 4 - bytes) : 0;
}

/* *sent, *body: length of the response, and of its body; 0 if it could not be made. */
static int put_own(struct client *c, struct rewrite_own_info *info, size_t *sent, size_t *body)
{
    size_t room = info->body.n + REWRITE_GROWTH_MAX + info->location.n;
    char *bytes = room <= WORKER_HEADROOM ? c->worker->head_scratch : malloc(room);
    struct rewrite_out out;
    ssize_t len;
    int result = -1;

    *sent = *body = 0;
    info->client_method = c->method;
    info->keep_alive = c->keep;
    info->tls = c->peer.tls != NULL;
    info->hsts = hsts(c);
    info->date = str_from(c->worker->date);
    if (!bytes)
        return -1;
    rewrite_out_init(&out, bytes, room);
    len = rewrite_own_response(&out, info);
    if (len >= 0) {
        *sent = (size_t)len;
        *body = body_of(bytes, (size_t)len);
        result = client_write_put(c, bytes, (size_t)len, true);
    }
    if (bytes != c->worker->head_scratch)
        free(bytes);
    return result;
}

static int own(struct transport *t, struct rewrite_own_info *info, size_t *body)
{
    struct client *c = client_of(t);
    size_t sent;

    /* After a refusal that the client's bytes caused, its next bytes cannot be trusted to be a
     * request. */
    c->keep = goes_on(c) && info->status != 400 && info->status != 408;
    return put_own(c, info, &sent, body);
}

static void refuse(struct client *c, struct rewrite_own_info *info, const char *detail)
{
    size_t sent, body;

    c->keep = false;
    c->method = HTTP_GET;
    c->transport.send_ms = c->worker->conf->timeouts.send_ms;
    put_own(c, info, &sent, &body);
    c->worker->requests->refused(c->worker, &c->peer, info, detail,
                                 c->head_buffer ? c->head_buffer->n : 0, sent, body);
}

void client_refuse(struct client *c, uint16_t status, const char *detail)
{
    struct rewrite_own_info info = {.status = status};
    char id[32];

    if (status == 405) /* TRACE, CONNECT: refused before a route is known (RFC 9110 15.5.6) */
        info.allow = c->peer.listen->serve == CONF_SERVE_STATUS ? STR("GET, HEAD")
                                                                : STR(REWRITE_METHODS);
    if (status == 503) {
        request_id_make(c->worker, id);
        info.request_id = str_make(id, sizeof id);
        info.retry_after = REWRITE_RETRY_AFTER_S;
        info.proxy_error = "proxy_internal_error";
        info.proxy_detail = detail;
    }
    refuse(c, &info, detail);
}

static void refuse_plain_http(struct client *c)
{
    struct rewrite_own_info info = {
        .status = 400,
        .body =
            STR("400 Bad Request: this port requires TLS, and the request came without it.\n"
                "Use https:// instead of http://.\n"),
    };

    stream_drop_tls(&c->stream);
    c->peer.tls = NULL;
    refuse(c, &info, "plain HTTP on a TLS port");
    c->body_done = false; /* what follows is read and discarded */
    c->state = CLIENT_EXCHANGE;
}

void client_handshake_failed(struct client *c, enum handshake_failure failure, const char *why)
{
    static struct log_gate gate[HANDSHAKE_FAILURES];
    struct worker_row *row = c->worker->row;
    const char *name = handshake_failure_name(failure);

    count_add(&row->handshake_errors, 1);
    count_add(&row->handshake_failures[failure], 1);
    /* A client that only checks whether the port is open is not worth a log line. */
    if (tls_conn_heard(c->stream.tls) && log_wants(LOG_LEVEL_INFO) &&
        log_gate_open(&gate[failure]))
        log_info("TLS handshake with %s failed: %s (%s)", c->peer.ip, name, why);
    else
        log_debug("TLS handshake with %s failed: %s (%s)", c->peer.ip, name, why);
    if (failure == HANDSHAKE_PLAIN_HTTP)
        refuse_plain_http(c);
    else
        c->state = CLIENT_CLOSED;
}

int client_continue(struct client *c)
{
    if (!c->expect)
        return 0;
    c->expect = false;
    return client_write_put(c, REWRITE_CONTINUE, sizeof REWRITE_CONTINUE - 1, false);
}

static void want_body(struct transport *t)
{
    struct client *c = client_of(t);

    if (c->want_body || c->body_done)
        return;
    c->want_body = true;
    client_schedule(c);
}

static void client_write_finish(struct transport *t, bool whole)
{
    struct client *c = client_of(t);

    c->transport.exchange = NULL;
    c->want_body = false;
    c->keep &= whole;
    c->cut = !whole;
    client_schedule(c);
}

const struct transport_ops client_ops = {
    .respond = respond,
    .body = body,
    .interim = client_write_interim,
    .own = own,
    .want_body = want_body,
    .finish = client_write_finish,
};
