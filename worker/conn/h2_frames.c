/* HTTP/2, frames that come: cut out of the bytes, checked, handed on (worker/conn/h2.h).
 *
 * The payload of DATA is handed on as it comes; that of other frames when it is complete. */
#include <string.h>

#include "base/check.h"
#include "worker/conn/conn_state.h"
#include "worker/conn/h2.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; /* RFC 9113 3.4 */

#define PREFACE (sizeof preface - 1)

/* ---- DATA */

static void begin_data(struct h2 *h2)
{
    const struct h2_frame *f = &h2->frame;
    struct h2_stream *s = h2_stream_find(h2, f->stream);

    if (f->length > h2->recv_window) {
        h2_fail(h2, H2_FLOW_CONTROL_ERROR, "DATA beyond the window of the connection");
        return;
    }
    h2->recv_window -= f->length;
    if (!f->length && !(f->flags & H2_F_END_STREAM) && !h2_count_frame(h2))
        return;
    if (!s) {
        int ended = h2_stream_ended(h2, f->stream);

        if (f->stream > h2->newest)
            h2_fail(h2, H2_PROTOCOL_ERROR, "DATA for a stream that is idle");
        else if (ended == H2_END_BY_US)
            h2_count_frame(h2);
        else
            h2_stream_late(h2, f->stream);
    } else if (s->by_client) {
        h2_stream_late(h2, s->id);
    } else if (s->remote_ended && !s->reset) {
        h2_stream_fail(s, H2_STREAM_CLOSED, "DATA behind the end of the request");
    } else if (f->length > s->recv_window && !s->reset) {
        h2_stream_fail(s, H2_FLOW_CONTROL_ERROR, "DATA beyond the window of the stream");
    } else {
        s->recv_window -= f->length;
    }
}

/* The next n bytes of DATA, or its end. */
static void pass_data(struct h2 *h2, const uint8_t *bytes, size_t n)
{
    struct h2_stream *s = h2_stream_find(h2, h2->frame.stream);
    bool end = h2->frame.flags & H2_F_END_STREAM && !h2->left;

    if (!s || s->reset || s->remote_ended)
        h2_conn_credit(h2, n);
    else if (n || end)
        h2_stream_data(s, (const char *)bytes, n, end);
}

/* ---- heads of frames */

/* The error of a frame whose length or stream cannot be right; H2_NO_ERROR: none. */
static enum h2_error check_shape(const struct h2_frame *f)
{
    bool of_connection = f->type == H2_SETTINGS || f->type == H2_PING || f->type == H2_GOAWAY;

    if (f->length > H2_FRAME_MAX)
        return H2_FRAME_SIZE_ERROR;
    if (f->type > H2_CONTINUATION)
        return H2_NO_ERROR;
    if (f->type == H2_PUSH_PROMISE)
        return H2_PROTOCOL_ERROR;
    if (of_connection ? f->stream != 0 : f->type != H2_WINDOW_UPDATE && f->stream == 0)
        return H2_PROTOCOL_ERROR;
    if (f->type == H2_HEADERS && f->stream % 2 == 0)
        return H2_PROTOCOL_ERROR;
    switch (f->type) {
    case H2_SETTINGS:
        return f->length % 6 || (f->flags & H2_F_ACK && f->length) ? H2_FRAME_SIZE_ERROR
                                                                   : H2_NO_ERROR;
    case H2_PING:
        return f->length != 8 ? H2_FRAME_SIZE_ERROR : H2_NO_ERROR;
    case H2_RST_STREAM:
    case H2_WINDOW_UPDATE:
        return f->length != 4 ? H2_FRAME_SIZE_ERROR : H2_NO_ERROR;
    case H2_GOAWAY:
        return f->length < 8 ? H2_FRAME_SIZE_ERROR : H2_NO_ERROR;
    default:
        return H2_NO_ERROR;
    }
}

/* The first frame is SETTINGS; a header block is not interrupted. */
static bool is_in_order(const struct h2 *h2)
{
    const struct h2_frame *f = &h2->frame;

    if (!h2->settings_came && (f->type != H2_SETTINGS || f->flags & H2_F_ACK))
        return false;
    if (h2->block_stream)
        return f->type == H2_CONTINUATION && f->stream == h2->block_stream;
    return f->type != H2_CONTINUATION;
}

static void begin_frame(struct h2 *h2)
{
    const uint8_t *p = h2->head;
    struct h2_frame *f = &h2->frame;
    enum h2_error error;

    f->length = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    f->type = p[3];
    f->flags = p[4];
    f->stream = h2_number(p + 5) & 0x7fffffff;
    h2->nhead = 0;
    h2->left = f->length;
    h2->pad = 0;
    error = check_shape(f);
    if (error == H2_NO_ERROR && !is_in_order(h2))
        error = H2_PROTOCOL_ERROR;
    if (error != H2_NO_ERROR) {
        h2_fail(h2, error, "a frame that cannot be at its place");
        return;
    }
    if (f->type == H2_DATA) {
        begin_data(h2);
        h2->at = f->flags & H2_F_PADDED ? H2_AT_PAD : H2_AT_DATA;
        if (f->flags & H2_F_PADDED && !f->length)
            h2_fail(h2, H2_FRAME_SIZE_ERROR, "padded DATA without the length of its padding");
    } else if (f->type == H2_GOAWAY || f->type > H2_CONTINUATION) {
        h2->at = H2_AT_SKIP;
        h2_count_frame(h2);
    } else {
        h2->at = H2_AT_PAYLOAD;
    }
}

/* ---- whole frames */

