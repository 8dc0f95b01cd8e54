#include "worker/proxy/permit.h"

#include <stdio.h>
#include <string.h>

#include "base/conf/conf.h"
#include "base/conf/networks.h"
#include "base/log.h"
#include "worker/core/core.h"
#include "worker/core/peer.h"
#include "worker/http/basic.h"
#include "worker/login/login.h"
#include "worker/proxy/exchange.h"
#include "worker/proxy/exchange_user.h"
#include "worker/tls/tls.h"

static bool permit_refuse(struct exchange *x, const char *detail)
{
    count_add(&x->worker->row->requests_denied, 1);
    exchange_fail(x, 403, EXCHANGE_END_PROXY, NULL, detail);
    return false;
}

bool permit_listener(struct exchange *x)
{
    const struct conf_listen *listen = x->peer->listen;
    static struct log_gate gate;

    if (conf_networks_admit(listen->clients, listen->n_clients, x->origin.address))
        return true;
    if (log_wants(LOG_LEVEL_INFO) && log_gate_open(&gate))
        log_info("requests at %s refused, such as from %.*s: clients of that listener does not "
                 "admit them",
                 listen->address, STR_ARG(x->origin.ip));
    return permit_refuse(x, "the listener does not admit this client (clients)");
}

bool permit_route(struct exchange *x)
{
    const struct conf_route *route = x->route;
    static struct log_gate gate;

    if (route->n_clients == 0 ||
        conf_networks_admit(route->clients, route->n_clients, x->origin.address))
        return true;
    if (log_wants(LOG_LEVEL_INFO) && log_gate_open(&gate))
        log_info(
            "requests for route %s%s refused, such as from %.*s: its clients does not admit "
            "them",
            route->host, route->path, STR_ARG(x->origin.ip));
    return permit_refuse(x, "the route does not admit this client (clients)");
}

/* ---- certificates of clients */

static bool asks(const struct exchange *x)
{
    return x->peer->tls && x->peer->listen->client_cert != CONF_CLIENT_CERT_NONE;
}

struct str permit_client_subject(const struct exchange *x)
{
    return asks(x) ? str_from(tls_conn_client_subject(x->peer->tls)) : STR_EMPTY;
}

struct str permit_client_fingerprint(const struct exchange *x)
{
    return asks(x) ? str_from(tls_conn_client_fingerprint(x->peer->tls)) : STR_EMPTY;
}

bool permit_certificate(struct exchange *x)
{
    static struct log_gate gate;

    if (!x->route->client_cert || permit_client_fingerprint(x).n)
        return true;
    if (log_wants(LOG_LEVEL_INFO) && log_gate_open(&gate))
        log_info("requests for route %s%s refused, such as from %.*s: it needs a client "
                 "certificate",
                 x->route->host, x->route->path, STR_ARG(x->origin.ip));
    return permit_refuse(x, "the route needs a client certificate");
}

/* ---- HTTP Basic */

static bool permit_challenge(struct exchange *x, const char *detail)
{
    char text[300]; /* a realm has at most 255 bytes */
    struct headers_own_info info = {.status = 401};
    int n = snprintf(text, sizeof text, "Basic realm=\"%s\", charset=\"UTF-8\"",
                     x->route->basic.realm);

    info.authenticate = str_make(text, (size_t)n);
    x->end = EXCHANGE_END_PROXY;
    x->detail = detail;
    exchange_reply(x, &info);
    return false;
}

static bool wrong(struct exchange *x)
{
    static struct log_gate gate;
    struct str user = exchange_user(x);

    count_add(&x->worker->row->logins_failed, 1);
    if (log_wants(LOG_LEVEL_WARN) && log_gate_open(&gate))
        log_warn("login failed at route %s%s: user %.*s from %.*s", x->route->host,
                 x->route->path, STR_ARG(user), STR_ARG(x->origin.ip));
    return permit_challenge(x, "wrong name or password");
}

static bool limited(struct exchange *x)
{
    static struct log_gate gate;
    struct headers_own_info info = {.status = 429,
                                    .retry_after = login_retry_s(x->worker, x->origin.address)};

    count_add(&x->worker->row->logins_limited, 1);
    if (log_wants(LOG_LEVEL_WARN) && log_gate_open(&gate))
        log_warn("logins from %.*s are not verified for %u s: too many wrong passwords",
                 STR_ARG(x->origin.ip), info.retry_after);
    x->end = EXCHANGE_END_PROXY;
    x->detail = "too many wrong passwords from this address";
    exchange_reply(x, &info);
    return false;
}

static bool busy(struct exchange *x)
{
    static struct log_gate gate;

    count_add(&x->worker->row->logins_limited, 1);
    if (log_gate_open(&gate))
        log_warn("requests with passwords get 503: too many wait for theirs to be verified");
    exchange_fail(x, 503, EXCHANGE_END_PROXY, "proxy_internal_error",
                  "too many passwords wait to be verified");
    return false;
}

static bool login_result(struct exchange *x, enum login_result result)
{
    switch (result) {
    case LOGIN_RIGHT:
        x->logged_in = true;
        return true;
    case LOGIN_WAITING:
        return true;
    case LOGIN_WRONG:
        return wrong(x);
    case LOGIN_LIMITED:
        return limited(x);
    case LOGIN_BUSY:
        break;
    }
    return busy(x);
}

bool permit_user(struct exchange *x)
{
    const struct http_field *field;
    char buf[BASIC_MAX];
    struct str user, password;
    enum login_result result;

    if (!x->route->basic.n_users)
        return true;
    field = http_request_field(x->request, HTTP_F_AUTHORIZATION);
    if (!field)
        return permit_challenge(x, "no name and password");
    if (!basic_decode(field->value, buf, &user, &password)) {
        explicit_bzero(buf, sizeof buf);
        return permit_challenge(x, "Authorization is not of HTTP Basic");
    }
    result = login_check(x->worker, x->route, x->origin.address, user, password, x, &x->login);
    explicit_bzero(buf, sizeof buf);
    return login_result(x, result);
}

bool permit_login(struct exchange *x, int result)
{
    x->login = NULL;
    return login_result(x, (enum login_result)result);
}

uint64_t permit_dropped(const struct exchange *x)
{
    uint64_t drop = 0;

    if (asks(x))
        drop |= UINT64_C(1) << HTTP_F_CLIENT_CERT;
    if (x->route->basic.n_users) {
        drop |= UINT64_C(1) << HTTP_F_X_REMOTE_USER;
        if (!x->route->basic.pass)
            drop |= UINT64_C(1) << HTTP_F_AUTHORIZATION;
    }
    return drop;
}
