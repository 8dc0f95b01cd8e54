#include "worker/http1.h"
#include "worker/http1_chars.h"
#include "worker/http1_line.h"

/* Longest method token: the IANA registry's longest has 17 bytes. */
#define METHOD_MAX 32

/* "PRI * HTTP/2.0", RFC 9113 3.4. */
#define H2_PREFACE_METHOD STR("PRI")

static enum http1_error take_version(const char *p, const char *end, struct http_request *req,
                                     const char **next)
{
    enum http1_error err = HTTP1_E_NONE;
    int major = -1, minor = -1;

    *next = NULL;
    if (!http1_version(p, end, &major, &minor, &err) || major < 0)
        return err;
    p += 8;
    if (p == end)
        return HTTP1_E_NONE;
    if (*p == ' ' || *p == '\t')
        return HTTP1_E_SPACING;
    if (*p != '\r')
        return http1_blame(p, end, HTTP1_E_VERSION);
    if (p + 1 == end)
        return HTTP1_E_NONE;
    if (p[1] != '\n')
        return HTTP1_E_BARE_CR;
    if (major == 2 && str_eq(req->method_name, H2_PREFACE_METHOD))
        return HTTP1_E_H2_PREFACE;
    if (major >= 2)
        return HTTP1_E_VERSION_MAJOR;
    if (major == 0)
        return HTTP1_E_VERSION;
    req->version_major = 1;
    req->version_minor = minor ? 1 : 0;
    *next = p + 2;
    return HTTP1_E_NONE;
}

/* Method, target, version. *next is NULL when bytes are missing. */
static enum http1_error request_line(const char *p, const char *end, struct http_request *req,
                                     const struct http_limits *limits, const char **next)
{
    const char *at = http1_scan_class(p, end, HTTP1_C_TOKEN);

    *next = NULL;
    if (at - p > METHOD_MAX)
        return HTTP1_E_METHOD;
    if (at == end)
        return HTTP1_E_NONE;
    if (at == p && *at == 0x16)
        return HTTP1_E_TLS_ON_PLAIN;
    if (*at != ' ')
        return http1_blame(at, end, *at == '\t' ? HTTP1_E_SPACING : HTTP1_E_METHOD);
    if (at == p)
        return HTTP1_E_SPACING;
    req->method_name = str_span(p, at);

    p = at + 1;
    at = http1_scan_class(p, end, HTTP1_C_TARGET);
    if ((size_t)(at - p) > limits->target)
        return HTTP1_E_TARGET_LONG;
    if (at == end)
        return HTTP1_E_NONE;
    if (*at != ' ')
        return http1_blame(at, end,
                           *at == '\t'   ? HTTP1_E_SPACING
                           : *at != '\r' ? HTTP1_E_TARGET_CHAR
                           : at == p     ? HTTP1_E_TARGET_EMPTY
                                         : HTTP1_E_VERSION);
    if (at == p)
        return HTTP1_E_TARGET_EMPTY;
    req->target = str_span(p, at);
    return take_version(at + 1, end, req, next);
}

static void split_query(struct http_request *req, struct str rest)
{
    req->path = str_head(rest, str_index(rest, '?'));
    req->query = str_skip(rest, req->path.n);
}

static enum http1_error absolute_form(struct http_request *req, bool is_tls)
{
    struct str rest = req->target;

    if (!str_starts(rest, is_tls ? STR("https://") : STR("http://"))) {
        size_t colon = str_index(rest, ':');
        bool has_scheme =
            colon + 2 < rest.n && rest.p[colon + 1] == '/' && rest.p[colon + 2] == '/';
        return has_scheme ? HTTP1_E_SCHEME : HTTP1_E_TARGET_FORM;
    }
    rest = str_skip(rest, is_tls ? 8 : 7);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    req->authority = str_head(rest, n);
    if (!http_authority_parse(req->authority, &req->host, &req->port))
        return HTTP1_E_AUTHORITY;
    req->form = HTTP_TARGET_ABSOLUTE;
    rest = str_skip(rest, n);
    if (rest.n == 0 && req->method == HTTP_OPTIONS)
        req->form = HTTP_TARGET_ASTERISK; /* RFC 9112 3.2.4 */
    split_query(req, rest);
    if (req->path.n == 0 && req->form == HTTP_TARGET_ABSOLUTE)
        req->path = STR("/");
    return HTTP1_E_NONE;
}

