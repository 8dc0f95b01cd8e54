/* A connection to a backend: connects, sends, reads, is kept and reused.
 *
 * It belongs to an exchange while that runs, then to its backend's idle list (Tomcat closes a
 * connection after 100 requests or 20 s idle; both are normal here), or sometimes to the
 * backend's list of detached attempts (worker/overtaken.h). It handles bytes only;
 * worker/response.c interprets them. */
#ifndef WORKER_UPSTREAM_H
#define WORKER_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"

struct backend_view;
struct exchange;
struct pins;
struct upstream;
struct worker;

/* How a connection tells its owner what happened. Within one event of the socket turn comes
 * first. Where a function returns false, the owner has gone or given the connection up, and
 * neither may be touched any more. */
struct upstream_ops {
    void (*turn)(struct upstream *);
    bool (*connected)(struct upstream *);
    void (*connect_failed)(struct upstream *, int error); /* the owner closes it */
    void (*writable)(struct upstream *);                  /* nothing waits to be sent */
    /* Sending failed. A response may still be there to be read; reading finds the end, too. */
    void (*send_failed)(struct upstream *);
    bool (*wants_more)(const struct upstream *); /* does the owner read on now? */
    bool (*received)(struct upstream *, char *bytes, size_t n); /* false also: not now */
    void (*ended)(struct upstream *, int error);                /* by FIN (0), or broken */
};

/* For whom a connection is opened. */
struct upstream_owner {
    const struct upstream_ops *ops;
    struct exchange *exchange; /* opaque here */
    struct pins *pins;         /* the client's own connections */
    bool binds;                /* its credentials authenticate the connection (worker/pins.h) */
};

struct upstream {
    struct loop_source source;
    struct worker *worker;
    struct backend_view *backend;
    const struct upstream_ops *ops;
    struct exchange *exchange;    /* the owner, by ops; NULL: idle, or a detached attempt */
    struct upstream *prev, *next; /* in backend->idle, ->pinned or ->overtaken */
    struct pins *pins;       /* idle and bound: the client's connection to which it is bound */
    struct loop_timer timer; /* only while idle or detached */
    uint64_t chosen_us;      /* only while detached: when the backend was chosen */
    uint64_t elsewhere_us;   /* and how long another backend needed for the request */
    char *waiting;           /* bytes that the socket did not take; heap */
    size_t nwaiting, sent;
    uint32_t served; /* number of exchanges before this one */
    bool connecting;
    bool readable; /* an edge arrived, and the socket has not been read empty since */
    bool hung_up;  /* FIN arrived: read until the end */
    bool end_due;  /* FIN is to be sent after the waiting bytes */
    bool idle;
    bool bound; /* authenticated: only for one client's connection (worker/pins.h) */
    /* Not NULL: a detached attempt, which is read by this function. */
    void (*detached)(struct upstream *);
    uint32_t addresses; /* backend->addresses when it was opened */
};

/* Returns a kept connection to the backend (the client's own, if it has one), or a fresh one
 * that begins to connect. NULL with errno if connecting failed at once. *reused tells which.
 * fresh: do not take a kept one. A kept one is open and silent: bytes that arrived before the
 * request was sent would be taken for its response. */
struct upstream *upstream_get(struct backend_view *backend, const struct upstream_owner *owner,
                              bool fresh, bool *reused);

/* Once it is connected: takes all n bytes and sends what it can in one call. Returns the number
 * of bytes that wait (ops->writable() follows), or -1 with errno. */
ssize_t upstream_send(struct upstream *upstream, const char *bytes, size_t n);

/* Sends FIN after the waiting bytes: nothing more will be sent. */
void upstream_shutdown(struct upstream *upstream);

/* Continues reading after the exchange was blocked. May end the exchange. */
void upstream_resume(struct upstream *upstream);

/* The exchange is done with it: the connection is kept for another one (if bound, for one of
 * the same client's connection), or closed. */
void upstream_keep(struct upstream *upstream, struct pins *pins);
void upstream_close(struct upstream *upstream);

/* Closes what the client's own connection holds: that ends. */
void upstream_close_pinned(struct pins *pins);

/* Closes the idle connections of a backend (after a verdict, or at the end). */
void upstream_close_idle(struct backend_view *backend);

#endif
