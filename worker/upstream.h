/* A connection to a backend: connects, sends, reads, is kept and used again.
 *
 * Belongs to an exchange while that runs, then to its backend's idle list
 * (Tomcat closes a connection after 100 requests or 20 s idle: both are met as
 * a matter of course), or once in a while to its list of overtaken ones
 * (worker/overtaken.h). Speaks bytes only; worker/response.c understands them. */
#ifndef WORKER_UPSTREAM_H
#define WORKER_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"

struct backend_view;
struct exchange;
struct pins;
struct worker;

struct upstream {
    struct loop_source source;
    struct worker *worker;
    struct backend_view *backend;
    struct exchange *exchange;    /* NULL: idle, or overtaken */
    struct upstream *prev, *next; /* in backend->idle, ->pinned or ->overtaken */
    struct pins *pins;            /* idle and bound: the client's connection that has it */
    struct loop_timer timer;      /* idle or overtaken only */
    uint64_t chosen_us;           /* overtaken only: when it was sent there */
    uint64_t elsewhere_us;        /*   and how long another instance needed for it */
    char *waiting;                /* bytes that the socket did not take; heap */
    size_t nwaiting, sent;
    uint32_t served; /* exchanges before this one */
    bool connecting;
    bool readable; /* an edge came and was not read empty since */
    bool hung_up;  /* FIN came: read until the end */
    bool end_due;  /* FIN is to follow what waits */
    bool idle;
    bool bound; /* it is authenticated: for one client's connection only (worker/pins.h) */
    bool overtaken;
    uint32_t addresses; /* backend->addresses when it was opened */
};

/* A kept connection of the backend (the client's own, if it has one), or a fresh one
 * that begins to connect. NULL with errno when connecting failed at once. *reused
 * tells which. fresh: do not take a kept one. A kept one is open and silent: bytes
 * that came before the request was sent would be taken for its response. */
struct upstream *upstream_get(struct backend_view *backend, struct exchange *x, bool fresh,
                              bool *reused);

/* Takes all n bytes, sends what it can in one call. Returns bytes that wait
 * (exchange_upstream_writable() follows), or -1 with errno. */
ssize_t upstream_send(struct upstream *upstream, const char *bytes, size_t n);

/* FIN, behind what waits: nothing more will be sent. */
void upstream_shutdown(struct upstream *upstream);

/* Reads on after the exchange was blocked. May end the exchange. */
void upstream_resume(struct upstream *upstream);

/* The exchange has done with it: kept for another one (if it is bound, for one of the
 * same client's connection), or closed. */
void upstream_keep(struct upstream *upstream);
void upstream_close(struct upstream *upstream);

/* Closes the idle connections of a backend (a verdict, or the end). */
void upstream_close_idle(struct backend_view *backend);

#endif
