#include "worker/http/h1.h"

#include "worker/http/h1_chars.h"
#include "worker/http/h1_line.h"

const struct http_limits http_limits_default = HTTP_LIMITS_DEFAULT;

static const struct h1_error_info errors[H1_ERRORS] = {
    [H1_E_NONE] = {500, "no error"},
    [H1_E_LEADING_CRLF] = {400, "empty lines before request"},
    [H1_E_BARE_LF] = {400, "bare LF in head"},
    [H1_E_BARE_CR] = {400, "bare CR in head"},
    [H1_E_CTL] = {400, "control byte in head"},
    [H1_E_TLS_ON_PLAIN] = {400, "TLS bytes on a plain port"},
    [H1_E_H2_PREFACE] = {400, "HTTP/2 preface on HTTP/1.1"},
    [H1_E_SPACING] = {400, "bad white space in start line"},
    [H1_E_METHOD] = {400, "malformed method"},
    [H1_E_METHOD_UNKNOWN] = {501, "method is a known one in another case, or reserved"},
    [H1_E_METHOD_REFUSED] = {405, "method refused"},
    [H1_E_VERSION] = {400, "malformed version"},
    [H1_E_VERSION_MAJOR] = {505, "unsupported major version"},
    [H1_E_TARGET_EMPTY] = {400, "empty target"},
    [H1_E_TARGET_CHAR] = {400, "bad byte in target"},
    [H1_E_TARGET_FORM] = {400, "bad form of target"},
    [H1_E_TARGET_LONG] = {414, "target too long"},
    [H1_E_SCHEME] = {400, "scheme of the target is not http or https"},
    [H1_E_AUTHORITY] = {400, "bad authority in target"},
    [H1_E_STATUS_LINE] = {502, "malformed status line"},
    [H1_E_HOST_MISSING] = {400, "no Host"},
    [H1_E_HOST_TWICE] = {400, "more than one Host"},
    [H1_E_HOST_INVALID] = {400, "malformed Host"},
    [H1_E_FIELD_SPACE] = {400, "white space at a field name"},
    [H1_E_FIELD_COLON] = {400, "field without colon"},
    [H1_E_FIELD_NAME] = {400, "bad field name"},
    [H1_E_FIELD_LONG] = {431, "field too long"},
    [H1_E_HEAD_LONG] = {431, "head too long"},
    [H1_E_FIELDS_MANY] = {431, "too many fields"},
    [H1_E_CONNECTION] = {431, "too many names in Connection"},
    [H1_E_FIELD_TWICE] = {400, "repeated field that must be single"},
    [H1_E_EXPECT] = {417, "unknown or repeated Expect"},
    [H1_E_LENGTH_AND_CODING] = {400, "Content-Length and Transfer-Encoding"},
    [H1_E_LENGTH] = {400, "malformed Content-Length"},
    [H1_E_LENGTH_TWICE] = {400, "repeated Content-Length"},
    [H1_E_LENGTH_OVER] = {413, "Content-Length over the limit"},
    [H1_E_CODING] = {400, "bad Transfer-Encoding"},
    [H1_E_CODING_UNKNOWN] = {501, "Transfer-Encoding not implemented"},
    [H1_E_CODING_10] = {400, "Transfer-Encoding with HTTP/1.0"},
    [H1_E_CHUNK_SIZE] = {400, "bad chunk size"},
    [H1_E_CHUNK_EXT] = {400, "bad chunk extension"},
    [H1_E_CHUNK_CRLF] = {400, "chunk without CRLF"},
    [H1_E_CHUNK_OVER] = {413, "chunked body over the limit"},
    [H1_E_TRAILER] = {400, "bad trailer"},
    [H1_E_TRAILER_LONG] = {431, "trailers too long"},
    [H1_E_PATH] = {400, "bad path"},
    [H1_E_UPGRADE_UNASKED] = {502, "unasked 101"},
    [H1_E_INTERIM_MANY] = {502, "too many interim responses"},
    [H1_E_HEAD_TIMEOUT] = {408, "head not complete in time"},
};

const struct h1_error_info *h1_error_info(int err)
{
    if (err < 0)
        err = -err;
    return &errors[err < H1_ERRORS ? err : H1_E_NONE];
}

enum h1_error h1_blame(const char *p, const char *end, enum h1_error other)
{
    unsigned char c = (unsigned char)*p;

    if (c == '\n')
        return H1_E_BARE_LF;
    if (c == '\r') {
        if (p + 1 == end)
            return H1_E_NONE;
        return p[1] == '\n' ? other : H1_E_BARE_CR;
    }
    if ((c < 0x20 && c != '\t') || c == 0x7f)
        return H1_E_CTL;
    return other;
}

bool h1_version(const char *p, const char *end, int *major, int *minor, enum h1_error *err)
{
    static const char form[8] = {'H', 'T', 'T', 'P', '/', 'd', '.', 'd'};

    if (end - p >= 8 && memcmp(p, "HTTP/1.1", 8) == 0) {
        *major = *minor = 1;
        return true;
    }
    for (size_t i = 0; i < sizeof(form) && p + i < end; i++) {
        char c = p[i];
        if (form[i] == 'd' ? ascii_is_digit((unsigned char)c) : c == form[i])
            continue;
        *err = h1_blame(p + i, end, H1_E_VERSION);
        if (i == 0 && (c == ' ' || c == '\t'))
            *err = H1_E_SPACING;
        return false;
    }
    if ((size_t)(end - p) >= sizeof(form)) {
        *major = p[5] - '0';
        *minor = p[7] - '0';
    }
    return true;
}

