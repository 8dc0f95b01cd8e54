#include "worker/http1.h"

#include "worker/http1_chars.h"
#include "worker/http1_line.h"

const struct http_limits http_limits_default = HTTP_LIMITS_DEFAULT;

/* Rows of the table: tchar and target bytes that are nothing else, sub-delims that are no
 * tchar, those that are, and letters with digits. */
#define TOK (HTTP1_C_TOKEN | HTTP1_C_QUOTED)
#define TGT (HTTP1_C_TARGET | HTTP1_C_QUOTED)
#define SUB (HTTP1_C_TARGET | HTTP1_C_PATH | HTTP1_C_QUOTED)
#define TSB (SUB | HTTP1_C_TOKEN)
#define ALN (TSB | HTTP1_C_UNRESERVED | HTTP1_C_HOST)

const uint8_t http1_class[256] = {
    ['\t'] = HTTP1_C_QUOTED,
    [' '] = HTTP1_C_QUOTED,
    ['!'] = TSB,
    ['"'] = 0,
    ['#'] = TOK,
    ['$'] = TSB,
    ['%'] = TOK | TGT,
    ['&'] = TSB,
    ['\''] = TSB,
    ['('] = SUB,
    [')'] = SUB,
    ['*'] = TSB,
    ['+'] = TSB,
    [','] = SUB,
    ['-'] = ALN,
    ['.'] = TSB | HTTP1_C_UNRESERVED,
    ['/'] = SUB,
    ['0' ... '9'] = ALN,
    [':'] = SUB,
    [';'] = SUB,
    ['<'] = HTTP1_C_QUOTED,
    ['='] = SUB,
    ['>'] = HTTP1_C_QUOTED,
    ['?'] = TGT,
    ['@'] = SUB,
    ['A' ... 'Z'] = ALN,
    ['['] = TGT,
    ['\\'] = 0,
    [']'] = TGT,
    ['^'] = TOK,
    ['_'] = ALN | HTTP1_C_UNDERSCORE,
    ['`'] = TOK,
    ['a' ... 'z'] = ALN,
    ['{'] = HTTP1_C_QUOTED,
    ['|'] = TOK,
    ['}'] = HTTP1_C_QUOTED,
    ['~'] = TSB | HTTP1_C_UNRESERVED,
    [0x80 ... 0xff] = HTTP1_C_QUOTED,
};

