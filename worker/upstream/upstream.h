/* A connection to a backend: connects, sends, reads, is kept and reused.
 *
 * It belongs to an attempt (of an exchange, or a detached one) while that runs, then to its
 * backend's idle list (Tomcat closes a connection after 100 requests or 20 s idle; both are
 * normal here). It handles bytes only, and knows its owner by struct upstream_ops. */
#ifndef WORKER_UPSTREAM_H
#define WORKER_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"

struct attempt;
struct backend_view;
struct pins;
struct tls_conn;
struct upstream;
struct worker;

/* How a connection tells its owner what happened. The owner is the only one who ends it, with
 * upstream_close() or upstream_keep(), which free it or take it over; nothing here closes a
 * connection that has an owner. These functions are called from the loop and from
 * upstream_resume(), never from upstream_get(), _send(), _shutdown(), _keep() or _close().
 *
 * All but turn and wants_more may call upstream_send() and upstream_shutdown(). "May end it":
 * on return the connection, and its owner, may be gone; neither is touched any more. All others
 * must leave the connection open. */
struct upstream_ops {
    /* An event of the socket is about to be told: first of all, once per event. */
    void (*turn)(struct upstream *);
    /* It may send now. true: go on; false: the owner ended it. */
    bool (*connected)(struct upstream *);
    /* An errno, or one of worker/upstream/upstream_tls.h: nothing was sent. The owner ends it,
     * in this call: it is of no use. */
    void (*connect_failed)(struct upstream *, int error);
    /* All that upstream_send() had to hold is with the host now. Not called after a send that
     * returned 0. Leaves it open. */
    void (*writable)(struct upstream *);
    /* What upstream_send() had to hold cannot be sent. Leaves it open: a response may still be
     * there to be read (received), and reading finds the end (ended) in any case, both within
     * the same event if the owner wants more. Not called where upstream_send() returned -1. */
    void (*send_failed)(struct upstream *);
    /* Does the owner read on now? If not, it calls upstream_resume() later. Changes nothing. */
    bool (*wants_more)(const struct upstream *);
    /* The bytes lie in worker->relay_buffer (worker/core/core.h has its headroom), valid during
     * the call, for the owner to change. true: go on; false: the owner ended it, or reads no
     * more until it calls upstream_resume(). */
    bool (*received)(struct upstream *, char *bytes, size_t n);
    /* Nothing more arrives: FIN (0), or an errno, or UPSTREAM_TLS_REFUSED. May end it. After
     * FIN it may also go on sending for as long as it likes (a tunnel), and ends it later. */
    void (*ended)(struct upstream *, int error);
};

/* For whom a connection is opened. */
struct upstream_owner {
    const struct upstream_ops *ops;
    struct attempt *attempt; /* opaque here */
    struct pins *pins;       /* the client's own connections */
    bool binds;   /* its credentials authenticate the connection (worker/upstream/pins.h) */
    size_t piece; /* the most bytes that it takes at once: 1 to WORKER_BODY */
};

struct upstream {
    struct loop_source source;
    struct worker *worker;
    struct backend_view *backend;
    const struct upstream_ops *ops;
    struct attempt *attempt;      /* its owner, who is told by ops; NULL: idle */
    struct upstream *prev, *next; /* in backend->idle or ->pinned */
    struct pins *pins;       /* idle and bound: the client's connection to which it is bound */
    struct loop_timer timer; /* only while idle */
    char *waiting;           /* bytes that the socket did not take; heap. NULL with TLS */
    size_t nwaiting, sent;   /* with TLS nwaiting counts what waits there */
    struct tls_conn *tls;    /* NULL: plain, or not connected yet */
    const char *why;         /* of a connect that failed, if not by errno; static text */
    size_t piece;            /* read at once, for its owner */
    uint32_t served;         /* number of exchanges before this one */
    bool connecting;         /* the handshake of TLS is part of it */
    bool readable;           /* an edge arrived, and the socket has not been read empty since */
    bool hung_up;            /* FIN arrived: read until the end */
    bool end_due;            /* FIN is to be sent after the waiting bytes */
    bool idle;
    bool bound; /* authenticated: only for one client's connection (worker/upstream/pins.h) */
    uint32_t addresses; /* backend->addresses when it was opened */
};

/* Returns a kept connection to the backend (the client's own, if it has one), or a fresh one
 * that begins to connect. NULL with errno if connecting failed at once. *reused tells which.
 * fresh: do not take a kept one. A kept one is open and silent: bytes that arrived before the
 * request was sent would be taken for its response. */
struct upstream *upstream_get(struct backend_view *backend, const struct upstream_owner *owner,
                              bool fresh, bool *reused);

/* Does something wait to be sent? */
static inline bool upstream_waits(const struct upstream *upstream)
{
    return upstream->nwaiting > 0;
}

/* Once it is connected: takes all n bytes and sends what it can in one call. Returns the number
 * of bytes that wait (ops->writable() or ->send_failed() follows), or -1 with errno: nothing
 * follows, and the owner ends it, or reads on to find a response or the end. */
ssize_t upstream_send(struct upstream *upstream, const char *bytes, size_t n);

/* Sends FIN after the waiting bytes: nothing more will be sent. */
void upstream_shutdown(struct upstream *upstream);

/* Continues reading after the owner was blocked. Calls ->received() and ->ended(): afterwards
 * connection and owner may be gone. */
void upstream_resume(struct upstream *upstream);

/* The owner is done with it. keep: it is kept for another exchange (if bound, for one of the
 * same client's connection), or closed; nothing may wait to be sent. close: frees it, with what
 * waits, whatever its state. Either way the caller may not touch it any more. */
void upstream_keep(struct upstream *upstream, struct pins *pins);
void upstream_close(struct upstream *upstream);

/* Closes what the client's own connection holds: that ends. */
void upstream_close_pinned(struct pins *pins);

/* Closes the idle connections of a backend (after a verdict, or at the end). */
void upstream_close_idle(struct backend_view *backend);

#endif
