#include "worker/proxy/request.h"

#include <stdio.h>
#include <string.h>

#include "base/conf/conf.h"
#include "base/log.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"
#include "worker/core/peer.h"
#include "worker/http/forward.h"
#include "worker/http/uri.h"
#include "worker/proxy/exchange.h"
#include "worker/proxy/exchange_user.h"
#include "worker/proxy/local_reply.h"
#include "worker/proxy/permit.h"
#include "worker/proxy/retry_budget.h"
#include "worker/proxy/sticky.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/pins.h"

_Static_assert(2 * HTTP_TARGET_MOST + CONF_PATH_LEN <= WORKER_HEADROOM, "a path and its map");
_Static_assert(H1_METHOD_MAX == CONF_METHOD_LEN, "methods that come can be configured");

enum { CHUNK_ROOM = H1_CHUNK_HEAD_MAX + sizeof H1_CHUNK_TAIL H1_CHUNK_LAST };

/* A chunked body is collected without framing and sent as one chunk. */
static void frame_body(struct exchange *x)
{
    struct request_buffer *out = x->request_buffer;
    char *body = out->bytes + x->body_at, *to = body + H1_CHUNK_HEAD_MAX;
    size_t n = out->n - x->body_at;

    if (!x->chunked || (!n && !x->body_done))
        return;
    memmove(to, body, n);
    n = h1_chunk_frame(&to, n, x->body_done);
    memmove(body, to, n);
    out->n = x->body_at + n;
}

static void request_append(struct request_buffer *out, const char *data, size_t n)
{
    if (n)
        memcpy(out->bytes + out->n, data, n);
    out->n += n;
}

bool request_collects(const struct exchange *x)
{
    return !x->body_done && !x->expects && x->bytes_in < x->route->request_buffer;
}

bool request_add_body(struct exchange *x, const char *data, size_t n)
{
    size_t need = x->request_buffer->n + n + CHUNK_ROOM;

    if (need > x->request_buffer->cap) {
        size_t twice = 2 * x->request_buffer->cap;

        x->request_buffer =
            request_buffer_grow(x->worker, x->request_buffer, need > twice ? need : twice);
        if (!x->request_buffer)
            return false;
    }
    request_append(x->request_buffer, data, n);
    if (!request_collects(x))
        frame_body(x);
    return true;
}

/* Length of the query as it is forwarded. */
static size_t query_size(const struct http_request *r)
{
    return r->raw ? uri_encoded_size(r->query) : r->query.n;
}

/* A request that came by HTTP/2 becomes another protocol's text: what we wrote must be read as
 * one request with the same framing, by our own strict parser, before a backend sees it. */
static bool request_is_what_we_meant(struct exchange *x)
{
    static const struct http_limits limits = {.target = UINT16_MAX * 2,
                                              .field = UINT16_MAX * 2,
                                              .head = UINT32_MAX,
                                              .fields = HTTP_FIELDS_MAX - 1};
    static const struct h1_request_policy policy = {0};
    struct http_request *parsed = &x->worker->reparsed;
    const struct http_request *r = x->request;
    const struct request_buffer *buffer = x->request_buffer;
    struct h1_scan scan = {0};

    if (h1_request_parse(parsed, buffer->bytes, buffer->n, &scan, &limits, &policy) ==
            (ssize_t)buffer->n &&
        str_eq(parsed->method_name, r->method_name) &&
        (parsed->body == r->body ||
         (r->body == HTTP_BODY_NONE && parsed->body == HTTP_BODY_LENGTH)) &&
        parsed->content_length == r->content_length)
        return true;
    exchange_fail(x, 400, EXCHANGE_END_CLIENT, NULL,
                  "the request cannot be expressed in HTTP/1.1");
    return false;
}

