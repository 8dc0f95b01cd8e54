/* HTTP/2, header blocks: decoded, judged, made a request (worker/conn/h2.h).
 *
 * A block is decoded when it is complete, whatever becomes of it: client and we must keep the
 * same table (RFC 7541 2.2). */
#include <nghttp2/nghttp2.h>
#include <string.h>

#include "base/conf/conf.h"
#include "worker/conn/conn_state.h"
#include "worker/conn/h2.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"
#include "worker/core/request_id.h"
#include "worker/http/h2_head.h"
#include "worker/http/headers.h"
#include "worker/tls/tls.h"

/* Decodes a whole block. false: the connection ends. */
static bool decode(struct h2 *h2, struct h2_head *to, const uint8_t *p, size_t n)
{
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(h2->inflater, &nv, &flags, p, n, 1);

        if (used < 0 || (!flags && (size_t)used == n)) {
            h2_fail(h2, H2_COMPRESSION_ERROR, "a header block that cannot be decoded");
            return false;
        }
        p += used;
        n -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            h2_head_field(to, str_make((const char *)nv.name, nv.namelen),
                          str_make((const char *)nv.value, nv.valuelen));
        if (to->decoded > H2_BUDGET_DECODED) {
            h2_limit(h2, &h2->conn->worker->row->http2_ended_blocks,
                     "a header block that is far too large");
            return false;
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL) {
            nghttp2_hd_inflate_end_headers(h2->inflater);
            return true;
        }
    }
}

/* ---- a new request */

static void deny(struct h2 *h2, struct h2_stream *s, uint32_t id, enum h2_error error)
{
    h2_send_number(h2, H2_RST_STREAM, id, error);
    if (s) {
        s->reset = s->finished = h2->reap = true;
    } else {
        h2_stream_remember(h2, id, H2_END_BY_US);
    }
    h2_count_reset(h2);
}

/* A malformed request (RFC 9113 8.1.1): logged like any other that is refused. */
static void deny_malformed(struct h2 *h2, uint32_t id, const char *why, size_t in)
{
    struct conn *c = h2->conn;
    struct headers_own_info info = {.status = 400};

    c->worker->requests->refused(c->worker, &c->peer, &info, why, in, 0, 0);
    deny(h2, NULL, id, H2_PROTOCOL_ERROR);
}

static ssize_t parse(struct conn *c, struct head_buffer *buffer)
{
    const struct h1_request_policy policy = {.is_tls = c->peer.tls != NULL,
                                             .raw_targets = c->peer.listen->targets ==
                                                            CONF_TARGETS_ENCODE};

    return h1_request_parse(&buffer->head.request, buffer->bytes, buffer->n, &buffer->scan,
                            &c->worker->limits, &policy);
}

/* What HTTP/1.1's text could not say. */
static void set_protocol(struct http_request *r, bool end)
{
    r->version_major = 2;
    r->version_minor = 0;
    if (r->body == HTTP_BODY_NONE && !end && !r->upgrade_websocket)
        r->body = HTTP_BODY_CHUNKED; /* of a length that is not known */
}

static void begin(struct h2_stream *s, bool memory)
{
    struct conn *c = s->h2->conn;
    struct worker *worker = c->worker;
    const struct http_request *r = s->transport.request;

    s->expect = r->expect_continue && !s->remote_ended;
    s->told_end = s->remote_ended && !s->websocket;
    c->peer.requests++;
    s->transport.stream = s->id;
    if (!conn_of_status(c))
        count_add(&worker->row->http2_requests, 1);
    h2_budget_request(&s->h2->budget);
    conn_asked(c);
    if (!worker->requests->create(worker, &s->transport))
        h2_refuse(s, 503, EXCHANGE_NO_MEMORY);
    else if (!memory)
        worker->requests->no_memory(s->transport.exchange, 0);
    else
        worker->requests->begin(s->transport.exchange, NULL, 0,
                                s->remote_ended || s->websocket);
}

