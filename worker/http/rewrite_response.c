#include "worker/http/rewrite.h"

#include "worker/http/rewrite_build.h"

enum http_body rewrite_response_body(const struct http_response *res, unsigned client_minor)
{
    if (res->body == HTTP_BODY_CHUNKED || res->body == HTTP_BODY_UNTIL_CLOSE)
        return client_minor ? HTTP_BODY_CHUNKED : HTTP_BODY_UNTIL_CLOSE;
    return (enum http_body)res->body;
}

static void put_status_line(struct rewrite_out *out, unsigned status, struct str reason)
{
    /* Every status has three digits (struct http_response, struct rewrite_own_info). */
    const char digits[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                           (char)('0' + status % 10), ' '};

    PUT(out, "HTTP/1.1 ");
    put(out, str_make(digits, sizeof digits));
    put(out, reason);
    PUT(out, "\r\n");
}

/* The set of fields that a backend may not send to this client. */
static uint64_t dropped(const struct rewrite_response_info *info)
{
    uint64_t drop = FIELDS_OF_THE_HOP | FIELD_BIT(PROXY_STATUS);

    if (info->hsts.n || !info->tls)
        drop |= FIELD_BIT(STRICT_TRANSPORT_SECURITY);
    if (info->request_id.n)
        drop |= FIELD_BIT(X_REQUEST_ID);
    return drop;
}

static bool is_empty_date(const struct http_field *f)
{
    return f->id == HTTP_F_DATE && !f->value.n;
}

static bool has_date(const struct http_response *res)
{
    const struct http_field *f = http_response_field(res, HTTP_F_DATE);

    return f && !is_empty_date(f);
}

static void rewrite_response_put_end_to_end(struct rewrite_out *out,
                                            const struct http_response *res,
                                            const struct rewrite_response_info *info)
{
    const struct rewrite_map map = {.tls = info->tls,
                                    .prefix = info->prefix,
                                    .upstream_path = info->upstream_path,
                                    .public_authority = info->public_authority,
                                    .host_authority = info->host_authority,
                                    .backend_authority = info->backend_authority,
                                    .tag_key = info->tag_key,
                                    .tag_id = info->tag_id};
    uint64_t drop = dropped(info);
    struct nominations named;

    named.n = 0;
    if (res->names_in_connection)
        find_nominations(&named, res->fields, res->nfields);
    for (size_t i = 0; i < res->nfields; i++) {
        const struct http_field *f = &res->fields[i];
        if (drop >> f->id & 1 || is_empty_date(f))
            continue;
        if (is_nominated(&named, f))
            continue;
        if (f->id != HTTP_F_LOCATION && f->id != HTTP_F_CONTENT_LOCATION &&
            f->id != HTTP_F_SET_COOKIE) {
            put_field(out, f->name, f->value);
            continue;
        }
        put(out, f->name);
        PUT(out, ": ");
        if (f->id == HTTP_F_SET_COOKIE)
            put_set_cookie(out, f->value, &map);
        else
            put_location(out, f->value, &map);
        PUT(out, "\r\n");
    }
}

static void rewrite_response_put_framing(struct rewrite_out *out,
                                         const struct http_response *res, enum http_body body)
{
    /* HEAD and 304 give the length of the body that they do not send; 1xx and 204 have none
     * (9110 8.6). */
    bool tells_length = res->body == HTTP_BODY_LENGTH ||
                        (res->has_length && res->status >= 200 && res->status != 204);

    if (body == HTTP_BODY_CHUNKED) {
        PUT(out, "Transfer-Encoding: chunked\r\n");
    } else if (tells_length) {
        PUT(out, "Content-Length: ");
        put_number(out, res->content_length);
        PUT(out, "\r\n");
    }
}

static void put_connection(struct rewrite_out *out, bool keep_alive, unsigned client_minor)
{
    if (!keep_alive)
        PUT(out, "Connection: close\r\n");
    else if (client_minor == 0)
        PUT(out, "Connection: keep-alive\r\n");
}

