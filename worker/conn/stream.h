/* A client's byte stream: TLS or plain, with one interface. Worker only.
 *
 * Reads and writes never block. What the socket does not take waits in a buffer of the stream
 * and is sent by stream_flush(). */
#ifndef WORKER_STREAM_H
#define WORKER_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tls_conn;
struct tls_engine;

enum stream_read_result { STREAM_EOF = 0, STREAM_AGAIN = -1, STREAM_ERROR = -2 };

struct stream {
    int fd;               /* owned by the event source that watches it */
    bool readable;        /* an edge arrived, and the socket has not been read empty since */
    bool hung_up;         /* the peer sent FIN: read until EOF, even after a short read */
    bool yielded;         /* stopped with input left, to let others run: run it again */
    struct tls_conn *tls; /* NULL: plain */
    char *waiting;        /* plain: bytes that the socket did not take */
    size_t nwaiting, sent;
    uint64_t handed; /* plain: total of bytes that the socket took */
};

/* engine: NULL for plain. Returns 0, or -1 if there is no memory. */
int stream_init(struct stream *stream, int fd, struct tls_engine *engine);
void stream_release(struct stream *stream);

/* 1: done, 0: needs more from the peer, -1: failed. Always 1 for a plain stream. */
int stream_handshake(struct stream *stream);

/* Continues without TLS, as the peer never used it. Drops what was received. */
void stream_drop_tls(struct stream *stream);

/* Number of bytes read (> 0), or stream_read_result. Clears `readable` when the socket is
 * empty. */
ssize_t stream_read(struct stream *stream, char *to, size_t room);

/* Takes all n bytes and sends what it can in one call. Returns the number of bytes that still
 * wait (0: all are sent), or -1: the peer is gone. */
ssize_t stream_write(struct stream *stream, const char *bytes, size_t n);
ssize_t stream_flush(struct stream *stream);

/* The same for the last bytes of a connection; if n <= TLS_WRITE_MAX, TLS sends close_notify
 * along with them. */
ssize_t stream_write_last(struct stream *stream, const char *bytes, size_t n);

/* Total of bytes that the socket has taken, and how many of them the peer has acknowledged: one
 * system call. */
uint64_t stream_handed(const struct stream *stream);
uint64_t stream_acknowledged(const struct stream *stream);

/* Records an event of the loop: an edge to read, and whether it came with FIN or an error. */
void stream_event(struct stream *stream, bool hung_up);

/* Tells the peer that nothing more will come: close_notify, unless it was sent before; fin:
 * also FIN, for a socket that stays open for reading. Returns the bytes that wait, or -1. */
ssize_t stream_shutdown(struct stream *stream, bool fin);

/* The peer sent FIN and either awaits a response or is gone for good: only sending something
 * can tell. With TLS 1.3 a ticket is sent, which the host of a closed connection answers with a
 * reset at once. Otherwise TCP keepalive finds out as soon as that host has forgotten the
 * connection (a minute, on Linux). */
void stream_half_closed(struct stream *stream);

/* From now on closing the socket resets the connection and drops what waits. */
void stream_reset(struct stream *stream);

#endif