static void judge(struct h2_stream *s, bool memory)
{
    struct conn *c = s->h2->conn;
    struct http_request *r = &s->head->head.request;
    ssize_t n = parse(c, s->head);

    if (n <= 0) {
        const struct h1_error_info *error = h1_error_info(n ? (int)n : H1_E_HEAD_LONG);

        h2_refuse(s, error->status, error->reason);
        return;
    }
    if (s->remote_ended && r->body == HTTP_BODY_LENGTH && r->content_length) {
        deny(s->h2, s, s->id, H2_PROTOCOL_ERROR);
        return;
    }
    if (s->websocket && !r->upgrade_websocket) {
        h2_refuse(s, 400, "an extended CONNECT without Sec-WebSocket-Version");
        return;
    }
    if (!conn_of_status(c) && !tls_conn_serves(c->stream.tls, r->host.p, r->host.n)) {
        h2_refuse(s, 421, "the certificate of this connection is not the one of that host");
        return;
    }
    set_protocol(r, s->remote_ended);
    s->transport.request = r;
    begin(s, memory);
}

static void open_request(struct h2 *h2, uint32_t id, const struct h2_head *head, size_t in)
{
    struct conn *c = h2->conn;
    struct worker *worker = c->worker;
    struct h2_stream *s = h2_stream_open(h2, id);
    bool memory = true;

    if (!s) {
        deny(h2, NULL, id, H2_REFUSED_STREAM);
        return;
    }
    s->remote_ended = h2->block_flags & H2_F_END_STREAM;
    s->websocket = head->websocket;
    s->transport.wire_in = in;
    if (head->over) {
        h2_refuse(s, 431, "the header fields are too large, or too many");
        return;
    }
    s->head = head_buffer_new_apart(worker, head->n);
    if (!s->head) {
        h2_refuse(s, 503, EXCHANGE_NO_MEMORY);
        return;
    }
    if (!conn_of_status(c))
        memory = head_buffer_claim(worker, s->head);
    if (memory && !conn_of_status(c))
        head_buffer_charge(s->head, c->peer.client);
    memcpy(s->head->bytes, head->text, head->n);
    s->head->n = head->n;
    judge(s, memory);
}

/* A Sec-WebSocket-Key: 16 bytes in base64, of which the last group has four bits of 0. HTTP/2
 * needs none (RFC 8441 5), HTTP/1.1 does. */
static struct str websocket_key(struct worker *worker, char key[32])
{
    request_id_make(worker, key);
    memcpy(key + 21, "A==", 3);
    return str_make(key, 24);
}

static void new_block(struct h2 *h2, uint32_t id, const uint8_t *p, size_t n)
{
    struct worker *worker = h2->conn->worker;
    size_t most = worker->limits.head < WORKER_HEADROOM ? worker->limits.head : WORKER_HEADROOM;
    struct h2_head head;
    char key[32];

    h2_head_init(&head, worker->head_scratch, most, worker->field_scratch, WORKER_HEADROOM);
    head.key = websocket_key(worker, key);
    if (!decode(h2, &head, p, n))
        return;
    h2->newest = id;
    if (h2->going) { /* the client was told that it is not served */
        h2_stream_remember(h2, id, H2_END_BY_US);
    } else if (h2->self_dependent) {
        deny(h2, NULL, id, H2_PROTOCOL_ERROR);
    } else if (h2->nstreams >= H2_STREAMS) {
        count_add(&worker->row->http2_refused, 1);
        deny(h2, NULL, id, H2_REFUSED_STREAM);
    } else {
        h2_head_end(&head);
        if (head.over && !h2_budget_decoded(&h2->budget, worker->loop.now_ms, head.decoded))
            h2_limit(h2, &h2->conn->worker->row->http2_ended_blocks,
                     "too many header blocks that are too large");
        else if (head.broken)
            deny_malformed(h2, id, head.broken, n + H2_FRAME_HEAD);
        else
            open_request(h2, id, &head, n + H2_FRAME_HEAD);
    }
}

/* ---- other blocks */

/* Trailers: checked, and dropped as in HTTP/1.1. */
static void end_block(struct h2_stream *s, const struct h2_head *head)
{
    if (s->by_client)
        h2_stream_late(s->h2, s->id);
    if (s->reset)
        return;
    if (s->remote_ended)
        h2_stream_fail(s, H2_STREAM_CLOSED, "HEADERS behind the end of the request");
    else if (!(s->h2->block_flags & H2_F_END_STREAM) || head->seen || head->broken)
        h2_stream_fail(s, H2_PROTOCOL_ERROR, "malformed trailers");
    else
        h2_stream_data(s, NULL, 0, true);
}

