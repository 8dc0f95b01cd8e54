/* HTTP/2, frames about the connection and its streams (worker/conn/h2.h). */
#include <nghttp2/nghttp2.h>
#include <string.h>

#include "base/conf/conf.h"
#include "worker/conn/conn_state.h"
#include "worker/conn/h2.h"
#include "worker/core/core.h"

/* ---- replies: they wait with everything else, so a client that does not read them must not
 * make us collect them */

static bool count_ack(struct h2 *h2)
{
    if (!h2->conn->writing)
        h2->acks = 0;
    if (++h2->acks <= H2_BUDGET_ACKS)
        return true;
    h2_limit(h2, &h2->conn->worker->row->http2_ended_unread,
             "replies to PING and SETTINGS are not read");
    return false;
}

/* ---- SETTINGS */

/* Windows of all streams change by the difference (RFC 9113 6.9.2). */
static void change_initial(struct h2 *h2, uint32_t value)
{
    int64_t more = (int64_t)value - h2->initial;

    if (value > H2_WINDOW_MAX) {
        h2_fail(h2, H2_FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE is too large");
        return;
    }
    h2->initial = value;
    for (struct h2_stream *s = h2->first; s; s = s->next) {
        s->send_window += more;
        if (s->send_window > H2_WINDOW_MAX) {
            h2_fail(h2, H2_FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE is too large");
            return;
        }
    }
}

static void set(struct h2 *h2, unsigned id, uint32_t value)
{
    bool bad = false;

    switch (id) {
    case NGHTTP2_SETTINGS_HEADER_TABLE_SIZE:
        if (nghttp2_hd_deflate_change_table_size(h2->deflater,
                                                 value < H2_TABLE ? value : H2_TABLE) != 0)
            h2_fail(h2, H2_INTERNAL_ERROR, "no memory");
        break;
    case NGHTTP2_SETTINGS_ENABLE_PUSH:
        bad = value > 1;
        break;
    case NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE:
        change_initial(h2, value);
        break;
    case NGHTTP2_SETTINGS_MAX_FRAME_SIZE:
        bad = value < 16384 || value > 16777215;
        break;
    default:
        break;
    }
    if (bad)
        h2_fail(h2, H2_PROTOCOL_ERROR, "a setting that is not allowed");
}

void h2_settings(struct h2 *h2, const uint8_t *p, uint32_t n)
{
    if (h2->settings_came && !h2_count_frame(h2))
        return;
    h2->settings_came = true;
    if (h2->frame.flags & H2_F_ACK)
        return;
    for (; n && !h2->dead; p += 6, n -= 6)
        set(h2, (unsigned)p[0] << 8 | p[1], h2_number(p + 2));
    if (h2->dead || !count_ack(h2))
        return;
    h2_send_frame(h2, H2_SETTINGS, H2_F_ACK, 0, NULL, 0);
    h2_pump(h2);
    h2->attend = true;
}

/* ---- others */

void h2_ping(struct h2 *h2, const uint8_t *p)
{
    if (h2->frame.flags & H2_F_ACK) {
        h2->ponged |= h2->announced;
        h2_count_frame(h2);
        return;
    }
    if (h2_count_frame(h2) && count_ack(h2))
        h2_send_frame(h2, H2_PING, H2_F_ACK, 0, p, 8);
}

static void grow_connection(struct h2 *h2, uint32_t more)
{
    if (!more) {
        h2_fail(h2, H2_PROTOCOL_ERROR, "WINDOW_UPDATE by 0");
        return;
    }
    h2->send_window += more;
    if (h2->send_window > H2_WINDOW_MAX)
        h2_fail(h2, H2_FLOW_CONTROL_ERROR, "the window of the connection is too large");
}

static void grow_stream(struct h2_stream *s, uint32_t more)
{
    if (s->reset)
        return;
    if (!more) {
        h2_stream_fail(s, H2_PROTOCOL_ERROR, "WINDOW_UPDATE by 0");
        return;
    }
    s->send_window += more;
    if (s->send_window > H2_WINDOW_MAX)
        h2_stream_fail(s, H2_FLOW_CONTROL_ERROR, "the window of a stream is too large");
}

void h2_window_update(struct h2 *h2, const uint8_t *p)
{
    uint32_t more = h2_number(p) & 0x7fffffff, id = h2->frame.stream;
    struct h2_stream *s = id ? h2_stream_find(h2, id) : NULL;

    if (!h2_count_frame(h2))
        return;
    if (!id)
        grow_connection(h2, more);
    else if (s)
        grow_stream(s, more);
    else if (id > h2->newest || id % 2 == 0)
        h2_fail(h2, H2_PROTOCOL_ERROR, "WINDOW_UPDATE for a stream that is idle");
    else if (!more)
        h2_send_number(h2, H2_RST_STREAM, id, H2_PROTOCOL_ERROR);
    h2->attend = true;
}

void h2_rst_stream(struct h2 *h2, const uint8_t *p)
{
    struct h2_stream *s = h2_stream_find(h2, h2->frame.stream);

    (void)p;
    if (s && !s->reset)
        h2_stream_reset(s);
    else if (!s && (h2->frame.stream > h2->newest || h2->frame.stream % 2 == 0))
        h2_fail(h2, H2_PROTOCOL_ERROR, "RST_STREAM for a stream that is idle");
    else
        h2_count_frame(h2);
}

/* Obsolete (RFC 9113 5.3.2): accepted, and ignored. */
void h2_priority(struct h2 *h2, const uint8_t *p)
{
    uint32_t id = h2->frame.stream;
    struct h2_stream *s = h2_stream_find(h2, id);
    enum h2_error error = H2_NO_ERROR;

    if (!h2_count_frame(h2))
        return;
    if (h2->frame.length != 5)
        error = H2_FRAME_SIZE_ERROR;
    else if ((h2_number(p) & 0x7fffffff) == id)
        error = H2_PROTOCOL_ERROR;
    if (error == H2_NO_ERROR)
        return;
    if (s)
        h2_stream_fail(s, error, "a malformed PRIORITY frame");
    else
        h2_send_number(h2, H2_RST_STREAM, id, error);
}
