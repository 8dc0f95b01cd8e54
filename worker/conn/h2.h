/* HTTP/2 on a client's connection (RFC 9113): one transport per stream. Worker only.
 *
 *   h2.c          life: what its connection asks of it, one step, the end
 *   h2_frames.c   frames that come: cut out of the bytes, checked, handed on
 *   h2_control.c  frames about the connection: SETTINGS, PING, WINDOW_UPDATE, RST_STREAM ...
 *   h2_block.c    header blocks: decoded, judged, made a request
 *   h2_stream.c   streams: opened, found, closed; their request bodies
 *   h2_send.c     what goes out: responses, flow control, one write per turn
 *   h2_core.c     frames that go out; too many of what a client may do
 *   h2_budget.c   what a client may make us do (pure)
 *
 * A stream is freed in one place only (h2_streams_reap()), by the connection's own turn: its
 * exchange may end within any call, and only sets flags. */
#ifndef WORKER_CONN_H2_H
#define WORKER_CONN_H2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "worker/conn/h2_budget.h"
#include "worker/conn/pace.h"
#include "worker/core/transport.h"

struct conn;
struct h2;
struct head_buffer;
struct http_limits;
struct nghttp2_hd_deflater;
struct nghttp2_hd_inflater;
struct protocol;

enum {
    H2_STREAMS = 100, /* SETTINGS_MAX_CONCURRENT_STREAMS of clients */
    H2_FRAME_HEAD = 9,
    H2_FRAME_MAX = 16384,           /* SETTINGS_MAX_FRAME_SIZE of both sides */
    H2_WINDOW_DEFAULT = 65535,      /* RFC 9113 6.9.2 */
    H2_WINDOW_MAX = 0x7fffffff,     /* 6.9.1 */
    H2_STREAM_WINDOW = 128 * 1024,  /* bytes of a request's body that may come unasked */
    H2_CONN_WINDOW = 1024 * 1024,   /* the same for all streams of a connection */
    H2_TABLE = 4096,                /* HPACK's dynamic table, in both directions */
    H2_ENABLE_CONNECT_PROTOCOL = 8, /* RFC 8441 3 */
    H2_READ = 64 * 1024,            /* bytes of one read */
    H2_OUT = 80 * 1024,             /* frames of a turn: one write */
    H2_CLOSED = 32,                 /* streams whose end is remembered */
    H2_TICK_MS = 500,               /* how often deadlines of streams are looked at */
};

/* RFC 9113 7 */
enum h2_error {
    H2_NO_ERROR,
    H2_PROTOCOL_ERROR,
    H2_INTERNAL_ERROR,
    H2_FLOW_CONTROL_ERROR,
    H2_SETTINGS_TIMEOUT,
    H2_STREAM_CLOSED,
    H2_FRAME_SIZE_ERROR,
    H2_REFUSED_STREAM,
    H2_CANCEL,
    H2_COMPRESSION_ERROR,
    H2_CONNECT_ERROR,
    H2_ENHANCE_YOUR_CALM,
    H2_INADEQUATE_SECURITY,
    H2_HTTP_1_1_REQUIRED,
};

/* 6 */
enum h2_type {
    H2_DATA,
    H2_HEADERS,
    H2_PRIORITY,
    H2_RST_STREAM,
    H2_SETTINGS,
    H2_PUSH_PROMISE,
    H2_PING,
    H2_GOAWAY,
    H2_WINDOW_UPDATE,
    H2_CONTINUATION,
};

enum { /* flags of frames */
       H2_F_END_STREAM = 1,
       H2_F_ACK = 1,
       H2_F_END_HEADERS = 4,
       H2_F_PADDED = 8,
       H2_F_PRIORITY = 32,
};

struct h2_frame {
    uint32_t length, stream;
    uint8_t type, flags;
};

/* What became of a stream that is no more; the kind of its end is in the two bits that an id of
 * a client leaves free. */