ssize_t rewrite_response(struct rewrite_out *out, const struct http_response *res,
                         const struct rewrite_response_info *info)
{
    enum http_body body = rewrite_response_body(res, info->client_minor);

    put_status_line(out, res->status, res->reason);
    rewrite_response_put_end_to_end(out, res, info);
    if (res->status == 101) {
        PUT(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    } else if (res->status >= 200) {
        if (info->date.n && !has_date(res))
            put_field(out, STR("Date"), info->date);
        put_via(out, res->version_minor);
        if (info->add_cookie.n)
            put_field(out, STR("Set-Cookie"), info->add_cookie);
        if (info->tls && info->hsts.n)
            put_field(out, STR("Strict-Transport-Security"), info->hsts);
        if (info->request_id.n)
            put_field(out, STR("X-Request-Id"), info->request_id);
        rewrite_response_put_framing(out, res, body);
        put_connection(out, info->keep_alive && body != HTTP_BODY_UNTIL_CLOSE,
                       info->client_minor);
    }
    PUT(out, "\r\n");
    return put_done(out);
}

/* RFC 9209 2.1; details is a Structured Field string: printable ASCII, two bytes escaped. */
static void put_proxy_status(struct rewrite_out *out, const struct rewrite_own_info *info)
{
    if (!info->proxy_error)
        return;
    PUT(out, "Proxy-Status: pasgate; error=");
    put(out, str_from(info->proxy_error));
    if (info->proxy_detail) {
        PUT(out, "; details=\"");
        for (const char *p = info->proxy_detail; *p; p++) {
            if (*p == '"' || *p == '\\')
                put_byte(out, '\\');
            put_byte(out, *p >= 0x20 && *p < 0x7f ? *p : '?');
        }
        PUT(out, "\"");
    }
    PUT(out, "\r\n");
}

static void put_if(struct rewrite_out *out, struct str name, struct str value)
{
    if (value.n)
        put_field(out, name, value);
}

ssize_t rewrite_own_response(struct rewrite_out *out, const struct rewrite_own_info *info)
{
    struct str reason = str_from(http_status_text(info->status));
    struct str type = info->content_type;
    bool bodiless = info->status < 200 || info->status == 204 || info->status == 304;
    char text[64];
    struct rewrite_out page;
    struct str body = info->body;

    if (!body.n && !bodiless) {
        rewrite_out_init(&page, text, sizeof(text));
        put_number(&page, info->status);
        PUT(&page, " ");
        put(&page, reason);
        PUT(&page, "\n");
        body = str_make(page.p, page.n);
    }
    put_status_line(out, info->status, reason);
    put_if(out, STR("Date"), info->date);
    put_if(out, STR("Location"), info->location);
    put_if(out, STR("Allow"), info->allow);
    if (info->retry_after) {
        PUT(out, "Retry-After: ");
        put_number(out, info->retry_after);
        PUT(out, "\r\n");
    }
    put_proxy_status(out, info);
    if (info->tls)
        put_if(out, STR("Strict-Transport-Security"), info->hsts);
    put_if(out, STR("X-Request-Id"), info->request_id);
    if (info->status >= 400 || info->confined)
        PUT(out, "Cache-Control: no-store\r\n");
    if (info->confined)
        PUT(out, "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
                 "Referrer-Policy: no-referrer\r\n"
                 "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
                 "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n");
    if (!bodiless) {
        put_field(out, STR("Content-Type"), type.n ? type : STR("text/plain; charset=utf-8"));
        PUT(out, "Content-Length: ");
        put_number(out, body.n);
        PUT(out, "\r\n");
    }
    if (!info->keep_alive)
        PUT(out, "Connection: close\r\n");
    PUT(out, "\r\n");
    if (!bodiless && info->client_method != HTTP_HEAD)
        put(out, body);
    return put_done(out);
}