static const struct http1_error_info errors[HTTP1_ERRORS] = {
    [HTTP1_E_NONE] = {500, "no error"},
    [HTTP1_E_LEADING_CRLF] = {400, "empty lines before request"},
    [HTTP1_E_BARE_LF] = {400, "bare LF in head"},
    [HTTP1_E_BARE_CR] = {400, "bare CR in head"},
    [HTTP1_E_CTL] = {400, "control byte in head"},
    [HTTP1_E_TLS_ON_PLAIN] = {400, "TLS bytes on a plain port"},
    [HTTP1_E_H2_PREFACE] = {400, "HTTP/2 preface on HTTP/1.1"},
    [HTTP1_E_SPACING] = {400, "bad white space in start line"},
    [HTTP1_E_METHOD] = {400, "malformed method"},
    [HTTP1_E_METHOD_UNKNOWN] = {501, "unknown method"},
    [HTTP1_E_METHOD_REFUSED] = {405, "method refused"},
    [HTTP1_E_VERSION] = {400, "malformed version"},
    [HTTP1_E_VERSION_MAJOR] = {505, "unsupported major version"},
    [HTTP1_E_TARGET_EMPTY] = {400, "empty target"},
    [HTTP1_E_TARGET_CHAR] = {400, "bad byte in target"},
    [HTTP1_E_TARGET_FORM] = {400, "bad form of target"},
    [HTTP1_E_TARGET_LONG] = {414, "target too long"},
    [HTTP1_E_SCHEME] = {400, "scheme is not the connection's"},
    [HTTP1_E_AUTHORITY] = {400, "bad authority in target"},
    [HTTP1_E_STATUS_LINE] = {502, "malformed status line"},
    [HTTP1_E_HOST_MISSING] = {400, "no Host"},
    [HTTP1_E_HOST_TWICE] = {400, "more than one Host"},
    [HTTP1_E_HOST_INVALID] = {400, "malformed Host"},
    [HTTP1_E_HOST_MISMATCH] = {400, "Host is not the target's"},
    [HTTP1_E_MISDIRECTED] = {421, "Host does not belong to this connection"},
    [HTTP1_E_FIELD_SPACE] = {400, "white space at a field name"},
    [HTTP1_E_FIELD_COLON] = {400, "field without colon"},
    [HTTP1_E_FIELD_NAME] = {400, "bad field name"},
    [HTTP1_E_FIELD_LONG] = {431, "field too long"},
    [HTTP1_E_HEAD_LONG] = {431, "head too long"},
    [HTTP1_E_FIELDS_MANY] = {431, "too many fields"},
    [HTTP1_E_FIELD_TWICE] = {400, "repeated field that must be single"},
    [HTTP1_E_EXPECT] = {417, "unknown or repeated Expect"},
    [HTTP1_E_LENGTH_AND_CODING] = {400, "Content-Length and Transfer-Encoding"},
    [HTTP1_E_LENGTH] = {400, "malformed Content-Length"},
    [HTTP1_E_LENGTH_TWICE] = {400, "repeated Content-Length"},
    [HTTP1_E_LENGTH_OVER] = {413, "Content-Length over the limit"},
    [HTTP1_E_CODING] = {400, "bad Transfer-Encoding"},
    [HTTP1_E_CODING_UNKNOWN] = {501, "Transfer-Encoding not implemented"},
    [HTTP1_E_CODING_10] = {400, "Transfer-Encoding with HTTP/1.0"},
    [HTTP1_E_CHUNK_SIZE] = {400, "bad chunk size"},
    [HTTP1_E_CHUNK_EXT] = {400, "bad chunk extension"},
    [HTTP1_E_CHUNK_CRLF] = {400, "chunk without CRLF"},
    [HTTP1_E_CHUNK_OVER] = {413, "chunked body over the limit"},
    [HTTP1_E_TRAILER] = {400, "bad trailer"},
    [HTTP1_E_TRAILER_LONG] = {431, "trailers too long"},
    [HTTP1_E_PATH] = {400, "bad path"},
    [HTTP1_E_UPGRADE_UNASKED] = {502, "unasked 101"},
    [HTTP1_E_INTERIM_MANY] = {502, "too many interim responses"},
    [HTTP1_E_HEAD_TIMEOUT] = {408, "head not complete in time"},
};

const struct http1_error_info *http1_error_info(int err)
{
    if (err < 0)
        err = -err;
    return &errors[err < HTTP1_ERRORS ? err : HTTP1_E_NONE];
}

enum http1_error http1_blame(const char *p, const char *end, enum http1_error other)
{
    unsigned char c = (unsigned char)*p;

    if (c == '\n')
        return HTTP1_E_BARE_LF;
    if (c == '\r') {
        if (p + 1 == end)
            return HTTP1_E_NONE;
        return p[1] == '\n' ? other : HTTP1_E_BARE_CR;
    }
    if ((c < 0x20 && c != '\t') || c == 0x7f)
        return HTTP1_E_CTL;
    return other;
}

bool http1_version(const char *p, const char *end, int *major, int *minor,
                   enum http1_error *err)
{
    static const char form[8] = {'H', 'T', 'T', 'P', '/', 'd', '.', 'd'};

    for (size_t i = 0; i < sizeof(form) && p + i < end; i++) {
        char c = p[i];
        if (form[i] == 'd' ? ascii_is_digit((unsigned char)c) : c == form[i])
            continue;
        *err = http1_blame(p + i, end, HTTP1_E_VERSION);
        if (i == 0 && (c == ' ' || c == '\t'))
            *err = HTTP1_E_SPACING;
        return false;
    }
    if ((size_t)(end - p) >= sizeof(form)) {
        *major = p[5] - '0';
        *minor = p[7] - '0';
    }
    return true;
}

