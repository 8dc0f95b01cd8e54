#include "worker/proxy/retry.h"

#include <errno.h>
#include <string.h>

#include "base/conf/conf.h"
#include "worker/core/core.h"
#include "worker/proxy/exchange_stats.h"
#include "worker/proxy/hedge.h"
#include "worker/proxy/measured.h"
#include "worker/proxy/retry_budget.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/upstream.h"
#include "worker/upstream/upstream_tls.h"

static bool has_attempts(const struct exchange *x)
{
    return x->attempts <= x->pool->conf->retries;
}

/* May it be tried again at another backend? sent: this backend may have received it. A
 * probation request always may: that was the condition for using it. */
static bool may_retry(const struct exchange *x, enum conf_retry why, bool sent)
{
    if (x->responded || x->streamed || !has_attempts(x))
        return false;
    if (!(x->route->retry & why) && !x->active->probation)
        return false;
    /* Nothing is kept of a body that is still arriving. */
    return !sent || (x->safe && x->body_done);
}

static void mark_tried(const struct exchange *x, uint64_t *tried)
{
    uint32_t i = (uint32_t)(x->active->backend - x->pool->backends);

    tried[i / 64] |= UINT64_C(1) << (i % 64);
}

/* Is an untried healthy backend left? */
static bool has_other(const struct exchange *x)
{
    uint64_t tried[TABLE_BACKENDS / 64];

    memcpy(tried, x->tried, sizeof tried);
    mark_tried(x, tried);
    return backends_has_healthy(x->pool, tried);
}

/* Gives up this attempt and chooses again, but never the same backend. */
static void try_another(struct exchange *x, enum conf_retry why, bool sent)
{
    mark_tried(x, x->tried);
    x->fresh = false;
    x->resent |= sent;
    x->retried |= (uint16_t)why;
    x->waiter.since_ms = 0;
    count_add(&x->active->backend->cell->retries, 1);
    exchange_stats_moved(x);
    exchange_leave(x);
    attempt_choose(x);
}

/* A kept connection was closed under us: this does not count as an attempt and says nothing
 * about the backend, which may be chosen again. */
static void try_fresh(struct exchange *x)
{
    x->fresh = true;
    x->attempts--;
    exchange_leave(x);
    attempt_choose(x);
}

/* The same of the second attempt of a hedged exchange, which does not wait for a slot: it keeps
 * its own. */
static void hedge_fresh(struct exchange *x)
{
    struct backend_view *b = x->active->backend;

    x->fresh = true;
    x->attempts--;
    exchange_disconnect(x);
    exchange_unlink_running(x->active);
    attempt_connect(x, b);
}

static bool may_hedge_fresh(const struct exchange *x)
{
    return exchange_other(x)->chosen < x->active->chosen &&
           x->active->backend->admin == ADMIN_READY &&
           !health_is_out(x->active->backend->health.state);
}

/* A single failure should not cost a backend its sessions, which are unknown to other backends:
 * it is tried once more, if an attempt for another backend remains after that. */
static bool may_stay(const struct exchange *x, enum conf_retry why)
{
    return x->affinity && x->affinity == x->active->backend && !x->affinity_again &&
           (why & (CONF_RETRY_EMPTY | CONF_RETRY_CUT)) &&
           backends_serves_sessions(x->affinity) && x->attempts < x->pool->conf->retries;
}

static void stay(struct exchange *x, enum conf_retry why)
{
    x->affinity_again = x->fresh = x->resent = true;
    x->retried |= (uint16_t)why;
    x->waiter.since_ms = 0;
    exchange_leave(x);
    attempt_choose(x);
}

/* On a fresh connection, idempotent requests may be sent again, too. */
static bool may_go_fresh(const struct exchange *x, bool sent)
{
    if (x->responded || x->streamed)
        return false;
    return !sent || (x->idempotent && x->body_done && x->match.class != ROUTE_CLASS_APSV);
}

/* The other attempt of a hedged exchange takes its place. false: there is none. */
static bool go_on(struct exchange *x)
{
    if (!hedge_promote(x))
        return false;
    if (health_is_out(x->active->backend->health.state))
        retry_move(x);
    return true;
}

/* A kept connection may just have been closed (Tomcat's 100 requests or 20 s), which is no
 * fault of the backend. */
static bool is_stale(const struct exchange *x)
{
    return x->active->reused && !x->active->first_byte;
}

