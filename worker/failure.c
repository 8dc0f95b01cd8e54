/* When a backend fails an exchange: what may be sent again, where, and what the
 * client is told else (worker/exchange.h; the table in worker/README.md). */
#include <errno.h>
#include <string.h>

#include "base/conf.h"
#include "worker/backends.h"
#include "worker/core.h"
#include "worker/exchange.h"
#include "worker/record.h"

/* May what was sent be sent again, and where? */
static bool may_retry(const struct exchange *x, bool sent)
{
    if (x->answered || x->partial || x->streamed)
        return false;
    if (!sent)
        return true;
    if (x->match.class == ROUTE_CLASS_APSV)
        return false;
    return x->safe || (x->idempotent && x->reused);
}

/* Gives up this attempt and chooses anew, never the same backend again. */
static void try_another(struct exchange *x)
{
    struct backend_view *b = x->backend;
    uint32_t i = (uint32_t)(b - x->pool->backends);

    x->tried[i / 64] |= UINT64_C(1) << (i % 64);
    x->fresh = false;
    count_add(&b->cell->retries, 1);
    record_moved(x);
    exchange_leave(x);
    exchange_choose(x);
}

/* A kept connection was closed under us: that is no attempt, and says nothing
 * about the backend, which may be chosen again. */
static void try_fresh(struct exchange *x)
{
    x->fresh = true;
    x->attempts--;
    exchange_leave(x);
    exchange_choose(x);
}

/* false: it is not allowed; x is unchanged. */
static bool retry(struct exchange *x, bool sent)
{
    if (!may_retry(x, sent))
        return false;
    if (x->reused)
        try_fresh(x);
    else if (x->attempts <= x->pool->conf->retries)
        try_another(x);
    else
        return false;
    return true;
}

bool exchange_move(struct exchange *x)
{
    bool sent = x->state != EXCHANGE_CONNECTING;

    if (x->state > EXCHANGE_WAITING || x->at.first_byte || !may_retry(x, sent) ||
        x->attempts > x->pool->conf->retries)
        return false;
    /* Idempotent is enough for a fresh try after a close, not while the first
     * one may still be at work. */
    if (sent && !x->safe)
        return false;
    try_another(x);
    return true;
}

void exchange_expel(struct exchange *x, const char *why)
{
    if (exchange_move(x))
        return;
    x->error = "destination_unavailable";
    exchange_fail(x, 503, EXCHANGE_END_PROXY, x->error, why);
}

static const char *connect_error_type(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return "connection_refused";
    case ETIMEDOUT:
        return "connection_timeout";
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
        return "destination_ip_unroutable";
    default:
        return "connection_terminated";
    }
}

void exchange_connect_failed(struct exchange *x, int error)
{
    bool timeout = error == ETIMEDOUT;

    /* Our own shortage says nothing about the backend. */
    if (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS) {
        exchange_fail(x, 503, EXCHANGE_END_PROXY, "proxy_internal_error",
                      "no descriptors or memory left");
        return;
    }
    count_add(timeout ? &x->backend->cell->timeouts : &x->backend->cell->connect_errors, 1);
    backends_complain(x->worker, x->backend);
    x->error = connect_error_type(error);
    x->detail = strerror(error);
    x->status = timeout ? 504 : 502;
    if (retry(x, false))
        return;
    exchange_fail(x, x->status, timeout ? EXCHANGE_END_TIMEOUT : EXCHANGE_END_BACKEND, x->error,
                  x->detail);
}

void exchange_gone_unanswered(struct exchange *x, int error, bool sent)
{
    struct worker_backend *cell = x->backend->cell;

    /* That a kept connection was just closed is no fault (Tomcat's 100 requests
     * or 20 s), so that only a fresh one is complained of. */
    if (!x->reused) {
        count_add(&cell->resets, 1);
        backends_complain(x->worker, x->backend);
    }
    x->error = "connection_terminated";
    x->detail = error ? strerror(error) : "closed without an answer";
    x->status = 502;
    if (retry(x, sent))
        return;
    if (x->reused) {
        count_add(&cell->resets, 1);
        backends_complain(x->worker, x->backend);
    }
    exchange_fail(x, 502, EXCHANGE_END_BACKEND, x->error, x->detail);
}

void exchange_upstream_gone(struct exchange *x, int error)
{
    if (x->state == EXCHANGE_TUNNEL) {
        x->no_reuse = true;
        exchange_complete(x);
        return;
    }
    if (x->state != EXCHANGE_ANSWERING) {
        exchange_gone_unanswered(x, error, true);
        return;
    }
    if (x->body == HTTP_BODY_UNTIL_CLOSE && !error) {
        x->no_reuse = true;
        if (x->ops->body(x, worker_body(x->worker), 0, true) < 0)
            exchange_cut(x, EXCHANGE_END_CLIENT, "client gone");
        else
            exchange_complete(x);
        return;
    }
    count_add(&x->backend->cell->cut, 1);
    backends_complain(x->worker, x->backend);
    x->error = "http_response_incomplete";
    exchange_cut(x, EXCHANGE_END_BACKEND, "the instance closed in the middle of its answer");
}