enum h2_end { H2_END_WHOLE, H2_END_BY_CLIENT, H2_END_BY_US };

struct h2_stream {
    struct transport transport;
    struct h2 *h2;
    struct h2_stream *prev, *next; /* in h2->streams, oldest first */
    struct head_buffer *head;
    uint32_t id;
    int64_t send_window, recv_window; /* bytes that we, and the client, may send */
    uint32_t credit;                  /* bytes taken since the last WINDOW_UPDATE */
    char *in;                         /* of the body: what came unasked */
    size_t nin, in_at, in_cap;
    char *out; /* of the response: what waits for the client's window, or its socket */
    size_t nout, out_at, out_cap;
    uint64_t got; /* bytes of the body that came */
    struct pace sends, reads;
    bool remote_ended : 1; /* END_STREAM has come */
    bool told_end : 1;     /* and the exchange knows */
    bool local_ended : 1;  /* END_STREAM was sent */
    bool end_due : 1;      /* it is due behind `out` */
    bool reset : 1;        /* RST_STREAM was sent or has come: nothing more is sent */
    bool by_client : 1;    /* the client reset it */
    bool want_body : 1;
    bool expect : 1;    /* 100 Continue is still owed */
    bool waits : 1;     /* the exchange waits until the client takes more */
    bool responded : 1; /* the head of the final response is out */
    bool websocket : 1; /* an extended CONNECT */
    bool tunnel : 1;    /* and its tunnel is open */
    bool finished : 1;  /* finish() was called */
    bool whole : 1;
};

enum h2_at {
    H2_AT_PREFACE,
    H2_AT_HEAD,
    H2_AT_PAD,
    H2_AT_DATA,
    H2_AT_PADDING,
    H2_AT_PAYLOAD,
    H2_AT_SKIP
};

struct h2 {
    struct conn *conn;
    struct nghttp2_hd_inflater *inflater;
    struct nghttp2_hd_deflater *deflater;
    struct loop_timer tick; /* armed while there are streams */
    struct h2_stream *first, *last, *found;
    uint32_t nstreams;
    uint32_t newest; /* the highest id of a client's stream so far */
    int64_t send_window, recv_window;
    uint32_t credit;
    uint32_t initial; /* SETTINGS_INITIAL_WINDOW_SIZE of the client */
    struct h2_budget budget;
    uint32_t acks; /* replies that wait for the socket */

    /* frames that come */
    struct h2_frame frame; /* the one that is coming */
    uint32_t left, pad;    /* bytes of its payload that are still to come; padding of these */
    uint8_t at;            /* enum h2_at */
    uint8_t nhead;         /* bytes of head, or of the preface, that are here */
    uint8_t head[H2_FRAME_HEAD];
    bool settings_came;
    struct head_buffer *part;  /* payload of a frame, as far as it has come */
    struct head_buffer *block; /* header block of several frames */
    uint32_t block_stream;     /* 0: no header block is coming */
    uint8_t block_flags, continuations;
    uint64_t block_us; /* since when it is coming */

    /* frames that go */
    char *out; /* of worker->h2_out; NULL: none wait */
    size_t nout;

    uint32_t closed[H2_CLOSED]; /* ring of ended streams: id with enum h2_end */
    uint8_t nclosed;
    bool attend;         /* some stream has something to do */
    bool reap;           /* some stream is finished */
    bool dead;           /* GOAWAY with the last word was sent: it ends */
    bool announced;      /* the first GOAWAY of two */
    bool going;          /* the second one: no new streams */
    bool ponged;         /* the client has replied to what came behind it */
    bool self_dependent; /* the block that is coming makes its stream depend on itself */
};

extern const struct protocol h2_protocol;
extern const struct transport_ops h2_ops;

/* Sends the last GOAWAY: new streams are not served. */
void h2_go(struct h2 *h2);

/* ---- h2_core.c */

