#include "worker/http/h1.h"
#include "worker/http/h1_chars.h"
#include "worker/http/h1_fields.h"
#include "worker/http/h1_line.h"

/* "PRI * HTTP/2.0", RFC 9113 3.4. */
#define H2_PREFACE_METHOD STR("PRI")

static enum h1_error take_version(const char *p, const char *end, struct http_request *req,
                                  const char **next)
{
    enum h1_error err = H1_E_NONE;
    int major = -1, minor = -1;

    *next = NULL;
    if (!h1_version(p, end, &major, &minor, &err) || major < 0)
        return err;
    p += 8;
    if (p == end)
        return H1_E_NONE;
    if (*p == ' ' || *p == '\t')
        return H1_E_SPACING;
    if (*p != '\r')
        return h1_blame(p, end, H1_E_VERSION);
    if (p + 1 == end)
        return H1_E_NONE;
    if (p[1] != '\n')
        return H1_E_BARE_CR;
    if (major == 2 && str_eq(req->method_name, H2_PREFACE_METHOD))
        return H1_E_H2_PREFACE;
    if (major >= 2)
        return H1_E_VERSION_MAJOR;
    if (major == 0)
        return H1_E_VERSION;
    req->version_major = 1;
    req->version_minor = minor ? 1 : 0;
    *next = p + 2;
    return H1_E_NONE;
}

/* Length of the UTF-8 sequence at p (RFC 3629 4); 0: it is not one, or it is a control
 * character (U+0080 to U+009F), which should reach no terminal and no log. */
static size_t utf8_sequence(const unsigned char *p, size_t n)
{
    unsigned low = 0x80, high = 0xbf;
    size_t len = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;

    if (len == 0 || len > n)
        return 0;
    if (p[0] == 0xc2 || p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f; /* no surrogates */
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    }
    return len;
}

static bool is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;

    for (size_t i = 0, len; i < s.n; i += len) {
        len = p[i] < 0x80 ? 1 : utf8_sequence(p + i, s.n - i);
        if (len == 0)
            return false;
    }
    return true;
}

/* Method, target, version. *next is NULL if bytes are missing. */
static enum h1_error request_line(const char *p, const char *end, struct http_request *req,
                                  const struct http_limits *limits, bool raw_targets,
                                  const char **next)
{
    unsigned may = raw_targets ? H1_C_TARGET | H1_C_RAW : H1_C_TARGET;
    const char *at = h1_scan_class(p, end, H1_C_TOKEN);

    *next = NULL;
    if (at - p > H1_METHOD_MAX)
        return H1_E_METHOD;
    if (at == end)
        return H1_E_NONE;
    if (at == p && *at == 0x16)
        return H1_E_TLS_ON_PLAIN;
    if (*at != ' ')
        return h1_blame(at, end, *at == '\t' ? H1_E_SPACING : H1_E_METHOD);
    if (at == p)
        return H1_E_SPACING;
    req->method_name = str_span(p, at);

    unsigned classes = 0;

    p = at + 1;
    for (at = p; at < end && h1_class[(unsigned char)*at] & may; at++)
        classes |= h1_class[(unsigned char)*at];
    if ((size_t)(at - p) > limits->target)
        return H1_E_TARGET_LONG;
    if (at == end)
        return H1_E_NONE;
    if (*at != ' ')
        return h1_blame(at, end,
                        *at == '\t'   ? H1_E_SPACING
                        : *at != '\r' ? H1_E_TARGET_CHAR
                        : at == p     ? H1_E_TARGET_EMPTY
                                      : H1_E_VERSION);
    if (at == p)
        return H1_E_TARGET_EMPTY;
    req->target = str_span(p, at);
    req->raw = classes & H1_C_RAW;
    if (raw_targets && req->raw && !is_utf8(req->target))
        return H1_E_TARGET_CHAR;
    return take_version(at + 1, end, req, next);
}

static void split_query(struct http_request *req, struct str rest)
{
    req->path = str_head(rest, str_index(rest, '?'));
    req->query = str_skip(rest, req->path.n);
}