static bool request_write_head(struct exchange *x, struct str path,
                               const struct sticky_cuts *cuts, size_t nbody)
{
    const struct http_request *r = x->request;
    const struct conf_backend *first = x->pool->backends[0].conf;
    size_t room = path.n + FORWARD_GROWTH_MAX;
    struct text_out out;
    char fallback[CONF_HOST_LEN + 8];
    struct forward_info info = {
        .path = path,
        .peer_ip = peer_ip(x->peer),
        .peer_trusted = x->peer->trusted,
        .origin = &x->origin,
        .request_id = exchange_id(x),
        .expects = x->expects,
        .cuts = cuts->cut,
        .ncuts = cuts->n,
        .drop = permit_dropped(x),
        .user = exchange_user(x),
        .client_subject = permit_client_subject(x),
        .client_fingerprint = permit_client_fingerprint(x),
    };
    ssize_t n;

    for (unsigned i = 0; i < r->nfields; i++)
        room += r->fields[i].name.n + r->fields[i].value.n + 4;
    room += query_size(r) + r->authority.n;
    if (!r->authority.n) {
        int len = *first->socket
                      ? snprintf(fallback, sizeof fallback, "%s", first->host)
                      : snprintf(fallback, sizeof fallback, "%s:%u", first->host, first->port);

        info.fallback_host = str_make(fallback, (size_t)len);
    }
    x->request_buffer = request_buffer_new(x->worker, room + nbody + CHUNK_ROOM);
    if (!x->request_buffer) {
        exchange_fail(x, 503, EXCHANGE_END_PROXY, "proxy_internal_error", EXCHANGE_NO_MEMORY);
        return false;
    }
    request_buffer_charge(x->request_buffer, x->client);
    text_out_init(&out, x->request_buffer->bytes, room);
    n = forward_request(&out, r, &info);
    if (n < 0) {
        exchange_fail(x, 431, EXCHANGE_END_CLIENT, NULL, "header too large to pass on");
        return false;
    }
    x->request_buffer->n = (size_t)n;
    return r->version_major < 2 || request_is_what_we_meant(x);
}

/* The class that the operator configures for a route overrides the class of its path. */
static void route_class(struct exchange *x)
{
    switch (x->route->class) {
    case CONF_CLASS_AUTO:
        break;
    case CONF_CLASS_WEB:
    case CONF_CLASS_REST:
        x->match.class = ROUTE_CLASS_PLAIN;
        break;
    case CONF_CLASS_SOAP:
        x->match.class = ROUTE_CLASS_SOAP;
        break;
    case CONF_CLASS_APSV:
        x->match.class = ROUTE_CLASS_APSV;
        break;
    }
}

/* Responds with 400: an encoded slash is accepted only where the route allows it. */
static bool refuse_slash(struct exchange *x)
{
    exchange_fail(x, 400, EXCHANGE_END_CLIENT, NULL, uri_error_text(URI_E_SEPARATOR));
    return false;
}

/* Finds the route. has_slash: the path contains an encoded one. false: there is none, and the
 * exchange is over. */
static bool find_route(struct exchange *x, struct str path, bool has_slash)
{
    const struct http_request *r = x->request;
    struct worker *worker = x->worker;

    bool found = route_lookup(worker->routes, r->host, path, &x->match);
    if (has_slash &&
        !(found && worker->conf->routes[x->match.target].encoded_slash == CONF_SLASH_PASS))
        return refuse_slash(x);
    if (!found || x->match.shielded) {
        exchange_fail(x, 404, EXCHANGE_END_PROXY, "destination_not_found",
                      x->match.shielded ? "management path without a route of its own"
                                        : "no route");
        return false;
    }
    x->route = &worker->conf->routes[x->match.target];
    x->transport->body_ms = x->route->timeouts.body_ms;
    x->transport->send_ms = x->route->timeouts.send_ms;
    x->pool = &worker->pools[x->route->pool->index];
    x->idempotent = http_method_is_idempotent((enum http_method)r->method);
    route_class(x);
    x->safe =
        http_method_is_safe((enum http_method)r->method) && x->match.class != ROUTE_CLASS_APSV;
    x->chunked = r->body == HTTP_BODY_CHUNKED;
    return true;
}

/* false: the body is larger than the route allows, and the response was 413. */
static bool admit_body(struct exchange *x)
{
    const struct http_request *r = x->request;

    if ((r->body != HTTP_BODY_LENGTH || r->content_length <= x->route->body_bytes) &&
        x->bytes_in <= x->route->body_bytes)
        return true;
    exchange_fail(x, 413, EXCHANGE_END_CLIENT, NULL, "body over the limit");
    return false;
}

/* Prefers the backend at which its connection is authenticated, unless its session is
 * elsewhere. */
static void find_pinned(struct exchange *x)
{
    x->binds = pins_bound_by_request(x->request);
    if (!x->affinity)
        x->affinity = pins_backend(&x->transport->pins, x->pool);
}

