#include "worker/http/h1.h"
#include "worker/http/h1_chars.h"
#include "worker/http/h1_fields.h"
#include "worker/http/h1_line.h"

/* Status line. *next is NULL if bytes are missing. A missing space before an empty reason is
 * accepted: it is common and harmless. */
static enum h1_error status_line(const char *p, const char *end, struct http_response *res,
                                 const char **next)
{
    enum h1_error err = H1_E_NONE;
    int major = -1, minor = -1;
    unsigned status = 0;

    *next = NULL;
    if (!h1_version(p, end, &major, &minor, &err))
        return err == H1_E_VERSION || err == H1_E_SPACING ? H1_E_STATUS_LINE : err;
    if (major < 0)
        return H1_E_NONE;
    if (major != 1)
        return H1_E_STATUS_LINE;
    p += 8;
    for (int i = 0; i < 4; i++, p++) {
        if (p == end)
            return H1_E_NONE;
        if (i == 0 ? *p != ' ' : !ascii_is_digit((unsigned char)*p))
            return h1_blame(p, end, H1_E_STATUS_LINE);
        if (i)
            status = status * 10 + (unsigned)(*p - '0');
    }
    if (status < 100 || status > 599)
        return H1_E_STATUS_LINE;
    if (p == end)
        return H1_E_NONE;
    if (*p != ' ' && *p != '\r')
        return h1_blame(p, end, H1_E_STATUS_LINE);
    if (*p == ' ')
        p++;
    const char *reason = p;
    p = h1_scan_value(p, end);
    if (p == end)
        return H1_E_NONE;
    if (*p != '\r' || p + 1 == end || p[1] != '\n')
        return h1_blame(p, end, H1_E_CTL);
    res->reason = str_span(reason, p);
    res->status = (uint16_t)status;
    res->version_minor = minor ? 1 : 0;
    *next = p + 2;
    return H1_E_NONE;
}

/* An equal second Content-Length is dropped. Differing ones are an error: case 87. */
static enum h1_error note_length(struct http_response *res, struct str value, bool again)
{
    uint64_t length;

    if (!h1_length(value, &length))
        return H1_E_LENGTH;
    if (again && length != res->content_length)
        return H1_E_LENGTH_TWICE;
    res->content_length = length;
    return H1_E_NONE;
}

static enum h1_error h1_response_note_field(struct h1_scan *scan, void *response,
                                            const struct http_field *field, bool *keep)
{
    struct http_response *res = response;
    uint64_t bit = h1_once_bit(field->id);
    bool again = (scan->once & bit) != 0;

    scan->once |= bit;
    switch (field->id) {
    case HTTP_F_CONTENT_LENGTH:
        *keep = !again;
        return note_length(res, field->value, again);
    case HTTP_F_TRANSFER_ENCODING:
        return again ? H1_E_CODING : h1_coding(field->value);
    case HTTP_F_CONNECTION:
        return h1_connection_tokens(scan, field->value);
    case HTTP_F_UPGRADE:
        if (again)
            scan->flags |= H1_SCAN_UPGRADES;
        else
            res->upgrade = field->value;
        return H1_E_NONE;
    default:
        return H1_E_NONE;
    }
}

/* RFC 9112 6.3. */
static enum h1_error h1_response_finish_framing(struct http_response *res,
                                                const struct h1_scan *scan, uint8_t method,
                                                bool *misframed)
{
    bool has_coding = scan->once & h1_once_bit(HTTP_F_TRANSFER_ENCODING);
    bool bodiless = res->status < 200 || res->status == 204;

    res->has_length = scan->once & h1_once_bit(HTTP_F_CONTENT_LENGTH);
    if (res->has_length && has_coding)
        return H1_E_LENGTH_AND_CODING;
    if (has_coding && res->version_minor == 0)
        return H1_E_CODING_10;
    /* 9112 6.1, 9110 8.6: not allowed with 1xx and 204, which end with their head in any case
     * (6.3). A backend that sends them may still send a body: nothing that follows can be taken
     * for a response. */
    *misframed = bodiless && (has_coding || res->content_length);
    if (bodiless) {
        res->has_length = false;
        res->content_length = 0;
    }
    if (bodiless || res->status == 304 || method == HTTP_HEAD)
        res->body = HTTP_BODY_NONE;
    else if (has_coding)
        res->body = HTTP_BODY_CHUNKED;
    else if (res->has_length)
        res->body = HTTP_BODY_LENGTH;
    else
        res->body = HTTP_BODY_UNTIL_CLOSE;
    return H1_E_NONE;
}

