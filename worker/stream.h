/* A client's byte stream: TLS or plain, one interface. Worker only.
 *
 * Reads and writes never block. What the socket does not take waits in a
 * buffer of the stream and goes out with stream_flush(). */
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
    int fd;               /* owned by the loop's source that watches it */
    bool readable;        /* an edge came and the socket was not read empty since */
    bool hung_up;         /* the peer sent FIN: read until EOF, even after a short read */
    bool yielded;         /* gave way to others with input left: run it again */
    struct tls_conn *tls; /* NULL: plain */
    char *waiting;        /* plain: bytes that the socket did not take */
    size_t nwaiting, sent;
    uint64_t handed; /* plain: bytes that the socket took, ever */
};

/* engine: NULL for plain. 0, or -1 when the host has no memory. */
int stream_init(struct stream *stream, int fd, struct tls_engine *engine);
void stream_release(struct stream *stream);

/* 1: done, 0: needs more from the peer, -1: failed. Plain streams are done. */
int stream_handshake(struct stream *stream);

/* Goes on without TLS: the peer never spoke it. What was received is dropped. */
void stream_drop_tls(struct stream *stream);

/* Bytes read (> 0), or stream_read_result. Clears `readable` when empty. */
ssize_t stream_read(struct stream *stream, char *to, size_t room);

/* Takes all n bytes and sends what it can in one call. Returns the bytes that
 * still wait (0: all out), or -1: the peer is gone. */
ssize_t stream_write(struct stream *stream, const char *bytes, size_t n);
ssize_t stream_flush(struct stream *stream);

/* The same for the last bytes of a connection: TLS says goodbye in the same
 * piece. n <= TLS_WRITE_MAX. */
ssize_t stream_write_last(struct stream *stream, const char *bytes, size_t n);

/* Bytes that the socket has taken ever, and those of them that the peer has acknowledged: one
 * system call. */
uint64_t stream_handed(const struct stream *stream);
uint64_t stream_acknowledged(const struct stream *stream);

/* What the loop saw: an edge to read, and whether FIN or worse came with it. */
void stream_event(struct stream *stream, bool hung_up);

/* Tells the peer that nothing more will come: close_notify, if it was not said;
 * fin: and FIN too, for a socket that stays open to be read. Bytes that wait, or -1. */
ssize_t stream_shutdown(struct stream *stream, bool fin);

/* The peer sent FIN and awaits a response, or is gone for good: only what we send it can tell.
 * By TLS 1.3 a ticket goes out, which the host of one that is gone resets at once; else TCP's
 * keepalive does so when that host has forgotten the connection (a minute, on Linux). */
void stream_half_closed(struct stream *stream);

/* Closing the socket resets the connection from now on, and drops what waits. */
void stream_reset(struct stream *stream);

#endif