/* An OPTIONS request with Max-Forwards: 0 is meant for pasgate itself. */
static bool is_last_hop(const struct http_request *r)
{
    uint32_t hops;

    for (unsigned i = 0; r->method == HTTP_OPTIONS && i < r->nfields; i++)
        if (http_max_forwards(&r->fields[i], &hops) && hops == 0)
            return true;
    return false;
}

/* Allow lists the methods of the route. */
static void reply_last_hop(struct exchange *x, struct str path)
{
    const struct conf_route *routes = x->worker->conf->routes;
    struct route_match match;
    struct str allow = STR_EMPTY;

    if (route_lookup(x->worker->routes, x->request->host, path, &match) &&
        routes[match.target].n_methods)
        allow = str_from(routes[match.target].allow);
    local_reply_options(x, allow);
}

/* false: the route does not accept the method, and the response was 405. */
static bool admit_method(struct exchange *x)
{
    const struct conf_route *route = x->route;
    struct str method = x->request->method_name;
    struct headers_own_info info = {.status = 405, .allow = str_from(route->allow)};

    if (route->n_methods == 0)
        return true;
    if (str_eq(method, STR("HEAD")))
        method = STR("GET");
    for (size_t i = 0; i < route->n_methods; i++) {
        if (str_eq(method, str_from(route->methods[i])) ||
            str_eq(x->request->method_name, str_from(route->methods[i])))
            return true;
    }
    x->end = EXCHANGE_END_PROXY;
    x->detail = "method not allowed on this route";
    exchange_reply(x, &info);
    return false;
}

/* Writes the path to `path`, which has room for the longest target, in the form that is routed
 * and, after mapping, forwarded. Returns its length; <= 0: the exchange is over. */
static ssize_t normal_path(struct exchange *x, char *path)
{
    const struct http_request *r = x->request;
    size_t query = query_size(r), most = x->worker->limits.target;
    unsigned flags = URI_ALLOW_ENCODED_SLASH;
    ssize_t len;

    if (x->peer->listen->targets == CONF_TARGETS_ENCODE)
        flags |= URI_ENCODE_RAW;
    len = query < most ? uri_normalise(path, most - query, r->path, flags) : -URI_E_LONG;
    if (len == -URI_E_LONG)
        exchange_fail(x, 414, EXCHANGE_END_CLIENT, NULL, "target too long once encoded");
    else if (len < 0)
        exchange_fail(x, 400, EXCHANGE_END_CLIENT, NULL, uri_error_text((int)len));
    return len;
}

bool request_prepare(struct exchange *x, const char *data, size_t n)
{
    const struct http_request *r = x->request;
    char *path = x->worker->head_scratch, *mapped = path + HTTP_TARGET_MOST;
    struct sticky_cuts cuts;
    ssize_t len;
    size_t bare;
    bool has_slash;

    if (x->peer->listen->n_clients && !permit_listener(x))
        return false;
    if (r->form == HTTP_TARGET_ASTERISK) {
        local_reply_options(x, STR_EMPTY);
        return false;
    }
    len = normal_path(x, path);
    if (len <= 0)
        return false;
    if (is_last_hop(r)) {
        reply_last_hop(x, str_make(path, (size_t)len));
        return false;
    }
    has_slash = uri_has_encoded_slash(str_make(path, (size_t)len));
    if (has_slash && x->peer->listen->serve == CONF_SERVE_STATUS)
        return refuse_slash(x);
    if (local_reply(x, str_make(path, (size_t)len)))
        return false;
    if (!find_route(x, str_make(path, (size_t)len), has_slash) || !permit_route(x) ||
        !permit_certificate(x) || !permit_user(x) || !admit_body(x) || !admit_method(x))
        return false;
    /* Otherwise pasgate sends 100 itself and collects the body like any other. */
    x->expects = x->expects && retry_budget_expect_acquire(x);
    bare = (size_t)len;
    sticky_request(x, path, &bare, &cuts);
    find_pinned(x);
    len = route_map_path(&x->match, str_make(path, bare), mapped,
                         HTTP_TARGET_MOST + CONF_PATH_LEN);
    if (len < 0) {
        exchange_fail(x, 414, EXCHANGE_END_CLIENT, NULL, "path too long once mapped");
        return false;
    }
    if (!request_write_head(x, str_make(mapped, (size_t)len), &cuts, n))
        return false;
    x->body_at = x->request_buffer->n;
    request_append(x->request_buffer, data, n);
    if (!request_collects(x))
        frame_body(x);
    return true;
}
