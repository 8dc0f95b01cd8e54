#include "worker/http/headers.h"

#include "worker/http/hop_fields.h"
#include "worker/http/public_names.h"

/* The set of fields that a backend may not send to this client. */
static uint64_t dropped(const struct headers_info *info)
{
    uint64_t drop = FIELDS_OF_THE_HOP | FIELD_BIT(PROXY_STATUS);

    if (info->hsts.n || !info->tls)
        drop |= FIELD_BIT(STRICT_TRANSPORT_SECURITY);
    if (info->request_id.n)
        drop |= FIELD_BIT(X_REQUEST_ID);
    return drop;
}

/* Values in which names of the backend become the public ones. */
#define MAPPED (FIELD_BIT(LOCATION) | FIELD_BIT(CONTENT_LOCATION) | FIELD_BIT(SET_COOKIE))

static bool is_empty_date(const struct http_field *f)
{
    return f->id == HTTP_F_DATE && !f->value.n;
}

/* The value as the client must see it, written to text. */
static struct str mapped(struct text_out *text, const struct http_field *f,
                         const struct headers_info *info)
{
    size_t began = text->n;

    if (f->id == HTTP_F_SET_COOKIE)
        public_names_set_cookie(text, f->value, info);
    else
        public_names_location(text, f->value, info);
    return str_make(text->p + began, text->n - began);
}

/* Moves the fields that pass on together, in their order. Returns the end of them; *kept: the
 * set of their ids. */
static struct http_field *keep_end_to_end(struct http_response *res,
                                          const struct headers_info *info,
                                          struct text_out *text, uint64_t *kept)
{
    const struct http_field *end = res->fields + res->nfields;
    struct http_field *to = res->fields;
    uint64_t drop = dropped(info);
    struct nominations named;

    named.n = 0;
    if (res->names_in_connection)
        find_nominations(&named, res->fields, res->nfields);
    for (const struct http_field *f = res->fields; f < end; f++) {
        if (drop >> f->id & 1 || is_empty_date(f) || (named.n && is_nominated(&named, f)))
            continue;
        if (to != f)
            *to = *f;
        *kept |= UINT64_C(1) << to->id;
        if (MAPPED >> to->id & 1)
            to->value = mapped(text, to, info);
        to++;
    }
    return to;
}

static struct http_field *add(struct http_field *to, struct str name, struct str value)
{
    to->name = name;
    to->value = value;
    to->id = HTTP_F_OTHER; /* it is looked up no more */
    return to + 1;
}

/* For a response that arrived as HTTP/1.x and passed through us (RFC 9110 7.6.3), after those
 * of other proxies. Does not disclose our version. Lies in memory as HTTP/1.1 writes it. */
static struct http_field via(unsigned minor)
{
    const char *line = minor ? "Via: 1.1 pasgate" : "Via: 1.0 pasgate";

    return (struct http_field){.name = str_make(line, 3), .value = str_make(line + 5, 11)};
}

/* Those of the final response that pasgate adds: at most HEADERS_ADDED_MAX. */
static struct http_field *add_ours(struct http_field *to, const struct http_response *res,
                                   const struct headers_info *info, uint64_t kept)
{
    if (info->date.n && !(kept & FIELD_BIT(DATE)))
        to = add(to, STR("Date"), info->date);
    *to++ = via(res->version_minor);
    if (info->add_cookie.n)
        to = add(to, STR("Set-Cookie"), info->add_cookie);
    if (info->tls && info->hsts.n)
        to = add(to, STR("Strict-Transport-Security"), info->hsts);
    if (info->request_id.n)
        to = add(to, STR("X-Request-Id"), info->request_id);
    return to;
}

