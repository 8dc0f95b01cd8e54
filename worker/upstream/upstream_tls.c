#include "worker/upstream/upstream_tls.h"

#include <errno.h>

#include "base/check.h"
#include "base/conf/backend_tls.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "worker/core/core.h"
#include "worker/tls/client.h"
#include "worker/tls/tls.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/upstream.h"

enum { ROUNDS = 16 }; /* of one event, for a handshake or a silent read: far more than needed */

/* ---- the worker's */

static void make_policy(struct worker *worker, struct pool_view *pool)
{
    char why[BACKEND_TLS_WHY];

    pool->tls_policy =
        tls_client_policy_new(worker->upstream_tls, &pool->conf->tls, why, sizeof why);
    if (!pool->tls_policy)
        log_error("pool %s: no TLS to its backends, so that none can be reached: %s",
                  pool->conf->name, why);
    for (uint32_t i = 0; i < pool->nbackends; i++) {
        struct backend_view *b = &pool->backends[i];

        b->tls.policy = pool->tls_policy;
        b->tls.name = backend_tls_name(&pool->conf->tls, b->conf);
        b->tls.verify = pool->conf->tls.verify;
    }
}

int upstream_tls_init(struct worker *worker)
{
    for (size_t i = 0; i < worker->conf->n_pools; i++) {
        struct pool_view *pool = &worker->pools[i];

        pool->uses_tls = pool->conf->tls.enabled;
        if (!pool->uses_tls)
            continue;
        if (!worker->upstream_tls && !(worker->upstream_tls = tls_client_engine_new()))
            return -1;
        make_policy(worker, pool);
    }
    return 0;
}

void upstream_tls_release(struct worker *worker)
{
    for (size_t i = 0; i < worker->conf->n_backends; i++)
        tls_peer_release(&worker->backends[i].tls);
    for (size_t i = 0; i < worker->conf->n_pools; i++)
        tls_client_policy_free(worker->pools[i].tls_policy);
    tls_engine_free(worker->upstream_tls);
    worker->upstream_tls = NULL;
}

/* ---- handshake */

int upstream_tls_begin(struct upstream *u)
{
    struct backend_view *b = u->backend;

    u->why = "TLS to its pool cannot be set up (see the log)";
    if (!b->tls.policy)
        return UPSTREAM_TLS_FAILED;
    u->tls = tls_conn_connect(u->worker->upstream_tls, &b->tls, u->source.fd);
    u->why = "the TLS handshake did not end in time";
    return u->tls ? 0 : ENOMEM;
}

static void tell_refusal(struct upstream *u, const char *why)
{
    struct backend_view *b = u->backend;

    u->why = why;
    count_add(&b->cell->tls_errors, 1);
    if (log_gate_open(&b->tls_gate))
        log_warn(
            "backend %s: no TLS connection, expected name \"%s\": %s; requests go to other "
            "backends, if there are any",
            b->conf->name, b->tls.name, why);
}

static int refuse(struct upstream *u)
{
    const char *why;
    enum tls_refusal refusal = tls_client_refusal(u->tls, &why);

    tell_refusal(u, why);
    return refusal == TLS_REFUSED_BY_US     ? UPSTREAM_TLS_CERTIFICATE
           : refusal == TLS_REFUSED_BY_PEER ? UPSTREAM_TLS_REFUSED
                                            : UPSTREAM_TLS_FAILED;
}

int upstream_tls_handshake(struct upstream *u, int *error)
{
    int done, round = 0;

    do
        done = tls_handshake(u->tls);
    while (done == 0 && tls_more(u->tls) && ++round < ROUNDS);
    if (done == 0 && round < ROUNDS)
        return 0;
    if (done <= 0) {
        *error = refuse(u);
        return -1;
    }
    count_add(&u->backend->cell->tls_handshakes, 1);
    if (tls_conn_resumed(u->tls))
        count_add(&u->backend->cell->tls_resumed, 1);
    u->why = NULL;
    u->readable = tls_more(u->tls) || u->hung_up;
    return 1;
}

/* ---- bytes */

/* What waits lies in blocks of the engine; it counts as if it lay in ours. */
static ssize_t count_waiting(struct upstream *u)
{
    size_t n = tls_waiting(u->tls);

    u->worker->buffered += n - u->nwaiting;
    u->nwaiting = n;
    return (ssize_t)n;
}

ssize_t upstream_tls_read(struct upstream *u, char *to, size_t room)
{
    ssize_t got = tls_read(u->tls, to, room);

    count_waiting(u);
    u->readable = tls_more(u->tls) || (got > 0 && u->hung_up);
    if (got > 0)
        return got;
    if (got == TLS_EOF && tls_conn_closed(u->tls))
        return 0;
    errno = got == TLS_AGAIN ? EAGAIN : ECONNRESET;
    if (got == TLS_ERROR && tls_client_was_refused(u->tls))
        errno = refuse(u);
    return -1;
}

ssize_t upstream_tls_send(struct upstream *u, const char *bytes, size_t n)
{
    ssize_t flushed;

    for (size_t done = 0; done < n;) {
        size_t part = n - done < TLS_WRITE_MAX ? n - done : TLS_WRITE_MAX;

        if (tls_write(u->tls, bytes + done, part) < 0) {
            errno = EPIPE;
            return -1;
        }
        done += part;
    }
    flushed = tls_flush(u->tls);
    count_waiting(u);
    if (flushed < 0)
        errno = EPIPE;
    return flushed;
}

void upstream_tls_close_notify(struct upstream *u)
{
    tls_shutdown(u->tls);
    count_waiting(u);
}

bool upstream_tls_has_more(const struct upstream *u)
{
    return u->tls && tls_loaded(u->tls);
}

bool upstream_tls_is_silent(struct upstream *u)
{
    char byte;

    for (int round = 0; round < ROUNDS; round++) {
        if (tls_read(u->tls, &byte, 1) != TLS_AGAIN)
            return false;
        if (!tls_more(u->tls)) {
            u->readable = false;
            return true;
        }
    }
    return false;
}

void upstream_tls_end(struct upstream *u)
{
    if (!u->tls)
        return;
    if (!u->connecting)
        tls_shutdown(u->tls);
    tls_conn_free(u->tls);
    u->tls = NULL;
}