/* Stores an authority: "host:" means the same port as "host" (RFC 3986 3.2.3), so the colon is
 * removed. */
static bool take_authority(struct http_request *req, struct str authority)
{
    if (!http_authority_parse(authority, &req->host, &req->port))
        return false;
    if (authority.p[authority.n - 1] == ':')
        authority.n--;
    req->authority = authority;
    return true;
}

/* RFC 9112 3.2.2. Either scheme is accepted and then ignored: the scheme of the connection
 * counts. */
static enum h1_error absolute_form(struct http_request *req)
{
    struct str rest = req->target;
    size_t colon = str_index(rest, ':');
    struct str scheme = str_head(rest, colon);

    if (!str_starts(str_skip(rest, colon), STR("://")))
        return H1_E_TARGET_FORM;
    if (!str_eq_case(scheme, STR("http")) && !str_eq_case(scheme, STR("https")))
        return H1_E_SCHEME;
    rest = str_skip(rest, colon + 3);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    if (!take_authority(req, str_head(rest, n)))
        return H1_E_AUTHORITY;
    req->form = HTTP_TARGET_ABSOLUTE;
    rest = str_skip(rest, n);
    if (rest.n == 0 && req->method == HTTP_OPTIONS)
        req->form = HTTP_TARGET_ASTERISK; /* RFC 9112 3.2.4 */
    split_query(req, rest);
    if (req->path.n == 0 && req->form == HTTP_TARGET_ABSOLUTE)
        req->path = STR("/");
    return H1_E_NONE;
}

/*
 * An unknown method is passed on, except one that a backend might take for another: a backend
 * that treats "head" like HEAD sends no body, and we would wait for it. PRI begins HTTP/2.
 */