static enum h1_error h1_response_finish(struct http_response *res, const struct h1_scan *scan,
                                        const struct h1_response_context *context)
{
    bool misframed = false;
    enum h1_error err = h1_response_finish_framing(res, scan, context->method, &misframed);

    if (err != H1_E_NONE)
        return err;
    if (res->status == 101) {
        bool asked = context->upgrade.n && (scan->flags & H1_SCAN_UPGRADE) &&
                     !(scan->flags & H1_SCAN_UPGRADES) &&
                     str_eq_case(res->upgrade, context->upgrade);
        if (!asked)
            return H1_E_UPGRADE_UNASKED;
    }
    if (res->body == HTTP_BODY_UNTIL_CLOSE || misframed)
        res->keep_alive = false;
    else if (res->version_minor)
        res->keep_alive = !(scan->flags & H1_SCAN_CLOSE);
    else
        res->keep_alive =
            (scan->flags & (H1_SCAN_CLOSE | H1_SCAN_KEEP_ALIVE)) == H1_SCAN_KEEP_ALIVE;
    res->names_in_connection = scan->flags & H1_SCAN_NAMES;
    return H1_E_NONE;
}

static void h1_response_rebase(struct http_response *res, struct h1_scan *scan, const char *buf)
{
    uintptr_t old = scan->base;

    scan->base = (uintptr_t)buf;
    if (scan->stage == H1_STAGE_START)
        return;
    h1_move_slice(&res->reason, old, scan->seen, buf);
    h1_move_slice(&res->upgrade, old, scan->seen, buf);
    h1_move_fields(res->fields, res->nfields, old, scan->seen, buf);
}

static ssize_t h1_response_start_line(struct http_response *res, const char *buf, size_t len,
                                      struct h1_scan *scan, const struct http_limits *limits)
{
    const char *next;
    enum h1_error err = status_line(buf, buf + len, res, &next);

    if (err != H1_E_NONE)
        return -(ssize_t)err;
    if (!next)
        return h1_need_more_fields(scan, buf, len, limits);
    if ((size_t)(next - buf) > (size_t)limits->field + 2)
        return -H1_E_FIELD_LONG;
    res->nfields = 0;
    res->content_length = 0;
    res->upgrade = STR_EMPTY;
    scan->stage = H1_STAGE_FIELDS;
    scan->line = (size_t)(next - buf);
    return 1;
}

ssize_t h1_response_parse(struct http_response *res, const char *buf, size_t len,
                          struct h1_scan *scan, const struct http_limits *limits,
                          const struct h1_response_context *context)
{
    const struct h1_fields to = {res->fields, &res->nfields, 0, h1_response_note_field, res};

    if (scan->base != (uintptr_t)buf)
        h1_response_rebase(res, scan, buf);
    if (!h1_scan_line_complete(scan, buf, len))
        return h1_need_more_fields(scan, buf, len, limits);
    if (scan->stage == H1_STAGE_START) {
        ssize_t rc = h1_response_start_line(res, buf, len, scan, limits);
        if (rc <= 0)
            return rc;
    }
    ssize_t head = h1_fields_parse(&to, buf, len, scan, limits);
    if (head <= 0)
        return head;
    enum h1_error err = h1_response_finish(res, scan, context);
    return err ? -(ssize_t)err : head;
}
