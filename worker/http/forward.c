#include "worker/http/forward.h"

#include "worker/http/hop_fields.h"
#include "worker/http/origin.h"
#include "worker/http/uri.h"

/* Fields that say who the client is. */
#define FIELDS_OF_IDENTITY (FIELD_BIT(X_REMOTE_USER) | FIELD_BIT(CLIENT_CERT))

/* Fields that say where a request came from. Only a trusted peer may send them (case 76). */
#define FIELDS_OF_ORIGIN                                                                       \
    (FIELD_BIT(X_FORWARDED_FOR) | FIELD_BIT(X_FORWARDED_PROTO) | FIELD_BIT(X_FORWARDED_HOST) | \
     FIELD_BIT(X_FORWARDED_PORT) | FIELD_BIT(X_FORWARDED_OTHER) | FIELD_BIT(FORWARDED) |       \
     FIELD_BIT(X_REAL_IP) | FIELD_BIT(X_REQUEST_ID) | FIELDS_OF_IDENTITY)

/* Those of them that we do not set ourselves: a trusted peer's are passed on unchanged. */
#define FIELDS_OF_ORIGIN_KEPT (FIELD_BIT(X_FORWARDED_OTHER) | FIELDS_OF_IDENTITY)

/* Fields that are written anew: Host comes first; Expect is sent only while there is no body
 * yet; several Cookie lines become one (RFC 9113 8.2.3). */
#define FIELDS_SAID_ANEW (FIELD_BIT(HOST) | FIELD_BIT(EXPECT) | FIELD_BIT(COOKIE))

void forward_target(struct text_out *out, const struct http_request *req, struct str text)
{
    if (!req->raw) {
        put(out, text);
        return;
    }
    ssize_t n = out->over ? -1 : uri_encode(out->p + out->n, out->cap - out->n, text);

    if (n < 0)
        out->over = true;
    else
        out->n += (size_t)n;
}

/* Writes the value without the cuts that lie in it, and takes these off *cuts. */
static void put_uncut(struct text_out *out, struct str value, const struct str **cuts,
                      const struct str *end)
{
    const char *at = value.p, *last = value.p + value.n;
    size_t began = out->n;

    for (; *cuts < end && (*cuts)->p >= at && (*cuts)->p < last; (*cuts)++) {
        put(out, str_span(at, (*cuts)->p));
        at = (*cuts)->p + (*cuts)->n;
    }
    put(out, str_span(at, last));
    /* If the last cookie was cut, removes the separator before it. */
    while (at == last && out->n > began &&
           (out->p[out->n - 1] == ';' || out->p[out->n - 1] == ' '))
        out->n--;
}

static void put_cookies(struct text_out *out, const struct http_request *req,
                        const struct forward_info *info)
{
    const struct http_field *first = http_request_field(req, HTTP_F_COOKIE);
    const struct str *cuts = info->cuts, *end = info->ncuts ? cuts + info->ncuts : cuts;
    size_t line = out->n, values;

    if (!first)
        return;
    PUT(out, "Cookie: ");
    values = out->n;
    for (const struct http_field *f = first; f < req->fields + req->nfields; f++) {
        size_t before = out->n, joined;

        if (f->id != HTTP_F_COOKIE || !f->value.n)
            continue;
        if (out->n > values)
            PUT(out, "; ");
        joined = out->n;
        put_uncut(out, f->value, &cuts, end);
        if (out->n == joined)
            out->n = before;
    }
    if (info->ncuts && out->n == values)
        out->n = line; /* there were only our own cookies */
    else
        PUT(out, "\r\n");
}

static void put_end_to_end(struct text_out *out, const struct http_request *req,
                           const struct forward_info *info)
{
    uint64_t drop = FIELDS_OF_THE_HOP | FIELDS_OF_ORIGIN | FIELDS_SAID_ANEW;
    uint32_t hops;
    struct nominations named;

    if (info->peer_trusted)
        drop &= ~FIELDS_OF_ORIGIN_KEPT;
    drop |= info->drop;
    named.n = 0;
    if (req->names_in_connection)
        find_nominations(&named, req->fields, req->nfields);
    for (size_t i = 0; i < req->nfields; i++) {
        const struct http_field *f = &req->fields[i];
        if (drop >> f->id & 1)
            continue;
        if (is_nominated(&named, f))
            continue;
        if (req->method == HTTP_OPTIONS && http_max_forwards(f, &hops)) {
            put(out, f->name);
            PUT(out, ": ");
            put_number(out, hops ? hops - 1 : 0);
            PUT(out, "\r\n");
            continue;
        }
        put_field(out, f->name, f->value);
    }
}

static bool names_any(struct str list)
{
    struct str item;

    while (str_next_item(&list, &item))
        if (item.n)
            return true;
    return false;
}

/* The values of all lines with that id that contain any item, each followed by ", ". */
static void put_earlier(struct text_out *out, const struct http_request *req,
                        enum http_field_id id)
{
    for (size_t i = 0; i < req->nfields; i++) {
        if (req->fields[i].id == id && names_any(req->fields[i].value)) {
            put(out, req->fields[i].value);
            PUT(out, ", ");
        }
    }
}

/* An element of Forwarded without the parameters after it. RFC 7239 requires quotes around IPv6
 * addresses. */
static void put_for(struct text_out *out, struct str ip)
{
    bool v6 = str_index(ip, ':') < ip.n;

    put(out, v6 ? STR("for=\"[") : STR("for="));
    put(out, ip);
    put(out, v6 ? STR("]\"") : STR_EMPTY);
}

