#include "worker/proxy/local_reply.h"

#include <stdlib.h>
#include <string.h>

#include "base/conf/conf.h"
#include "base/log.h"
#include "shm/challenges.h"
#include "worker/core/core.h"
#include "worker/core/peer.h"
#include "worker/http/redirect.h"
#include "worker/proxy/exchange.h"
#include "worker/status/host.h"
#include "worker/status/page.h"

void local_reply_options(struct exchange *x, struct str allow)
{
    struct headers_own_info info = {.status = 204, .allow = allow};

    if (!allow.n)
        info.allow = STR(HEADERS_METHODS);

    exchange_reply(x, &info);
}

void local_reply_over_limit(struct exchange *x)
{
    static const char *const details[CLIENT_LIMITS] = {
        [CLIENT_REQUESTS] = "the client has too many requests (limits.per_client.requests)",
        [CLIENT_REQUEST_RATE] =
            "the client sends requests too fast (limits.per_client.request_rate)",
        [CLIENT_BYTES] = "the client holds too much memory (limits.per_client.bytes)",
        [CLIENT_OFFENCES] =
            "the client broke the protocol too often (limits.per_client.offences)",
    };
    bool often = x->over_limit == CLIENT_REQUEST_RATE || x->over_limit == CLIENT_OFFENCES;
    struct headers_own_info info = {.status = often ? 429 : 503, .retry_after = x->retry_s};

    x->end = EXCHANGE_END_CLIENT;
    x->detail = details[x->over_limit];
    exchange_reply(x, &info);
}

static bool local_reply_orders_certificates(const struct conf *conf)
{
    for (size_t i = 0; i < conf->n_certs; i++)
        if (conf->certs[i].source == CONF_CERT_ACME)
            return true;
    return false;
}

/* Could a challenge that is not ours be meant for an ACME client behind pasgate? */
static bool passes_challenge(const struct exchange *x, struct str path)
{
    const struct conf *conf = x->worker->conf;
    struct route_match match;

    if (x->peer->listen->serve == CONF_SERVE_STATUS)
        return false;
    if (!local_reply_orders_certificates(conf))
        return true;
    return route_lookup(x->worker->routes, x->request->host, path, &match) &&
           conf->routes[match.target].acme_passthrough;
}

/* false: it goes to a backend. */
static bool reply_challenge(struct exchange *x, struct str path, struct str token)
{
    struct headers_own_info info = {.status = 404};
    struct challenge_row found;

    if (token.n && challenge_find(x->worker->table, CHALLENGE_HTTP_01, token,
                                  x->worker->loop.now_ms, &found)) {
        info.status = 200;
        info.body = str_from(found.key_authorization);
        info.content_type = STR("application/octet-stream");
    } else if (passes_challenge(x, path)) {
        return false;
    }
    exchange_reply(x, &info);
    return true;
}

static void reply_redirect(struct exchange *x, struct str path)
{
    const struct http_request *r = x->request;
    bool plain_get = r->method == HTTP_GET || r->method == HTTP_HEAD;
    struct headers_own_info info = {.status = plain_get ? 301 : 308};
    char location[HTTP_TARGET_MOST + CONF_HOST_LEN + 32];
    ssize_t n;

    /* An ABL client follows no redirect: it reports any 3xx as an error without an explanation.
     * Better to refuse it plainly, and to inform the operator. */
    if (route_class_of(path) == ROUTE_CLASS_APSV) {
        static struct log_gate gate;

        if (log_gate_open(&gate))
            log_warn("APSV over plain http from %.*s refused: use https",
                     STR_ARG(x->origin.ip));
        info.status = 403;
        info.body = STR("APSV is served over https only\n");
        exchange_reply(x, &info);
        return;
    }
    if (!x->origin.host.n) {
        exchange_fail(x, 400, EXCHANGE_END_CLIENT, NULL, "no host to redirect to");
        return;
    }
    n = redirect_location(location, sizeof location, r, x->origin.host,
                          x->peer->listen->redirect_port);
    if (n < 0) {
        exchange_fail(x, 414, EXCHANGE_END_CLIENT, NULL,
                      "target too long to redirect once it is percent-encoded");
        return;
    }
    info.location = str_make(location, (size_t)n);
    exchange_reply(x, &info);
}

/* false: the status listener does not serve this request, and has responded to it. A foreign
 * page in an operator's browser can send any request, and would see the response if it does so
 * under a host name that its author points to this host (DNS rebinding). */
static bool admit_to_status(struct exchange *x)
{
    struct headers_own_info info = {.confined = true};
    const struct http_request *r = x->request;

    if (r->method != HTTP_GET && r->method != HTTP_HEAD) {
        info.status = 405;
        info.allow = STR("GET, HEAD");
    } else if (!status_host_allowed(x->worker->conf, x->peer->listen, r->host)) {
        info.status = 421;
        info.body = STR("The status listener does not serve this host name: use its address, "
                        "or add the name to hosts of that listener\n");
    } else {
        return true;
    }
    exchange_reply(x, &info);
    return false;
}

static void reply_status(struct exchange *x, struct str path)
{
    struct headers_own_info info = {.confined = true};
    struct str query = x->request->query;
    const char *type = "text/plain";
    char name[64];
    char *page;
    int status = 500;
    ssize_t n = -1;

    if (!admit_to_status(x))
        return;
    str_copy(name, sizeof name, path);
    page = malloc(STATUS_PAGE_MAX);
    if (page)
        n = status_page_render(x->worker->table, name, str_skip(query, query.n > 0), page,
                               STATUS_PAGE_MAX, &type, &status);
    if (n < 0) {
        exchange_fail(x, 500, EXCHANGE_END_PROXY, "proxy_internal_error",
                      "out of memory for a page");
    } else {
        info.status = (uint16_t)status;
        info.content_type = str_from(type);
        info.body = str_make(page, (size_t)n);
        exchange_reply(x, &info);
    }
    free(page);
}

bool local_reply(struct exchange *x, struct str path)
{
    struct str token;

    if (route_acme_token(path, &token))
        return reply_challenge(x, path, token);
    if (x->peer->listen->serve == CONF_SERVE_STATUS)
        reply_status(x, path);
    else if (x->peer->listen->redirect == CONF_REDIRECT_HTTPS && !x->origin.https)
        reply_redirect(x, path);
    else
        return false;
    return true;
}