/* The line is whole: what it says. */
static enum http1_error target_of(struct http_request *req,
                                  const struct http1_request_policy *policy)
{
    req->method = (uint8_t)http_method_lookup(req->method_name);
    req->scheme = policy->is_tls ? STR("https") : STR("http");
    req->authority = req->host = req->path = req->query = req->upgrade = STR_EMPTY;
    req->port = 0;
    req->nfields = 0;
    if (req->method == HTTP_CONNECT || req->method == HTTP_TRACE)
        return HTTP1_E_METHOD_REFUSED;
    if (req->method == HTTP_OTHER && !policy->forward_unknown_methods)
        return HTTP1_E_METHOD_UNKNOWN;
    if (req->target.p[0] == '/') {
        req->form = HTTP_TARGET_ORIGIN;
        split_query(req, req->target);
        return HTTP1_E_NONE;
    }
    if (req->target.n == 1 && req->target.p[0] == '*') {
        req->form = HTTP_TARGET_ASTERISK;
        return req->method == HTTP_OPTIONS ? HTTP1_E_NONE : HTTP1_E_TARGET_FORM;
    }
    return absolute_form(req, policy->is_tls);
}

/* Errors that one field line tells, and the notes for http1_finish(). */
static enum http1_error note_field(struct http1_scan *scan, const struct http_field *field)
{
    uint64_t bit = http1_once_bit(field->id);
    bool again = (scan->once & bit) != 0;

    scan->once |= bit;
    switch (field->id) {
    case HTTP_F_HOST:
        return again ? HTTP1_E_HOST_TWICE : HTTP1_E_NONE;
    case HTTP_F_CONTENT_LENGTH:
        return again ? HTTP1_E_LENGTH_TWICE : HTTP1_E_NONE;
    case HTTP_F_TRANSFER_ENCODING:
        return again ? HTTP1_E_CODING : HTTP1_E_NONE;
    case HTTP_F_CONTENT_TYPE:
    case HTTP_F_AUTHORIZATION:
        return again ? HTTP1_E_FIELD_TWICE : HTTP1_E_NONE;
    case HTTP_F_EXPECT:
        return again ? HTTP1_E_EXPECT : HTTP1_E_NONE;
    case HTTP_F_CONNECTION:
        http1_connection_tokens(scan, field->value);
        return HTTP1_E_NONE;
    case HTTP_F_UPGRADE:
        if (again)
            scan->flags |= HTTP1_SCAN_UPGRADES;
        return HTTP1_E_NONE;
    default:
        return HTTP1_E_NONE;
    }
}

static struct str value_of(const struct http_request *req, enum http_field_id id)
{
    return http_request_field(req, id)->value;
}

static uint16_t port_or_default(uint16_t port, bool is_tls)
{
    return port ? port : is_tls ? 443 : 80;
}

static enum http1_error finish_host(struct http_request *req, const struct http1_scan *scan,
                                    const struct http1_request_policy *policy)
{
    struct str host;
    uint16_t port;

    if (!(scan->once & http1_once_bit(HTTP_F_HOST))) {
        if (req->version_minor || policy->refuse_10_without_host)
            return HTTP1_E_HOST_MISSING;
        return HTTP1_E_NONE;
    }
    struct str value = value_of(req, HTTP_F_HOST);
    if (!http_authority_parse(value, &host, &port))
        return HTTP1_E_HOST_INVALID;
    if (req->authority.n) {
        bool same =
            str_eq_case(host, req->host) &&
            port_or_default(port, policy->is_tls) == port_or_default(req->port, policy->is_tls);
        return same ? HTTP1_E_NONE : HTTP1_E_HOST_MISMATCH;
    }
    req->authority = value;
    req->host = host;
    req->port = port;
    return HTTP1_E_NONE;
}

