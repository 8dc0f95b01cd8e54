/* The part of a connection to a backend that is only there with TLS (pools.tls). For
 * upstream.c, which owns the connection: these functions call no owner and close nothing.
 * Worker only. */
#ifndef WORKER_UPSTREAM_TLS_H
#define WORKER_UPSTREAM_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct upstream;
struct worker;

/* Errors of a connect, beside those of errno. The reason is in upstream->why. */
enum {
    UPSTREAM_TLS_FAILED = 4096, /* the handshake, or it cannot be tried */
    UPSTREAM_TLS_CERTIFICATE,   /* the backend's certificate is not valid */
    UPSTREAM_TLS_REFUSED,       /* the backend refuses us by an alert: it processed nothing */
};

/* Engine, policies and peers, if a pool uses TLS. Once, after backends_init(). A policy that
 * cannot be made is logged, and connecting to its backends fails. 0, or -1 without memory. */
int upstream_tls_init(struct worker *worker);
void upstream_tls_release(struct worker *worker); /* when no connection is left */

/* TCP is connected: begins the handshake. 0, or an error; upstream->why says why. */
int upstream_tls_begin(struct upstream *u);

/* Goes on with it. 1: done, 0: wait for the socket; -1: failed, *error says how; it is counted
 * and logged. */
int upstream_tls_handshake(struct upstream *u, int *error);

/* Like recv() and send(): bytes > 0; 0 for close_notify, or -1 with errno (EAGAIN: nothing
 * now). An end without close_notify is ECONNRESET. Keeps ->readable. */
ssize_t upstream_tls_read(struct upstream *u, char *to, size_t room);

/* Takes all bytes; returns how many wait, or -1 with errno. n may be 0: flushes. */
ssize_t upstream_tls_send(struct upstream *u, const char *bytes, size_t n);

/* Sends close_notify behind what waits. */
void upstream_tls_close_notify(struct upstream *u);

/* Has a kept one sent nothing but session tickets and the like? */
bool upstream_tls_is_silent(struct upstream *u);

/* Is the reading to go on although its turn is over? What was received already gets no event.
 */
bool upstream_tls_has_more(const struct upstream *u);

/* May be called on a connection without TLS. */
void upstream_tls_end(struct upstream *u);

#endif
