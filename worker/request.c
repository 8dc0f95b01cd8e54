#include "worker/request.h"

#include <stdio.h>
#include <string.h>

#include "base/conf.h"
#include "base/log.h"
#include "worker/backends.h"
#include "worker/box.h"
#include "worker/core.h"
#include "worker/exchange.h"
#include "worker/local.h"
#include "worker/peer.h"
#include "worker/sticky.h"
#include "worker/uri.h"

enum { CHUNK_ROOM = HTTP1_CHUNK_HEAD_MAX + sizeof HTTP1_CHUNK_TAIL HTTP1_CHUNK_LAST };

size_t request_chunk(char **data, size_t n, bool last)
{
    char *end = *data + n;
    char head[HTTP1_CHUNK_HEAD_MAX];

    if (n) {
        size_t len = http1_chunk_head(head, n);

        *data -= len;
        memcpy(*data, head, len);
        memcpy(end, HTTP1_CHUNK_TAIL, sizeof HTTP1_CHUNK_TAIL - 1);
        end += sizeof HTTP1_CHUNK_TAIL - 1;
    }
    if (last) {
        memcpy(end, HTTP1_CHUNK_LAST, sizeof HTTP1_CHUNK_LAST - 1);
        end += sizeof HTTP1_CHUNK_LAST - 1;
    }
    return (size_t)(end - *data);
}

static void add_body(struct exchange *x, const char *data, size_t n, bool last)
{
    struct outbox *out = x->outbox;
    char *to = out->bytes + out->n;

    if (x->chunked && (n || last)) {
        to += HTTP1_CHUNK_HEAD_MAX;
        memcpy(to, data, n);
        size_t framed = request_chunk(&to, n, last);
        memmove(out->bytes + out->n, to, framed);
        out->n += framed;
    } else if (n) {
        memcpy(to, data, n);
        out->n += n;
    }
}

static bool write_head(struct exchange *x, struct str path, const struct sticky_cuts *cuts,
                       size_t nbody)
{
    const struct http_request *r = x->request;
    const struct conf_backend *first = x->pool->backends[0].conf;
    size_t room = path.n + REWRITE_GROWTH_MAX;
    struct rewrite_out out;
    char fallback[CONF_HOST_LEN + 8];
    struct rewrite_request_info info = {
        .path = path,
        .client_ip = peer_ip(x->peer),
        .client_port = x->peer->port,
        .server_port = x->peer->listen->port,
        .peer_trusted = x->peer->trusted,
        .request_id = str_make(x->id, sizeof x->id),
        .cuts = cuts->cut,
        .ncuts = cuts->n,
    };
    ssize_t n;

    for (unsigned i = 0; i < r->nfields; i++)
        room += r->fields[i].name.n + r->fields[i].value.n + 4;
    room += r->query.n + r->authority.n;
    if (!r->authority.n) {
        int len = snprintf(fallback, sizeof fallback, "%s:%u", first->host, first->port);

        info.fallback_host = str_make(fallback, (size_t)len);
    }
    x->outbox = outbox_new(x->worker, room + nbody + CHUNK_ROOM);
    if (!x->outbox) {
        exchange_fail(x, 503, EXCHANGE_END_PROXY, "proxy_internal_error", "out of memory");
        return false;
    }
    rewrite_out_init(&out, x->outbox->bytes, room);
    n = rewrite_request(&out, r, &info);
    if (n < 0) {
        exchange_fail(x, 431, EXCHANGE_END_CLIENT, NULL, "header too large to pass on");
        return false;
    }
    x->outbox->n = (size_t)n;
    return true;
}

/* What the operator says about a route goes before what its path looks like. */
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

/* Finds where it goes. false: nowhere, answered. */
static bool find_route(struct exchange *x, struct str path)
{
    const struct http_request *r = x->request;
    struct worker *worker = x->worker;

    if (!route_lookup(worker->routes, r->host, path, &x->match) || x->match.shielded) {
        exchange_fail(x, 404, EXCHANGE_END_PROXY, "destination_not_found",
                      x->match.shielded ? "management path without a route of its own"
                                        : "no route");
        return false;
    }
    x->route = &worker->conf->routes[x->match.target];
    x->pool = &worker->pools[x->route->pool->index];
    x->idempotent = http_method_is_idempotent((enum http_method)r->method);
    route_class(x);
    x->safe =
        http_method_is_safe((enum http_method)r->method) && x->match.class != ROUTE_CLASS_APSV;
    x->chunked = r->body == HTTP_BODY_CHUNKED;
    if (r->body == HTTP_BODY_LENGTH && r->content_length > x->route->body_bytes) {
        exchange_fail(x, 413, EXCHANGE_END_CLIENT, NULL, "body over the limit");
        return false;
    }
    return true;
}

bool request_prepare(struct exchange *x, const char *data, size_t n, bool last)
{
    const struct http_request *r = x->request;
    char *path = x->worker->head_area, *mapped = path + HTTP_TARGET_MAX;
    struct sticky_cuts cuts;
    ssize_t len;
    size_t bare;

    if (r->form == HTTP_TARGET_ASTERISK) {
        local_options(x);
        return false;
    }
    len = uri_normalise(path, HTTP_TARGET_MAX, r->path, 0);
    if (len < 0) {
        x->error = NULL;
        exchange_fail(x, 400, EXCHANGE_END_CLIENT, NULL, uri_error_text((int)len));
        return false;
    }
    if (local_request(x, str_make(path, (size_t)len)))
        return false;
    if (!find_route(x, str_make(path, (size_t)len)))
        return false;
    bare = (size_t)len;
    sticky_request(x, path, &bare, &cuts);
    len = route_map_path(&x->match, str_make(path, bare), mapped, HTTP_TARGET_MAX * 2);
    if (len < 0) {
        exchange_fail(x, 414, EXCHANGE_END_CLIENT, NULL, "path too long once mapped");
        return false;
    }
    if (!write_head(x, str_make(mapped, (size_t)len), &cuts, n))
        return false;
    add_body(x, data, n, last);
    return true;
}