/* The line's first byte is no token: an empty line, or one that may not be. */
static const char *odd_line(const char *p, const char *end, struct http_field *field,
                            enum http1_error *err)
{
    if (*p == '\r' && p + 1 < end && p[1] == '\n') {
        field->name = STR_EMPTY;
        return p + 2;
    }
    *err =
        http1_blame(p, end, *p == ' ' || *p == '\t' ? HTTP1_E_FIELD_SPACE : HTTP1_E_FIELD_NAME);
    return NULL;
}

const char *http1_field_line(const char *p, const char *end, struct http_field *field,
                             unsigned *name_classes, enum http1_error *err)
{
    const char *name = p;
    unsigned all = 0, c;

    *err = HTTP1_E_NONE;
    while (p < end && ((c = http1_class[(unsigned char)*p]) & HTTP1_C_TOKEN)) {
        all |= c;
        p++;
    }
    if (p == end)
        return NULL;
    if (p == name)
        return odd_line(p, end, field, err);
    if (*p != ':') {
        if (*p == ' ' || *p == '\t')
            *err = HTTP1_E_FIELD_SPACE;
        else
            *err = http1_blame(p, end, *p == '\r' ? HTTP1_E_FIELD_COLON : HTTP1_E_FIELD_NAME);
        return NULL;
    }
    field->name = str_span(name, p);
    *name_classes = all;

    for (p++; p < end && (*p == ' ' || *p == '\t'); p++)
        ;
    const char *value = p;
    p = http1_scan_value(p, end);
    if (p == end)
        return NULL;
    if (*p != '\r' || p + 1 == end || p[1] != '\n') {
        *err = http1_blame(p, end, HTTP1_E_CTL);
        return NULL;
    }
    const char *stop = p;
    while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    field->value = str_span(value, stop);
    return p + 2;
}

void http1_connection_tokens(struct http1_scan *scan, struct str value)
{
    struct str item;

    while (str_next_item(&value, &item)) {
        if (str_eq_case(item, STR("close")))
            scan->flags |= HTTP1_SCAN_CLOSE;
        else if (str_eq_case(item, STR("keep-alive")))
            scan->flags |= HTTP1_SCAN_KEEP_ALIVE;
        else if (str_eq_case(item, STR("upgrade")))
            scan->flags |= HTTP1_SCAN_UPGRADE;
        else if (item.n)
            scan->flags |= HTTP1_SCAN_NAMES;
    }
}

bool http1_length(struct str value, uint64_t *length)
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

enum http1_error http1_coding(struct str value)
{
    static const struct str known[] = {STR_INIT("gzip"), STR_INIT("deflate"),
                                       STR_INIT("compress"), STR_INIT("x-gzip"),
                                       STR_INIT("x-compress")};
    struct str item;

    if (str_eq_case(value, STR("chunked")))
        return HTTP1_E_NONE;
    /* A list of codings that exist, rightly ended by chunked, is merely not implemented. */
    while (str_next_item(&value, &item)) {
        bool last = !value.p, is_known = false;
        if (last)
            return str_eq_case(item, STR("chunked")) ? HTTP1_E_CODING_UNKNOWN : HTTP1_E_CODING;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            is_known |= str_eq_case(item, known[i]);
        if (!is_known)
            return HTTP1_E_CODING;
    }
    return HTTP1_E_CODING;
}

bool http1_scan_line_complete(struct http1_scan *scan, const char *buf, size_t len)
{
    if (scan->seen <= scan->line)
        return true; /* nothing of this line was seen: parse it straight away */
    /* A line goes on until a control byte comes, be it its end or an error. A CR at the very
     * end was left unseen by need_more(), for what follows it decides. */
    const char *at = http1_scan_value(buf + scan->seen, buf + len);
    scan->seen = (size_t)(at - buf);
    return at < buf + len;
}
