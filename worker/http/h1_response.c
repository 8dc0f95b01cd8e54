#include "worker/http/h1.h"
#include "worker/http/h1_chars.h"
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

/*
 * False: drop the line (an equal second Content-Length). Differing ones are an error: case 87.
 */
static bool h1_response_note_field(struct h1_scan *scan, struct http_response *res,
                                   const struct http_field *field, enum h1_error *err)
{
    uint64_t bit = h1_once_bit(field->id), length;
    bool again = (scan->once & bit) != 0;

    *err = H1_E_NONE;
    scan->once |= bit;
    switch (field->id) {
    case HTTP_F_CONTENT_LENGTH:
        if (!h1_length(field->value, &length))
            *err = H1_E_LENGTH;
        else if (again && length != res->content_length)
            *err = H1_E_LENGTH_TWICE;
        else
            res->content_length = length;
        return !again;
    case HTTP_F_TRANSFER_ENCODING:
        *err = again ? H1_E_CODING : h1_coding(field->value);
        return true;
    case HTTP_F_CONNECTION:
        *err = h1_connection_tokens(scan, field->value);
        return true;
    case HTTP_F_UPGRADE:
        if (again)
            scan->flags |= H1_SCAN_UPGRADES;
        else
            res->upgrade = field->value;
        return true;
    default:
        return true;
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

static void h1_response_move_slice(struct str *s, uintptr_t old, const char *buf)
{
    if (s->p)
        s->p = buf + ((uintptr_t)s->p - old);
}

static void h1_response_rebase(struct http_response *res, struct h1_scan *scan, const char *buf)
{
    uintptr_t old = scan->base;

    scan->base = (uintptr_t)buf;
    if (scan->stage == H1_STAGE_START)
        return;
    h1_response_move_slice(&res->reason, old, buf);
    h1_response_move_slice(&res->upgrade, old, buf);
    for (size_t i = 0; i < res->nfields; i++) {
        h1_response_move_slice(&res->fields[i].name, old, buf);
        h1_response_move_slice(&res->fields[i].value, old, buf);
    }
}

static ssize_t h1_response_need_more(struct h1_scan *scan, const char *buf, size_t len,
                                     const struct http_limits *limits)
{
    h1_scan_seen(scan, buf, len);
    if (len - scan->line > (size_t)limits->field + 1)
        return -H1_E_FIELD_LONG;
    return len >= limits->head ? -H1_E_HEAD_LONG : 0;
}

static ssize_t h1_response_start_line(struct http_response *res, const char *buf, size_t len,
                                      struct h1_scan *scan, const struct http_limits *limits)
{
    const char *next;
    enum h1_error err = status_line(buf, buf + len, res, &next);

    if (err != H1_E_NONE)
        return -(ssize_t)err;
    if (!next)
        return h1_response_need_more(scan, buf, len, limits);
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
    enum h1_error err;
    unsigned classes = 0, most = h1_fields_bound(limits);

    if (scan->base != (uintptr_t)buf)
        h1_response_rebase(res, scan, buf);
    if (!h1_scan_line_complete(scan, buf, len))
        return h1_response_need_more(scan, buf, len, limits);
    if (scan->stage == H1_STAGE_START) {
        ssize_t rc = h1_response_start_line(res, buf, len, scan, limits);
        if (rc <= 0)
            return rc;
    }
    const char *p = buf + scan->line, *end = buf + len;
    for (;;) {
        struct http_field *field = &res->fields[res->nfields];
        const char *next = h1_field_line(p, end, field, &classes, &err);
        if (!next)
            return err ? -(ssize_t)err : h1_response_need_more(scan, buf, len, limits);
        if ((size_t)(next - buf) > limits->head)
            return -H1_E_HEAD_LONG;
        p = next;
        if (!field->name.p)
            break;
        if ((size_t)(next - buf) - scan->line > (size_t)limits->field + 2)
            return -H1_E_FIELD_LONG;
        scan->line = (size_t)(next - buf);
        if (++scan->lines > most)
            return -H1_E_FIELDS_MANY;
        field->id = (uint8_t)http_field_lookup(field->name);
        if (h1_response_note_field(scan, res, field, &err))
            res->nfields++;
        if (err)
            return -(ssize_t)err;
    }
    err = h1_response_finish(res, scan, context);
    return err ? -(ssize_t)err : p - buf;
}