static bool is_odd_method(struct str token)
{
    char upper[H1_METHOD_MAX];

    for (size_t i = 0; i < token.n; i++) {
        unsigned char c = (unsigned char)token.p[i];
        upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    return str_eq(token, H2_PREFACE_METHOD) ||
           http_method_lookup(str_make(upper, token.n)) != HTTP_OTHER;
}

/* Evaluates a complete request line. */
static enum h1_error target_of(struct http_request *req, const struct h1_request_policy *policy)
{
    req->method = (uint8_t)http_method_lookup(req->method_name);
    req->scheme = policy->is_tls ? STR("https") : STR("http");
    req->authority = req->host = req->path = req->query = req->upgrade = STR_EMPTY;
    req->port = 0;
    req->nfields = 0;
    if (req->method == HTTP_CONNECT || req->method == HTTP_TRACE)
        return H1_E_METHOD_REFUSED;
    if (req->method == HTTP_OTHER && is_odd_method(req->method_name))
        return H1_E_METHOD_UNKNOWN;
    if (req->target.p[0] == '/') {
        req->form = HTTP_TARGET_ORIGIN;
        split_query(req, req->target);
        return H1_E_NONE;
    }
    if (req->target.n == 1 && req->target.p[0] == '*') {
        req->form = HTTP_TARGET_ASTERISK;
        return req->method == HTTP_OPTIONS ? H1_E_NONE : H1_E_TARGET_FORM;
    }
    return absolute_form(req);
}

/* Errors that one field line alone shows, and the notes for h1_request_finish(). */
static enum h1_error h1_request_note_field(struct h1_scan *scan, void *request,
                                           const struct http_field *field, bool *keep)
{
    (void)request, (void)keep;
    uint64_t bit = h1_once_bit(field->id);
    bool again = (scan->once & bit) != 0;

    scan->once |= bit;
    switch (field->id) {
    case HTTP_F_HOST:
        return again ? H1_E_HOST_TWICE : H1_E_NONE;
    case HTTP_F_CONTENT_LENGTH:
        return again ? H1_E_LENGTH_TWICE : H1_E_NONE;
    case HTTP_F_TRANSFER_ENCODING:
        return again ? H1_E_CODING : H1_E_NONE;
    case HTTP_F_CONTENT_TYPE:
    case HTTP_F_AUTHORIZATION:
        return again ? H1_E_FIELD_TWICE : H1_E_NONE;
    case HTTP_F_EXPECT:
        return again ? H1_E_EXPECT : H1_E_NONE;
    case HTTP_F_CONNECTION:
        return h1_connection_tokens(scan, field->value);
    case HTTP_F_UPGRADE:
        if (again)
            scan->flags |= H1_SCAN_UPGRADES;
        return H1_E_NONE;
    default:
        return H1_E_NONE;
    }
}

static struct str value_of(const struct http_request *req, enum http_field_id id)
{
    return http_request_field(req, id)->value;
}

static enum h1_error finish_host(struct http_request *req, const struct h1_scan *scan,
                                 const struct h1_request_policy *policy)
{
    struct str host;
    uint16_t port;

    if (!(scan->once & h1_once_bit(HTTP_F_HOST))) {
        if (req->version_minor || policy->refuse_10_without_host)
            return H1_E_HOST_MISSING;
        return H1_E_NONE;
    }
    struct str value = value_of(req, HTTP_F_HOST);
    if (!req->authority.n)
        return take_authority(req, value) ? H1_E_NONE : H1_E_HOST_INVALID;
    /* With an absolute form, Host is ignored (RFC 9112 3.2.2), but it must be well-formed. */
    return http_authority_parse(value, &host, &port) ? H1_E_NONE : H1_E_HOST_INVALID;
}

static enum h1_error h1_request_finish_framing(struct http_request *req,
                                               const struct h1_scan *scan,
                                               const struct http_limits *limits)
{
    bool has_length = scan->once & h1_once_bit(HTTP_F_CONTENT_LENGTH);
    bool has_coding = scan->once & h1_once_bit(HTTP_F_TRANSFER_ENCODING);

    req->body = HTTP_BODY_NONE;
    req->content_length = 0;
    if (has_length && has_coding)
        return H1_E_LENGTH_AND_CODING;
    if (has_coding) {
        if (req->version_minor == 0)
            return H1_E_CODING_10;
        req->body = HTTP_BODY_CHUNKED;
        return h1_coding(value_of(req, HTTP_F_TRANSFER_ENCODING));
    }
    if (has_length) {
        if (!h1_length(value_of(req, HTTP_F_CONTENT_LENGTH), &req->content_length))
            return H1_E_LENGTH;
        if (limits->body && req->content_length > limits->body)
            return H1_E_LENGTH_OVER;
        req->body = HTTP_BODY_LENGTH;
    }
    return H1_E_NONE;
}

/* WebSocket is the only upgrade that is passed on (cases 72-74). */
static void finish_upgrade(struct http_request *req, const struct h1_scan *scan)
{
    const uint64_t needed = h1_once_bit(HTTP_F_UPGRADE) |
                            h1_once_bit(HTTP_F_SEC_WEBSOCKET_KEY) |
                            h1_once_bit(HTTP_F_SEC_WEBSOCKET_VERSION);

    req->upgrade_websocket = false;
    if ((scan->once & needed) != needed || !(scan->flags & H1_SCAN_UPGRADE) ||
        (scan->flags & H1_SCAN_UPGRADES) || req->method != HTTP_GET ||
        req->version_minor == 0 || req->body == HTTP_BODY_CHUNKED || req->content_length)
        return;
    struct str token = value_of(req, HTTP_F_UPGRADE);
    if (!str_eq_case(token, STR("websocket")))
        return;
    req->upgrade_websocket = true;
    req->upgrade = token;
}

static enum h1_error h1_request_finish(struct http_request *req, const struct h1_scan *scan,
                                       const struct http_limits *limits,
                                       const struct h1_request_policy *policy)
{
    enum h1_error err = finish_host(req, scan, policy);

    if (err == H1_E_NONE)
        err = h1_request_finish_framing(req, scan, limits);
    if (err != H1_E_NONE)
        return err;

    req->expect_continue = false;
    if (scan->once & h1_once_bit(HTTP_F_EXPECT)) {
        if (!str_eq_case(value_of(req, HTTP_F_EXPECT), STR("100-continue")))
            return H1_E_EXPECT;
        req->expect_continue = req->version_minor > 0; /* 1.0: ignored, RFC 9110 10.1.1 */
    }
    if (req->version_minor)
        req->keep_alive = !(scan->flags & H1_SCAN_CLOSE);
    else
        req->keep_alive =
            (scan->flags & (H1_SCAN_CLOSE | H1_SCAN_KEEP_ALIVE)) == H1_SCAN_KEEP_ALIVE &&
            req->authority.n;
    req->names_in_connection = scan->flags & H1_SCAN_NAMES;
    finish_upgrade(req, scan);
    return H1_E_NONE;
}

/* The buffer moved: adjusts the slices that were parsed. Slices of literals stay. */
static void h1_request_rebase(struct http_request *req, struct h1_scan *scan, const char *buf)
{
    uintptr_t old = scan->base;
    struct str *slices[] = {&req->method_name, &req->target, &req->authority,
                            &req->host,        &req->path,   &req->query};

    scan->base = (uintptr_t)buf;
    if (scan->stage == H1_STAGE_START)
        return; /* only parts of the request line, which is parsed again */
    for (size_t i = 0; i < sizeof(slices) / sizeof(slices[0]); i++)
        h1_move_slice(slices[i], old, scan->seen, buf);
    h1_move_fields(req->fields, req->nfields, old, scan->seen, buf);
}

static ssize_t h1_request_need_more(struct h1_scan *scan, const char *buf, size_t len,
                                    const struct http_limits *limits)
{
    if (scan->stage == H1_STAGE_FIELDS)
        return h1_need_more_fields(scan, buf, len, limits);
    return h1_need_more(scan, buf, len, limits, (size_t)limits->target + H1_METHOD_MAX + 1 + 9,
                        H1_E_TARGET_LONG);
}

/* The start line, with the one empty line that may precede it (RFC 9112 2.2). */
static ssize_t h1_request_start_line(struct http_request *req, const char *buf, size_t len,
                                     struct h1_scan *scan, const struct http_limits *limits,
                                     const struct h1_request_policy *policy)
{
    const char *p = buf + scan->line, *end = buf + len, *next;

    if (p < end && *p == '\r') {
        if (scan->flags & H1_SCAN_SKIPPED_CRLF)
            return -H1_E_LEADING_CRLF;
        if (p + 1 == end)
            return h1_request_need_more(scan, buf, len, limits);
        if (p[1] != '\n')
            return -H1_E_BARE_CR;
        scan->flags |= H1_SCAN_SKIPPED_CRLF;
        scan->line += 2;
        p += 2;
    }
    if (p < end && *p == '\r')
        return -H1_E_LEADING_CRLF;
    if (p == end)
        return h1_request_need_more(scan, buf, len, limits);
    enum h1_error err = request_line(p, end, req, limits, policy->raw_targets, &next);
    if (err == H1_E_NONE && !next)
        return h1_request_need_more(scan, buf, len, limits);
    if (err == H1_E_NONE)
        err = target_of(req, policy);
    if (err != H1_E_NONE)
        return -(ssize_t)err;
    scan->stage = H1_STAGE_FIELDS;
    scan->line = (size_t)(next - buf);
    return 1;
}

ssize_t h1_request_parse(struct http_request *req, const char *buf, size_t len,
                         struct h1_scan *scan, const struct http_limits *limits,
                         const struct h1_request_policy *policy)
{
    const struct h1_fields to = {req->fields, &req->nfields, H1_C_UNDERSCORE,
                                 h1_request_note_field, req};

    if (scan->base != (uintptr_t)buf)
        h1_request_rebase(req, scan, buf);
    if (!h1_scan_line_complete(scan, buf, len))
        return h1_request_need_more(scan, buf, len, limits);
    if (scan->stage == H1_STAGE_START) {
        ssize_t rc = h1_request_start_line(req, buf, len, scan, limits, policy);
        if (rc <= 0)
            return rc;
    }
    ssize_t head = h1_fields_parse(&to, buf, len, scan, limits);
    if (head <= 0)
        return head;
    enum h1_error err = h1_request_finish(req, scan, limits, policy);
    return err ? -(ssize_t)err : head;
}