/* The parameters of the client's element. */
static void put_how(struct text_out *out, const struct origin *o, struct str authority)
{
    if (authority.n) {
        PUT(out, ";host=\"");
        put(out, authority);
        PUT(out, "\"");
    }
    put(out, o->https ? STR(";proto=https") : STR(";proto=http"));
}

/* What a trusted peer reported in one form is also reported in the other. */
static void put_forwarded(struct text_out *out, const struct http_request *req,
                          const struct forward_info *info, struct str authority)
{
    const struct origin *o = info->origin;
    struct origin_hop hops[ORIGIN_HOPS];
    unsigned n = o->source == ORIGIN_X_FORWARDED ? origin_hops(o, req, hops) : 0;

    PUT(out, "Forwarded: ");
    if (o->source == ORIGIN_FORWARDED)
        put_earlier(out, req, HTTP_F_FORWARDED);
    for (unsigned i = 0; i < n; i++) {
        put_for(out, str_make(hops[i].text, hops[i].n));
        if ((int)i == o->hop)
            put_how(out, o, authority);
        PUT(out, ", ");
    }
    put_for(out, info->peer_ip);
    if (o->hop < 0)
        put_how(out, o, authority);
    PUT(out, "\r\n");
}

static void put_forwarded_for(struct text_out *out, const struct http_request *req,
                              const struct forward_info *info)
{
    struct origin_hop hops[ORIGIN_HOPS];
    size_t began;
    unsigned n = 0;

    PUT(out, "X-Forwarded-For: ");
    began = out->n;
    if (info->origin->source == ORIGIN_X_FORWARDED)
        put_earlier(out, req, HTTP_F_X_FORWARDED_FOR);
    if (out->n == began) /* reported in another field: Forwarded, or X-Real-IP */
        n = origin_hops(info->origin, req, hops);
    for (unsigned i = 0; i < n; i++) {
        put(out, str_make(hops[i].text, hops[i].n));
        PUT(out, ", ");
    }
    put(out, info->peer_ip);
    PUT(out, "\r\n");
}

static void put_origin(struct text_out *out, const struct http_request *req,
                       const struct forward_info *info)
{
    const struct origin *o = info->origin;
    char text[ORIGIN_AUTHORITY];
    struct str authority = origin_authority(o, text);

    put_forwarded_for(out, req, info);
    put_field(out, STR("X-Forwarded-Proto"), o->https ? STR("https") : STR("http"));
    if (authority.n)
        put_field(out, STR("X-Forwarded-Host"), authority);
    PUT(out, "X-Forwarded-Port: ");
    put_number(out, o->port);
    PUT(out, "\r\n");
    put_forwarded(out, req, info, authority);
    if (info->peer_trusted && http_request_field(req, HTTP_F_X_REAL_IP))
        put_field(out, STR("X-Real-IP"), o->ip);
    if (info->request_id.n)
        put_field(out, STR("X-Request-Id"), info->request_id);
}

/* Generated from what was parsed, never copied (RFC 9112 6; cases 41-56). */
static void put_framing(struct text_out *out, const struct http_request *req)
{
    bool wants_length =
        req->method == HTTP_POST || req->method == HTTP_PUT || req->method == HTTP_PATCH;

    if (req->body == HTTP_BODY_CHUNKED) {
        PUT(out, "Transfer-Encoding: chunked\r\n");
    } else if (req->body == HTTP_BODY_LENGTH || wants_length) {
        PUT(out, "Content-Length: ");
        put_number(out, req->body == HTTP_BODY_LENGTH ? req->content_length : 0);
        PUT(out, "\r\n");
    }
}

/* The protocol by which it arrived (RFC 9110 7.6.3), after those of other proxies. Does not
 * disclose our version. */
static void put_via(struct text_out *out, const struct http_request *req)
{
    put(out, req->version_major == 2   ? STR("Via: 2.0 pasgate\r\n")
             : http_request_is_10(req) ? STR("Via: 1.0 pasgate\r\n")
                                       : STR("Via: 1.1 pasgate\r\n"));
}

ssize_t forward_request(struct text_out *out, const struct http_request *req,
                        const struct forward_info *info)
{
    struct str host = info->host.n ? info->host : req->authority;

    if (!host.n)
        host = info->fallback_host;
    put(out, req->method_name);
    PUT(out, " ");
    if (req->form == HTTP_TARGET_ASTERISK) {
        PUT(out, "*");
    } else {
        put(out, info->path);
        forward_target(out, req, req->query);
    }
    PUT(out, " HTTP/1.1\r\nHost: ");
    put(out, host);
    PUT(out, "\r\n");
    put_end_to_end(out, req, info);
    put_cookies(out, req, info);
    put_origin(out, req, info);
    if (info->user.n)
        put_field(out, STR("X-Remote-User"), info->user);
    if (info->client_fingerprint.n) {
        put_field(out, STR("X-Client-Subject"), info->client_subject);
        put_field(out, STR("X-Client-Fingerprint"), info->client_fingerprint);
    }
    put_via(out, req);
    put_framing(out, req);
    if (info->expects)
        PUT(out, "Expect: 100-continue\r\n");
    if (req->upgrade_websocket)
        PUT(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    else if (info->close)
        PUT(out, "Connection: close\r\n");
    PUT(out, "\r\n");
    return put_done(out);
}