/* false: no retry is allowed; x is unchanged. */
static bool retry_elsewhere(struct exchange *x, enum conf_retry why, bool sent)
{
    /* If the other attempt fails, too, a third one must not go where this one failed. */
    if (exchange_other(x)->upstream && !is_stale(x))
        mark_tried(x, x->tried);
    if (go_on(x))
        return true;
    if (!may_retry(x, why, sent))
        return false;
    if (may_stay(x, why))
        stay(x, why);
    else
        try_another(x, why, sent);
    return true;
}

bool retry_move(struct exchange *x)
{
    bool sent = x->active->state != EXCHANGE_CONNECTING;

    if ((x->active->state > EXCHANGE_WAITING && !x->held) ||
        !may_retry(x, CONF_RETRY_VERDICT, sent))
        return false;
    return retry_elsewhere(x, CONF_RETRY_VERDICT, sent);
}

void retry_evict(struct exchange *x, const char *why)
{
    /* A hedged exchange continues with its other attempt, whatever may be sent again. */
    if (go_on(x) || retry_move(x))
        return;
    x->error = "destination_unavailable";
    exchange_fail(x, 503, EXCHANGE_END_PROXY, x->error, why);
}

/* What is reported if no other backend serves it either. */
static void note_failure(struct exchange *x, uint16_t status, enum exchange_end end,
                         const char *error, const char *detail)
{
    x->status = status;
    x->end = (uint8_t)end;
    x->error = error;
    x->detail = detail;
}

/* Ends it with what note_failure() noted. */
static void fail_noted(struct exchange *x)
{
    exchange_fail(x, x->status, (enum exchange_end)x->end, x->error, x->detail);
}

/* Why the connection to the backend failed. */
static const char *error_text(const struct exchange *x, int error)
{
    const struct upstream *u = x->active->upstream;

    return u && u->why ? u->why : strerror(error);
}