/* For a stream that is open, or was. */
static void old_block(struct h2 *h2, uint32_t id, const uint8_t *p, size_t n)
{
    struct worker *worker = h2->conn->worker;
    struct h2_stream *s = h2_stream_find(h2, id);
    struct h2_head head;

    h2_head_init(&head, worker->head_scratch, WORKER_HEADROOM, worker->field_scratch,
                 WORKER_HEADROOM);
    head.begun = true; /* so that every pseudo-header is one too many */
    if (!decode(h2, &head, p, n))
        return;
    if (!h2_budget_decoded(&h2->budget, worker->loop.now_ms, head.decoded)) {
        h2_limit(h2, &h2->conn->worker->row->http2_ended_blocks,
                 "too many header blocks of no use");
    } else if (s) {
        end_block(s, &head);
    } else {
        switch (h2_stream_ended(h2, id)) {
        case H2_END_BY_US:
            h2_count_frame(h2);
            break;
        case H2_END_BY_CLIENT:
            h2_stream_late(h2, id);
            break;
        case H2_END_WHOLE:
            h2_fail(h2, H2_STREAM_CLOSED, "HEADERS for a stream that has ended");
            break;
        default:
            h2_fail(h2, H2_PROTOCOL_ERROR, "HEADERS for a stream that was skipped");
            break;
        }
    }
}

/* A whole block. */
static void block(struct h2 *h2, const uint8_t *p, size_t n)
{
    uint32_t id = h2->block_stream;

    h2->block_stream = 0;
    if (id > h2->newest)
        new_block(h2, id, p, n);
    else
        old_block(h2, id, p, n);
}

/* ---- frames */

/* Takes padding and priority off. false: the frame is malformed. */
static bool strip(struct h2 *h2, const uint8_t **p, uint32_t *n)
{
    uint8_t flags = h2->frame.flags, pad = 0;

    if (flags & H2_F_PADDED) {
        if (!*n)
            return false;
        pad = **p;
        ++*p;
        --*n;
    }
    if (flags & H2_F_PRIORITY) {
        if (*n < 5)
            return false;
        h2->self_dependent = (h2_number(*p) & 0x7fffffff) == h2->frame.stream;
        *p += 5;
        *n -= 5;
    }
    if (pad > *n)
        return false;
    *n -= pad;
    return true;
}

/* Collects a block of several frames. */
static bool collect(struct h2 *h2, const uint8_t *p, uint32_t n)
{
    struct worker *worker = h2->conn->worker;
    size_t have = h2->block ? h2->block->n : 0;

    if (have + n > H2_BUDGET_BLOCK || h2->continuations > H2_BUDGET_CONTINUATIONS) {
        h2_limit(h2, &h2->conn->worker->row->http2_ended_blocks,
                 "a header block of too many frames, or bytes");
        return false;
    }
    if (!h2->block)
        h2->block = head_buffer_new(worker, WORKER_HEAD_BUFFER);
    if (h2->block && have + n > h2->block->cap)
        h2->block = head_buffer_grow(worker, h2->block, H2_BUDGET_BLOCK);
    if (!h2->block) {
        h2_fail(h2, H2_INTERNAL_ERROR, "no memory for a header block (limits.memory)");
        return false;
    }
    if (n)
        memcpy(h2->block->bytes + have, p, n);
    h2->block->n = have + n;
    return true;
}

void h2_headers(struct h2 *h2, const uint8_t *p, uint32_t n)
{
    bool first = h2->frame.type == H2_HEADERS, last = h2->frame.flags & H2_F_END_HEADERS;

    if (first) {
        h2->self_dependent = false;
        if (!strip(h2, &p, &n)) {
            h2_fail(h2, H2_PROTOCOL_ERROR, "HEADERS that are too short for their flags");
            return;
        }
        h2->block_stream = h2->frame.stream;
        h2->block_flags = h2->frame.flags;
        h2->continuations = 0;
        h2->block_us = h2->conn->worker->loop.now_us;
        if (last) {
            block(h2, p, n);
            return;
        }
    } else {
        h2->continuations++;
    }
    if (!collect(h2, p, n) || !last)
        return;
    block(h2, (const uint8_t *)h2->block->bytes, h2->block->n);
    head_buffer_free(h2->conn->worker, h2->block);
    h2->block = NULL;
}