/* A line that does not begin with a token: an empty line, or an error. */
static const char *odd_line(const char *p, const char *end, struct http_field *field,
                            enum h1_error *err)
{
    if (*p == '\r' && p + 1 < end && p[1] == '\n') {
        field->name = STR_EMPTY;
        return p + 2;
    }
    *err = h1_blame(p, end, *p == ' ' || *p == '\t' ? H1_E_FIELD_SPACE : H1_E_FIELD_NAME);
    return NULL;
}

/* The colon after the name that begins at `name`, which must be a token; NULL with *err, as in
 * h1_line.h, if it is not, or not complete. */
static const char *name_end(const char *name, const char *end, unsigned *classes,
                            enum h1_error *err)
{
    const char *p = name;
    unsigned c;

    while (p < end && ((c = h1_class[(unsigned char)*p]) & H1_C_TOKEN)) {
        *classes |= c;
        p++;
    }
    if (p == end)
        return NULL;
    if (*p == ':')
        return p;
    if (*p == ' ' || *p == '\t')
        *err = H1_E_FIELD_SPACE;
    else
        *err = h1_blame(p, end, *p == '\r' ? H1_E_FIELD_COLON : H1_E_FIELD_NAME);
    return NULL;
}

/* The same with the name's id. Most names are listed, and so need no look at each byte. */
static const char *name_and_id(const char *p, const char *end, enum http_field_id *id,
                               unsigned *classes, enum h1_error *err)
{
    size_t room = (size_t)(end - p);
    const char *colon =
        h1_scan_byte(p, room <= HTTP_NAME_LONGEST ? room : HTTP_NAME_LONGEST + 1, ':');

    *id = colon ? http_field_lookup(str_span(p, colon)) : HTTP_F_OTHER;
    if (http_field_is_listed(*id))
        return colon;
    const char *at = name_end(p, end, classes, err);
    if (at && !colon)
        *id = http_field_lookup(str_span(p, at)); /* X-Forwarded-* may be longer */
    return at;
}

const char *h1_field_line(const char *p, const char *end, struct http_field *field,
                          unsigned *name_classes, enum h1_error *err)
{
    const char *name = p;
    enum http_field_id id;

    *err = H1_E_NONE;
    *name_classes = 0;
    if (p == end)
        return NULL;
    if (!(h1_class[(unsigned char)*p] & H1_C_TOKEN))
        return odd_line(p, end, field, err);
    p = name_and_id(p, end, &id, name_classes, err);
    if (!p)
        return NULL;
    field->name = str_span(name, p);
    field->id = (uint8_t)id;

    for (p++; p < end && (*p == ' ' || *p == '\t'); p++)
        ;
    const char *value = p;
    p = h1_scan_value(p, end);
    if (p == end)
        return NULL;
    if (*p != '\r' || p + 1 == end || p[1] != '\n') {
        *err = h1_blame(p, end, H1_E_CTL);
        return NULL;
    }
    const char *stop = p;
    while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    field->value = str_span(value, stop);
    return p + 2;
}

enum h1_error h1_connection_tokens(struct h1_scan *scan, struct str value)
{
    struct str item;

    if (value.n > (size_t)H1_CONNECTION_BYTES - scan->named)
        return H1_E_CONNECTION;
    scan->named = (uint16_t)(scan->named + value.n);
    while (str_next_item(&value, &item)) {
        if (++scan->names > H1_CONNECTION_NAMES)
            return H1_E_CONNECTION;
        if (str_eq_case(item, STR("close")))
            scan->flags |= H1_SCAN_CLOSE;
        else if (str_eq_case(item, STR("keep-alive")))
            scan->flags |= H1_SCAN_KEEP_ALIVE;
        else if (str_eq_case(item, STR("upgrade")))
            scan->flags |= H1_SCAN_UPGRADE;
        else if (item.n)
            scan->flags |= H1_SCAN_NAMES;
    }
    return H1_E_NONE;
}

bool h1_length(struct str value, uint64_t *length)
{
    uint64_t sum = 0;

    /* 2^63-1 has 19 digits, and no number of 19 digits overflows 64 bits. */
    if (value.n == 0 || value.n > 19 || (value.n > 1 && value.p[0] == '0'))
        return false;
    for (size_t i = 0; i < value.n; i++) {
        if (!ascii_is_digit((unsigned char)value.p[i]))
            return false;
        sum = sum * 10 + (uint64_t)(value.p[i] - '0');
    }
    *length = sum;
    return sum <= INT64_MAX;
}

enum h1_error h1_coding(struct str value)
{
    static const struct str known[] = {STR_INIT("gzip"), STR_INIT("deflate"),
                                       STR_INIT("compress"), STR_INIT("x-gzip"),
                                       STR_INIT("x-compress")};
    struct str item;

    if (str_eq_case(value, STR("chunked")))
        return H1_E_NONE;
    /* A correct list of known codings gets 501, not 400: RFC 9112 section 6.1. */
    for (int n = 0; n < H1_CODINGS_MAX && str_next_item(&value, &item); n++) {
        bool last = !value.p, is_known = false;
        if (last)
            return str_eq_case(item, STR("chunked")) ? H1_E_CODING_UNKNOWN : H1_E_CODING;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            is_known |= str_eq_case(item, known[i]);
        if (!is_known)
            return H1_E_CODING;
    }
    return H1_E_CODING;
}

bool h1_scan_line_complete(struct h1_scan *scan, const char *buf, size_t len)
{
    if (scan->seen <= scan->line)
        return true; /* nothing of this line was scanned: parse it now */
    /* A line continues until a control byte, either its end or an error. A CR as the last byte
     * was left unscanned by h1_scan_seen(), because the byte after it decides. */
    const char *at = h1_scan_value(buf + scan->seen, buf + len);
    scan->seen = (size_t)(at - buf);
    return at < buf + len;
}