static const char *connect_error_type(int error)
{
    switch (error) {
    case UPSTREAM_TLS_CERTIFICATE:
        return "tls_certificate_error";
    case UPSTREAM_TLS_REFUSED:
        return "tls_alert_received";
    case UPSTREAM_TLS_FAILED:
        return "tls_protocol_error";
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

void retry_connect_failed(struct exchange *x, int error)
{
    bool timeout = error == ETIMEDOUT;

    /* A shortage of this host says nothing about the backend. */
    if (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
        error == EADDRNOTAVAIL) {
        if (!go_on(x))
            exchange_fail(x, 503, EXCHANGE_END_PROXY, "proxy_internal_error",
                          "no descriptors, ports or memory left");
        return;
    }
    count_add(timeout ? &x->active->backend->cell->timeouts
                      : &x->active->backend->cell->connect_errors,
              1);
    backends_failed(x->worker, x->active->backend);
    note_failure(x, timeout ? 504 : 502, timeout ? EXCHANGE_END_TIMEOUT : EXCHANGE_END_BACKEND,
                 connect_error_type(error), error_text(x, error));
    if (!retry_elsewhere(x, CONF_RETRY_CONNECT, false))
        fail_noted(x);
}

static void count_reset(struct exchange *x)
{
    count_add(&x->active->backend->cell->resets, 1);
    backends_failed(x->worker, x->active->backend);
}

/* The backend did nothing wrong: nothing is counted against it, and nothing is sent again. */
static void give_up_body(struct exchange *x)
{
    count_add(&x->worker->row->slow_bodies, 1);
    exchange_fail(x, 408, EXCHANGE_END_CLIENT, NULL, EXCHANGE_BODY_OWED);
}

void retry_unanswered(struct exchange *x, int error, bool sent)
{
    bool stale = is_stale(x);

    if (!stale)
        count_reset(x);
    note_failure(x, 502, EXCHANGE_END_BACKEND, "connection_terminated",
                 error ? strerror(error) : "closed without a response");
    if (stale && may_go_fresh(x, sent) &&
        (!exchange_other(x)->upstream || may_hedge_fresh(x))) {
        if (exchange_other(x)->upstream)
            hedge_fresh(x);
        else
            try_fresh(x);
        return;
    }
    if (retry_elsewhere(x, CONF_RETRY_EMPTY, sent))
        return;
    if (stale)
        count_reset(x);
    fail_noted(x);
}

void retry_bad_response(struct exchange *x, const char *reason)
{
    count_reset(x);
    note_failure(x, 502, EXCHANGE_END_BACKEND, "http_protocol_error", reason);
    if (!retry_elsewhere(x, CONF_RETRY_EMPTY, true))
        fail_noted(x);
}

void retry_no_response(struct exchange *x, const char *error, const char *detail)
{
    count_add(&x->active->backend->cell->timeouts, 1);
    backends_complain(x->worker, x->active->backend);
    note_failure(x, 504, EXCHANGE_END_TIMEOUT, error, detail);
    if (!retry_elsewhere(x, CONF_RETRY_TIMEOUT, true))
        fail_noted(x);
}

void retry_response_cut(struct exchange *x, bool timeout, const char *error, const char *detail)
{
    enum exchange_end end = timeout ? EXCHANGE_END_TIMEOUT : EXCHANGE_END_BACKEND;

    count_add(timeout ? &x->active->backend->cell->timeouts : &x->active->backend->cell->cut,
              1);
    backends_failed(x->worker, x->active->backend);
    if (!x->held) {
        x->error = error;
        exchange_cut(x, end, detail);
        return;
    }
    note_failure(x, timeout ? 504 : 502, end, error, detail);
    if (!retry_elsewhere(x, CONF_RETRY_CUT, true))
        fail_noted(x);
}

bool retry_may_hold(const struct exchange *x)
{
    return may_retry(x, CONF_RETRY_CUT, true) && has_other(x);
}

static enum conf_retry reason_of(unsigned status)
{
    switch (status) {
    case 500:
        return CONF_RETRY_500;
    case 502:
        return CONF_RETRY_502;
    case 503:
        return CONF_RETRY_503;
    case 504:
        return CONF_RETRY_504;
    default:
        return 0;
    }
}

/* Responses for which healthd found the backend unlike the others are not passed on where
 * another one may serve the request: it is only asked to see whether it is well again. */
static enum conf_retry refusal_of(const struct exchange *x, unsigned status)
{
    uint8_t cause = x->active->backend->health.cause;

    if (cause == (status >= 500 ? CAUSE_5XX : CAUSE_4XX))
        return CONF_RETRY_VERDICT;
    return reason_of(status);
}

/* A request of a session stays: only its own backend knows the session, and another one would
 * start a new session. */
bool retry_refuse_response(struct exchange *x, unsigned status)
{
    enum conf_retry why = refusal_of(x, status);

    if (!(x->route->retry & why) || x->affinity || !may_retry(x, why, true) || !has_other(x))
        return false;
    x->resent = true;
    if (!retry_budget_acquire(x) && !retry_budget_helps(x->pool))
        return false;
    x->refused = x->active->backend;
    measured_response(x);
    backends_completed(x->active->backend);
    note_failure(x, (uint16_t)status, EXCHANGE_END_BACKEND, "http_response_status",
                 "every backend that was tried returned an error");
    try_another(x, why, true);
    return true;
}

/* Both directions of the tunnel are gone. The client gets FIN behind the bytes that still wait:
 * a reset could make it lose the last ones, which may say why. */
static void tunnel_broken(struct exchange *x, int error)
{
    x->error = "connection_terminated";
    x->end = EXCHANGE_END_BACKEND;
    x->detail = strerror(error);
    exchange_finish(x, true);
}

/* Passes the backend's FIN on to the client, whose own direction stays open. */
static void end_of_tunnel(struct exchange *x, int error)
{
    bool known = x->backend_ended;

    x->no_reuse = x->backend_ended = true;
    if (error && !known && !x->client_ended) {
        tunnel_broken(x, error);
    } else if (error || x->client_ended) {
        exchange_complete(x, true);
    } else if (!known) {
        x->transport->ops->body(x->transport, worker_body(x->worker), 0, true);
        exchange_arm(x, exchange_idle_ms(x));
    }
}

void retry_upstream_gone(struct exchange *x, int error)
{
    if (x->active->state == EXCHANGE_TUNNEL) {
        end_of_tunnel(x, error);
        return;
    }
    if (x->active->state == EXCHANGE_RESPONDING && x->body == HTTP_BODY_UNTIL_CLOSE && !error) {
        x->no_reuse = true;
        int result = x->transport->ops->body(x->transport, worker_body(x->worker), 0, true);

        if (result < 0)
            exchange_cut(x, EXCHANGE_END_CLIENT, "client gone");
        else
            exchange_complete(x, result == 0);
        return;
    }
    /* Whatever was sent, it has not looked at it. */
    if (error == UPSTREAM_TLS_REFUSED) {
        retry_connect_failed(x, error);
        return;
    }
    if (exchange_client_owes(x)) {
        give_up_body(x);
        return;
    }
    if (x->active->state != EXCHANGE_RESPONDING) {
        retry_unanswered(x, error, true);
        return;
    }
    retry_response_cut(x, false, "http_response_incomplete",
                       "the backend closed the connection in the middle of its response");
}

const struct attempt_failures retry_failures = {
    .connect = retry_connect_failed,
    .unanswered = retry_unanswered,
};