static enum http1_error finish_framing(struct http_request *req, const struct http1_scan *scan,
                                       const struct http_limits *limits)
{
    bool has_length = scan->once & http1_once_bit(HTTP_F_CONTENT_LENGTH);
    bool has_coding = scan->once & http1_once_bit(HTTP_F_TRANSFER_ENCODING);

    req->body = HTTP_BODY_NONE;
    req->content_length = 0;
    if (has_length && has_coding)
        return HTTP1_E_LENGTH_AND_CODING;
    if (has_coding) {
        if (req->version_minor == 0)
            return HTTP1_E_CODING_10;
        req->body = HTTP_BODY_CHUNKED;
        return http1_coding(value_of(req, HTTP_F_TRANSFER_ENCODING));
    }
    if (has_length) {
        if (!http1_length(value_of(req, HTTP_F_CONTENT_LENGTH), &req->content_length))
            return HTTP1_E_LENGTH;
        if (limits->body && req->content_length > limits->body)
            return HTTP1_E_LENGTH_OVER;
        req->body = HTTP_BODY_LENGTH;
    }
    return HTTP1_E_NONE;
}

/* WebSocket is the only upgrade that is passed on (cases 72-74). */
static void finish_upgrade(struct http_request *req, const struct http1_scan *scan)
{
    const uint64_t needed = http1_once_bit(HTTP_F_UPGRADE) |
                            http1_once_bit(HTTP_F_SEC_WEBSOCKET_KEY) |
                            http1_once_bit(HTTP_F_SEC_WEBSOCKET_VERSION);

    req->upgrade_websocket = false;
    if ((scan->once & needed) != needed || !(scan->flags & HTTP1_SCAN_UPGRADE) ||
        (scan->flags & HTTP1_SCAN_UPGRADES) || req->method != HTTP_GET ||
        req->version_minor == 0 || req->body == HTTP_BODY_CHUNKED || req->content_length)
        return;
    struct str token = value_of(req, HTTP_F_UPGRADE);
    if (!str_eq_case(token, STR("websocket")))
        return;
    req->upgrade_websocket = true;
    req->upgrade = token;
}

static enum http1_error finish(struct http_request *req, const struct http1_scan *scan,
                               const struct http_limits *limits,
                               const struct http1_request_policy *policy)
{
    enum http1_error err = finish_host(req, scan, policy);

    if (err == HTTP1_E_NONE)
        err = finish_framing(req, scan, limits);
    if (err != HTTP1_E_NONE)
        return err;

    req->expect_continue = false;
    if (scan->once & http1_once_bit(HTTP_F_EXPECT)) {
        if (!str_eq_case(value_of(req, HTTP_F_EXPECT), STR("100-continue")))
            return HTTP1_E_EXPECT;
        req->expect_continue = req->version_minor > 0; /* 1.0: ignored, RFC 9110 10.1.1 */
    }
    if (req->version_minor)
        req->keep_alive = !(scan->flags & HTTP1_SCAN_CLOSE);
    else
        req->keep_alive = (scan->flags & (HTTP1_SCAN_CLOSE | HTTP1_SCAN_KEEP_ALIVE)) ==
                              HTTP1_SCAN_KEEP_ALIVE &&
                          req->authority.n;
    req->names_in_connection = scan->flags & HTTP1_SCAN_NAMES;
    finish_upgrade(req, scan);
    return HTTP1_E_NONE;
}

static void move_slice(struct str *s, uintptr_t old, size_t n, const char *buf)
{
    uintptr_t at = (uintptr_t)s->p;

    if (s->p && at >= old && at - old <= n)
        s->p = buf + (at - old);
}

/* The buffer moved: carry over what was parsed. Slices of literals stay. */
static void rebase(struct http_request *req, struct http1_scan *scan, const char *buf)
{
    uintptr_t old = scan->base;
    struct str *slices[] = {&req->method_name, &req->target, &req->authority,
                            &req->host,        &req->path,   &req->query};

    scan->base = (uintptr_t)buf;
    if (scan->stage == HTTP1_STAGE_START)
        return; /* nothing but the request line's own beginnings, which are parsed again */
    for (size_t i = 0; i < sizeof(slices) / sizeof(slices[0]); i++)
        move_slice(slices[i], old, scan->seen, buf);
    for (size_t i = 0; i < req->nfields; i++) {
        move_slice(&req->fields[i].name, old, scan->seen, buf);
        move_slice(&req->fields[i].value, old, scan->seen, buf);
    }
}