/* Room for n <= H2_OUT bytes of frames, which the caller writes; NULL: the client is gone. */
char *h2_room(struct h2 *h2, size_t n);
/* A frame with a payload of at most 64 bytes. */
void h2_send_frame(struct h2 *h2, enum h2_type type, uint8_t flags, uint32_t stream,
                   const void *payload, size_t n);
void h2_send_number(struct h2 *h2, enum h2_type type, uint32_t stream, uint32_t value);
void h2_send_goaway(struct h2 *h2, uint32_t last, enum h2_error error);
/* All that was written goes out. */
void h2_flush(struct h2 *h2);
/* The head of a frame, in H2_FRAME_HEAD bytes. */
void h2_put_head(char *p, size_t n, enum h2_type type, uint8_t flags, uint32_t stream);

/* Ends the connection because of what the client did; why: for the log. */
void h2_fail(struct h2 *h2, enum h2_error error, const char *why);

/* The same for more than a client may do; counter: in the worker's row. */
void h2_limit(struct h2 *h2, _Atomic uint64_t *counter, const char *why);

/* A frame without use. false: one too many, and the connection ends. */
bool h2_count_frame(struct h2 *h2);
/* A stream ended early because of the client. */
void h2_count_reset(struct h2 *h2);

/* ---- h2_frames.c */

/* Takes the bytes that came. */
void h2_feed(struct h2 *h2, const uint8_t *bytes, size_t n);

static inline uint32_t h2_number(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- h2_control.c: whole frames, whose length was checked */

void h2_settings(struct h2 *h2, const uint8_t *payload, uint32_t n);
void h2_ping(struct h2 *h2, const uint8_t *payload);
void h2_window_update(struct h2 *h2, const uint8_t *payload);
void h2_rst_stream(struct h2 *h2, const uint8_t *payload);
void h2_priority(struct h2 *h2, const uint8_t *payload);

/* ---- h2_block.c */

/* HEADERS or CONTINUATION, whole. */
void h2_headers(struct h2 *h2, const uint8_t *payload, uint32_t n);

/* ---- h2_stream.c */

struct h2_stream *h2_stream_find(struct h2 *h2, uint32_t id);
/* NULL: no memory. */
struct h2_stream *h2_stream_open(struct h2 *h2, uint32_t id);
/* How a stream ended that is no more; -1: it never was, or that was long ago. */
int h2_stream_ended(const struct h2 *h2, uint32_t id);
/* Remembers an end. */
void h2_stream_remember(struct h2 *h2, uint32_t id, enum h2_end end);

/* Bytes of the request's body; end: these are the last. */
void h2_stream_data(struct h2_stream *s, const char *bytes, size_t n, bool end);
/* Resets it because of what the client did. */
void h2_stream_fail(struct h2_stream *s, enum h2_error error, const char *why);
/* A frame came for a stream that the client itself has ended. */
void h2_stream_late(struct h2 *h2, uint32_t id);
/* The client reset it. */
void h2_stream_reset(struct h2_stream *s);
/* Ends its exchange, if one runs. */
void h2_stream_abort(struct h2_stream *s, const char *why);
/* Gives the exchange what it asked for; 100 Continue, windows. */
void h2_stream_attend(struct h2_stream *s);
/* Its deadlines. */
void h2_stream_look(struct h2_stream *s);
void h2_streams_reap(struct h2 *h2);
void h2_stream_free(struct h2_stream *s);
/* n bytes of the connection's window are free again. */
void h2_conn_credit(struct h2 *h2, size_t n);

/* ---- h2_send.c */

/* Sends what waits, as far as windows and socket allow. */
void h2_pump(struct h2 *h2);
/* Tells exchanges that waited. */
void h2_wake(struct h2 *h2, bool all);
/* A response without an exchange. */
void h2_refuse(struct h2_stream *s, uint16_t status, const char *detail);
void h2_send_continue(struct h2_stream *s);
/* The bytes of all streams that wait here. */
void h2_stream_drop_out(struct h2_stream *s);

#endif