bool headers_response(struct http_head *head, struct http_response *res,
                      const struct headers_info *info, struct text_out *text)
{
    bool final = res->status >= 200;
    uint64_t kept = 0;
    struct http_field *end = keep_end_to_end(res, info, text, &kept);

    if (text->over || end > res->fields + HTTP_FIELDS_MAX - HEADERS_ADDED_MAX)
        return false;
    if (final)
        end = add_ours(end, res, info, kept);
    head->fields = res->fields;
    head->nfields = (uint16_t)(end - res->fields);
    head->reason = res->reason;
    head->status = res->status;
    head->body = res->body;
    head->content_length = res->content_length;
    /* HEAD and 304 give the length of the body that they do not send; 1xx and 204 have none
     * (9110 8.6). */
    head->has_length =
        res->body == HTTP_BODY_LENGTH || (res->has_length && final && res->status != 204);
    return true;
}

/* ---- pasgate's own responses */

static void add_if(struct headers_own *own, struct str name, struct str value)
{
    if (value.n)
        add(&own->fields[own->head.nfields++], name, value);
}

/* RFC 9209 2.1; details is a Structured Field string: printable ASCII, two bytes escaped. */
static struct str proxy_status(struct text_out *text, const struct headers_own_info *info)
{
    size_t began = text->n;

    if (!info->proxy_error)
        return STR_EMPTY;
    PUT(text, "pasgate; error=");
    put(text, str_from(info->proxy_error));
    if (info->proxy_detail) {
        PUT(text, "; details=\"");
        for (const char *p = info->proxy_detail; *p; p++) {
            if (*p == '"' || *p == '\\')
                put_byte(text, '\\');
            put_byte(text, *p >= 0x20 && *p < 0x7f ? *p : '?');
        }
        PUT(text, "\"");
    }
    return str_make(text->p + began, text->n - began);
}

static struct str number(struct text_out *text, uint64_t value)
{
    size_t began = text->n;

    put_number(text, value);
    return str_make(text->p + began, text->n - began);
}

/* "STATUS Reason\n" */
static struct str page(struct text_out *text, const struct http_head *head)
{
    size_t began = text->n;

    put_number(text, head->status);
    PUT(text, " ");
    put(text, head->reason);
    PUT(text, "\n");
    return str_make(text->p + began, text->n - began);
}

static void confine(struct headers_own *own)
{
    add_if(own, STR("X-Content-Type-Options"), STR("nosniff"));
    add_if(own, STR("X-Frame-Options"), STR("DENY"));
    add_if(own, STR("Referrer-Policy"), STR("no-referrer"));
    add_if(own, STR("Content-Security-Policy"),
           STR("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
               "form-action 'none'; frame-ancestors 'none'"));
}

static void own_fields(struct headers_own *own, const struct headers_own_info *info,
                       struct text_out *text)
{
    add_if(own, STR("Date"), info->date);
    add_if(own, STR("Location"), info->location);
    add_if(own, STR("Allow"), info->allow);
    add_if(own, STR("WWW-Authenticate"), info->authenticate);
    if (info->retry_after)
        add_if(own, STR("Retry-After"), number(text, info->retry_after));
    add_if(own, STR("Proxy-Status"), proxy_status(text, info));
    add_if(own, STR("Strict-Transport-Security"), info->hsts);
    add_if(own, STR("X-Request-Id"), info->request_id);
    if (info->status >= 400 || info->confined)
        add_if(own, STR("Cache-Control"), STR("no-store"));
    if (info->confined)
        confine(own);
    if (own->head.has_length)
        add_if(own, STR("Content-Type"),
               info->content_type.n ? info->content_type : STR("text/plain; charset=utf-8"));
}

bool headers_own(struct headers_own *own, const struct headers_own_info *info,
                 struct text_out *text)
{
    struct http_head *head = &own->head;
    bool bodiless = info->status < 200 || info->status == 204 || info->status == 304;

    *head = (struct http_head){.fields = own->fields,
                               .reason = str_from(http_status_text(info->status)),
                               .status = info->status,
                               .has_length = !bodiless};
    own->body = STR_EMPTY;
    own_fields(own, info, text);
    if (!bodiless) {
        own->body = info->body.n ? info->body : page(text, head);
        head->content_length = own->body.n;
    }
    if (info->client_method == HTTP_HEAD)
        own->body = STR_EMPTY;
    head->body = own->body.n ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
    return !text->over;
}