static void handle(struct h2 *h2, const uint8_t *payload)
{
    switch ((enum h2_type)h2->frame.type) {
    case H2_HEADERS:
    case H2_CONTINUATION:
        h2_headers(h2, payload, h2->frame.length);
        break;
    case H2_SETTINGS:
        h2_settings(h2, payload, h2->frame.length);
        break;
    case H2_PING:
        h2_ping(h2, payload);
        break;
    case H2_WINDOW_UPDATE:
        h2_window_update(h2, payload);
        break;
    case H2_RST_STREAM:
        h2_rst_stream(h2, payload);
        break;
    case H2_PRIORITY:
        h2_priority(h2, payload);
        break;
    case H2_DATA:
    case H2_PUSH_PROMISE:
    case H2_GOAWAY:
        break;
    }
}

/* Keeps a part of a payload until the rest comes. false: no memory. */
static bool keep_part(struct h2 *h2, const uint8_t *bytes, size_t n)
{
    struct worker *worker = h2->conn->worker;

    if (!h2->part)
        h2->part = conn_of_status(h2->conn) ? head_buffer_new_apart(worker, H2_FRAME_MAX)
                                            : head_buffer_new(worker, H2_FRAME_MAX);
    if (!h2->part) {
        h2_fail(h2, H2_INTERNAL_ERROR, "no memory for a frame (limits.memory)");
        return false;
    }
    memcpy(h2->part->bytes + h2->part->n, bytes, n);
    h2->part->n += n;
    return true;
}

static size_t take_payload(struct h2 *h2, const uint8_t *bytes, size_t n)
{
    const uint8_t *payload = bytes;

    if (n > h2->left)
        n = h2->left;
    if (n < h2->left || h2->part) {
        if (!keep_part(h2, bytes, n))
            return n;
        payload = (const uint8_t *)h2->part->bytes;
    }
    h2->left -= (uint32_t)n;
    if (h2->left)
        return n;
    h2->at = H2_AT_HEAD;
    handle(h2, payload);
    head_buffer_free(h2->conn->worker, h2->part);
    h2->part = NULL;
    return n;
}

/* ---- bytes */

static size_t take_preface(struct h2 *h2, const uint8_t *bytes, size_t n)
{
    if (n > PREFACE - h2->nhead)
        n = PREFACE - h2->nhead;
    if (memcmp(bytes, preface + h2->nhead, n) != 0) {
        h2_fail(h2, H2_PROTOCOL_ERROR, "no HTTP/2 preface");
        return n;
    }
    h2->nhead = (uint8_t)(h2->nhead + n);
    if (h2->nhead == PREFACE) {
        h2->nhead = 0;
        h2->at = H2_AT_HEAD;
    }
    return n;
}

static size_t take_head(struct h2 *h2, const uint8_t *bytes, size_t n)
{
    if (n > (size_t)(H2_FRAME_HEAD - h2->nhead))
        n = (size_t)(H2_FRAME_HEAD - h2->nhead);
    memcpy(h2->head + h2->nhead, bytes, n);
    h2->nhead = (uint8_t)(h2->nhead + n);
    if (h2->nhead == H2_FRAME_HEAD)
        begin_frame(h2);
    return n;
}

static size_t take_pad(struct h2 *h2, const uint8_t *bytes)
{
    h2->pad = bytes[0];
    h2->left--;
    h2_conn_credit(h2, 1);
    if (h2->pad > h2->left)
        h2_fail(h2, H2_PROTOCOL_ERROR, "more padding than payload");
    else
        h2->left -= h2->pad;
    h2->at = H2_AT_DATA;
    return 1;
}

static size_t take_data(struct h2 *h2, const uint8_t *bytes, size_t n)
{
    if (n > h2->left)
        n = h2->left;
    h2->left -= (uint32_t)n;
    pass_data(h2, bytes, n);
    if (!h2->left) {
        h2->left = h2->pad;
        h2->at = H2_AT_PADDING;
    }
    return n;
}

/* Padding, and what is not for us. */
static size_t take_rest(struct h2 *h2, size_t n)
{
    if (n > h2->left)
        n = h2->left;
    h2->left -= (uint32_t)n;
    if (h2->at == H2_AT_PADDING)
        h2_conn_credit(h2, n);
    return n;
}

/* What needs no more bytes. */
static void end_frame(struct h2 *h2)
{
    if (h2->at == H2_AT_DATA && !h2->left)
        take_data(h2, NULL, 0);
    if (h2->at == H2_AT_PAYLOAD && !h2->left)
        take_payload(h2, NULL, 0);
    if ((h2->at == H2_AT_PADDING || h2->at == H2_AT_SKIP) && !h2->left)
        h2->at = H2_AT_HEAD;
}

void h2_feed(struct h2 *h2, const uint8_t *bytes, size_t n)
{
    while (n && !h2->dead) {
        size_t used = 0;

        switch ((enum h2_at)h2->at) {
        case H2_AT_PREFACE:
            used = take_preface(h2, bytes, n);
            break;
        case H2_AT_HEAD:
            used = take_head(h2, bytes, n);
            break;
        case H2_AT_PAD:
            used = take_pad(h2, bytes);
            break;
        case H2_AT_DATA:
            used = take_data(h2, bytes, n);
            break;
        case H2_AT_PAYLOAD:
            used = take_payload(h2, bytes, n);
            break;
        case H2_AT_PADDING:
        case H2_AT_SKIP:
            used = take_rest(h2, n);
            break;
        }
        bytes += used;
        n -= used;
        if (!h2->dead)
            end_frame(h2);
    }
}