/* The line is not whole yet: whether it is too long already. */
static ssize_t need_more(struct http1_scan *scan, const char *buf, size_t len,
                         const struct http_limits *limits)
{
    size_t line = len - scan->line;

    http1_scan_seen(scan, buf, len);
    if (scan->stage == HTTP1_STAGE_START && line > (size_t)limits->target + METHOD_MAX + 1 + 9)
        return -HTTP1_E_TARGET_LONG;
    if (scan->stage == HTTP1_STAGE_FIELDS && line > (size_t)limits->field + 1)
        return -HTTP1_E_FIELD_LONG;
    if (len >= limits->head)
        return -HTTP1_E_HEAD_LONG;
    return 0;
}

/* The start line with the one empty line that may precede it (RFC 9112 2.2). */
static ssize_t start_line(struct http_request *req, const char *buf, size_t len,
                          struct http1_scan *scan, const struct http_limits *limits,
                          const struct http1_request_policy *policy)
{
    const char *p = buf + scan->line, *end = buf + len, *next;

    if (p < end && *p == '\r') {
        if (scan->flags & HTTP1_SCAN_SKIPPED_CRLF)
            return -HTTP1_E_LEADING_CRLF;
        if (p + 1 == end)
            return need_more(scan, buf, len, limits);
        if (p[1] != '\n')
            return -HTTP1_E_BARE_CR;
        scan->flags |= HTTP1_SCAN_SKIPPED_CRLF;
        scan->line += 2;
        p += 2;
    }
    if (p < end && *p == '\r')
        return -HTTP1_E_LEADING_CRLF;
    if (p == end)
        return need_more(scan, buf, len, limits);
    enum http1_error err = request_line(p, end, req, limits, &next);
    if (err == HTTP1_E_NONE && !next)
        return need_more(scan, buf, len, limits);
    if (err == HTTP1_E_NONE)
        err = target_of(req, policy);
    if (err != HTTP1_E_NONE)
        return -(ssize_t)err;
    scan->stage = HTTP1_STAGE_FIELDS;
    scan->line = (size_t)(next - buf);
    return 1;
}

ssize_t http1_request_parse(struct http_request *req, const char *buf, size_t len,
                            struct http1_scan *scan, const struct http_limits *limits,
                            const struct http1_request_policy *policy)
{
    enum http1_error err;
    unsigned classes = 0, most = http1_fields_bound(limits);

    if (scan->base != (uintptr_t)buf)
        rebase(req, scan, buf);
    if (!http1_scan_line_complete(scan, buf, len))
        return need_more(scan, buf, len, limits);
    if (scan->stage == HTTP1_STAGE_START) {
        ssize_t rc = start_line(req, buf, len, scan, limits, policy);
        if (rc <= 0)
            return rc;
    }
    const char *p = buf + scan->line, *end = buf + len;
    for (;;) {
        /* Parsed in its final place; counted only when it is to stay. */
        struct http_field *field = &req->fields[req->nfields];
        const char *next = http1_field_line(p, end, field, &classes, &err);
        if (!next)
            return err ? -(ssize_t)err : need_more(scan, buf, len, limits);
        if ((size_t)(next - buf) > limits->head)
            return -HTTP1_E_HEAD_LONG;
        p = next;
        if (!field->name.p)
            break;
        if ((size_t)(next - buf) - scan->line > (size_t)limits->field + 2)
            return -HTTP1_E_FIELD_LONG;
        scan->line = (size_t)(next - buf);
        if (++scan->lines > most)
            return -HTTP1_E_FIELDS_MANY;
        if (classes & HTTP1_C_UNDERSCORE)
            continue;
        field->id = (uint8_t)http_field_lookup(field->name);
        req->nfields++;
        err = note_field(scan, field);
        if (err)
            return -(ssize_t)err;
    }
    err = finish(req, scan, limits, policy);
    return err ? -(ssize_t)err : p - buf;
}
