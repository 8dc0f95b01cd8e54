#include "worker/rewrite.h"

#include "worker/rewrite_build.h"

/* What says where a request came from. Only a trusted peer may say it (case 76). */
#define FIELDS_OF_ORIGIN                                                                       \
    (FIELD_BIT(X_FORWARDED_FOR) | FIELD_BIT(X_FORWARDED_PROTO) | FIELD_BIT(X_FORWARDED_HOST) | \
     FIELD_BIT(X_FORWARDED_PORT) | FIELD_BIT(X_FORWARDED_OTHER) | FIELD_BIT(FORWARDED) |       \
     FIELD_BIT(X_REAL_IP) | FIELD_BIT(X_REQUEST_ID))

/* Those of them that we do not set ourselves: a trusted peer's are passed on as they are. */
#define FIELDS_OF_ORIGIN_KEPT (FIELD_BIT(X_FORWARDED_OTHER) | FIELD_BIT(X_REAL_IP))

/* Host is said first; Expect was answered by us; several Cookie lines become one (RFC
 * 9113 8.2.3). */
#define FIELDS_SAID_ANEW (FIELD_BIT(HOST) | FIELD_BIT(EXPECT) | FIELD_BIT(COOKIE))

void rewrite_out_init(struct rewrite_out *out, char *buf, size_t cap)
{
    *out = (struct rewrite_out){.p = buf, .cap = cap};
}

/* What the cuts that lie in a value leave of it; they are taken off *cuts. */
static void put_uncut(struct rewrite_out *out, struct str value, const struct str **cuts,
                      const struct str *end)
{
    const char *at = value.p, *last = value.p + value.n;
    size_t began = out->n;

    for (; *cuts < end && (*cuts)->p >= at && (*cuts)->p < last; (*cuts)++) {
        put(out, str_span(at, (*cuts)->p));
        at = (*cuts)->p + (*cuts)->n;
    }
    put(out, str_span(at, last));
    /* Where the last cookie was cut out, its separator is left. */
    while (at == last && out->n > began &&
           (out->p[out->n - 1] == ';' || out->p[out->n - 1] == ' '))
        out->n--;
}

static void put_cookies(struct rewrite_out *out, const struct http_request *req,
                        const struct rewrite_request_info *info)
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
        out->n = line; /* there was only what is ours */
    else
        PUT(out, "\r\n");
}

static void put_end_to_end(struct rewrite_out *out, const struct http_request *req,
                           bool trusted)
{
    uint64_t drop = FIELDS_OF_THE_HOP | FIELDS_OF_ORIGIN | FIELDS_SAID_ANEW;

    if (trusted)
        drop &= ~FIELDS_OF_ORIGIN_KEPT;
    for (size_t i = 0; i < req->nfields; i++) {
        const struct http_field *f = &req->fields[i];
        if (drop >> f->id & 1)
            continue;
        if (req->names_in_connection && is_nominated(req->fields, req->nfields, f))
            continue;
        put_field(out, f->name, f->value);
    }
}

/* The values of all lines with that id, each followed by ", ". */
static void put_earlier(struct rewrite_out *out, const struct http_request *req, bool trusted,
                        enum http_field_id id)
{
    for (size_t i = 0; trusted && i < req->nfields; i++) {
        if (req->fields[i].id == id && req->fields[i].value.n) {
            put(out, req->fields[i].value);
            PUT(out, ", ");
        }
    }
}

/* A trusted peer's value: it knows the first hop, we only know the peer. Empty when there is
 * none. */
static struct str trusted_value(const struct http_request *req, bool trusted,
                                enum http_field_id id)
{
    const struct http_field *f = trusted ? http_request_field(req, id) : NULL;

    return f ? f->value : STR_EMPTY;
}

/* RFC 7239: addresses of IPv6 and hosts with a port need the quotes. */
static void put_forwarded(struct rewrite_out *out, const struct http_request *req,
                          const struct rewrite_request_info *info)
{
    bool v6 = str_index(info->client_ip, ':') < info->client_ip.n;

    PUT(out, "Forwarded: ");
    put_earlier(out, req, info->peer_trusted, HTTP_F_FORWARDED);
    put(out, v6 ? STR("for=\"[") : STR("for="));
    put(out, info->client_ip);
    put(out, v6 ? STR("]\"") : STR_EMPTY);
    if (req->authority.n) {
        PUT(out, ";host=\"");
        put(out, req->authority);
        PUT(out, "\"");
    }
    PUT(out, ";proto=");
    put(out, req->scheme);
    PUT(out, "\r\n");
}

static void put_origin(struct rewrite_out *out, const struct http_request *req,
                       const struct rewrite_request_info *info)
{
    bool trusted = info->peer_trusted;
    struct str proto = trusted_value(req, trusted, HTTP_F_X_FORWARDED_PROTO);
    struct str host = trusted_value(req, trusted, HTTP_F_X_FORWARDED_HOST);
    struct str port = trusted_value(req, trusted, HTTP_F_X_FORWARDED_PORT);
    struct str id = trusted_value(req, trusted, HTTP_F_X_REQUEST_ID);

    PUT(out, "X-Forwarded-For: ");
    put_earlier(out, req, trusted, HTTP_F_X_FORWARDED_FOR);
    put(out, info->client_ip);
    PUT(out, "\r\n");
    put_field(out, STR("X-Forwarded-Proto"), proto.n ? proto : req->scheme);
    if (!host.n)
        host = req->authority;
    if (host.n)
        put_field(out, STR("X-Forwarded-Host"), host);
    PUT(out, "X-Forwarded-Port: ");
    if (port.n)
        put(out, port);
    else
        put_number(out, info->server_port);
    PUT(out, "\r\n");
    put_forwarded(out, req, info);
    if (!id.n)
        id = info->request_id;
    if (id.n)
        put_field(out, STR("X-Request-Id"), id);
}

/* What was parsed, never what was written (RFC 9112 6; cases 41-56). */
static void put_framing(struct rewrite_out *out, const struct http_request *req)
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

ssize_t rewrite_request(struct rewrite_out *out, const struct http_request *req,
                        const struct rewrite_request_info *info)
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
        put(out, req->query);
    }
    PUT(out, " HTTP/1.1\r\nHost: ");
    put(out, host);
    PUT(out, "\r\n");
    put_end_to_end(out, req, info->peer_trusted);
    put_cookies(out, req, info);
    put_origin(out, req, info);
    put_framing(out, req);
    if (req->upgrade_websocket)
        PUT(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    else if (info->close)
        PUT(out, "Connection: close\r\n");
    PUT(out, "\r\n");
    return put_done(out);
}

ssize_t rewrite_https_location(char *buf, size_t cap, const struct http_request *req,
                               uint16_t port)
{
    struct rewrite_out out;
    bool v6 = str_index(req->host, ':') < req->host.n;

    rewrite_out_init(&out, buf, cap);
    PUT(&out, "https://");
    put(&out, v6 ? STR("[") : STR_EMPTY);
    put(&out, req->host);
    put(&out, v6 ? STR("]") : STR_EMPTY);
    if (port != 443) {
        PUT(&out, ":");
        put_number(&out, port);
    }
    put(&out, req->path);
    put(&out, req->query);
    return put_done(&out);
}
