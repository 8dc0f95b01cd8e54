#include "worker/http/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "worker/http/h1_chars.h"

/*
 * Known names in a perfect hash over length, first, last and fourth-last byte (all lower-case).
 * Two names in one slot do not compile (-Woverride-init). The factors were found by search: to
 * add a name, add it, and change the factors if it collides.
 */
#define FIELD_HASH(n, first, last, fourth)                               \
    (((unsigned)(n)*35U + (unsigned)(first)*18U + (unsigned)(last)*19U + \
      (unsigned)(fourth)*44U) &                                          \
     127U)

struct known {
    struct str name;
    enum http_field_id id;
};

#define K(lit, first, last, fourth, field_id) \
    [FIELD_HASH(sizeof(lit) - 1, first, last, fourth)] = {STR_INIT(lit), HTTP_F_##field_id}

static const struct known known_fields[128] = {
    K("host", 'h', 't', 'h', HOST),
    K("content-length", 'c', 'h', 'n', CONTENT_LENGTH),
    K("transfer-encoding", 't', 'g', 'd', TRANSFER_ENCODING),
    K("connection", 'c', 'n', 't', CONNECTION),
    K("keep-alive", 'k', 'e', 'l', KEEP_ALIVE),
    K("proxy-connection", 'p', 'n', 't', PROXY_CONNECTION),
    K("trailer", 't', 'r', 'i', TRAILER),
    K("upgrade", 'u', 'e', 'r', UPGRADE),
    K("http2-settings", 'h', 's', 'i', HTTP2_SETTINGS),
    K("proxy", 'p', 'y', 'r', PROXY),
    K("proxy-authorization", 'p', 'n', 't', PROXY_AUTHORIZATION),
    K("proxy-authenticate", 'p', 'e', 'c', PROXY_AUTHENTICATE),
    K("expect", 'e', 't', 'p', EXPECT),
    K("cookie", 'c', 'e', 'o', COOKIE),
    K("set-cookie", 's', 'e', 'o', SET_COOKIE),
    K("location", 'l', 'n', 't', LOCATION),
    K("content-location", 'c', 'n', 't', CONTENT_LOCATION),
    K("content-type", 'c', 'e', 't', CONTENT_TYPE),
    K("content-encoding", 'c', 'g', 'd', CONTENT_ENCODING),
    K("authorization", 'a', 'n', 't', AUTHORIZATION),
    K("accept", 'a', 't', 'c', ACCEPT),
    K("accept-encoding", 'a', 'g', 'd', ACCEPT_ENCODING),
    K("accept-language", 'a', 'e', 'u', ACCEPT_LANGUAGE),
    K("user-agent", 'u', 't', 'g', USER_AGENT),
    K("referer", 'r', 'r', 'e', REFERER),
    K("origin", 'o', 'n', 'i', ORIGIN),
    K("range", 'r', 'e', 'a', RANGE),
    K("x-forwarded-for", 'x', 'r', '-', X_FORWARDED_FOR),
    K("x-forwarded-proto", 'x', 'o', 'r', X_FORWARDED_PROTO),
    K("x-forwarded-host", 'x', 't', 'h', X_FORWARDED_HOST),
    K("x-forwarded-port", 'x', 't', 'p', X_FORWARDED_PORT),
    K("forwarded", 'f', 'd', 'r', FORWARDED),
    K("x-real-ip", 'x', 'p', 'l', X_REAL_IP),
    K("x-request-id", 'x', 'd', 't', X_REQUEST_ID),
    K("date", 'd', 'e', 'd', DATE),
    K("server", 's', 'r', 'r', SERVER),
    K("retry-after", 'r', 'r', 'f', RETRY_AFTER),
    K("proxy-status", 'p', 's', 'a', PROXY_STATUS),
    K("strict-transport-security", 's', 'y', 'r', STRICT_TRANSPORT_SECURITY),
    K("sec-websocket-key", 's', 'y', '-', SEC_WEBSOCKET_KEY),
    K("sec-websocket-version", 's', 'n', 's', SEC_WEBSOCKET_VERSION),
    K("connhdl", 'c', 'l', 'n', CONNHDL),
    K("x-client-context-id", 'x', 'd', 't', X_CLIENT_CONTEXT_ID),
    K("x-remote-user", 'x', 'r', 'u', X_REMOTE_USER),
    K("x-client-subject", 'x', 't', 'j', CLIENT_CERT),
    K("x-client-fingerprint", 'x', 't', 'r', CLIENT_CERT),
    K("client-cert", 'c', 't', 'c', CLIENT_CERT),
    K("client-cert-chain", 'c', 'n', 'h', CLIENT_CERT),
};

#undef K

/* The bits in which bytes differ from a lower-case name, other than in case. Setting bit 5
 * makes letters lower-case and leaves '-' and digits unchanged. It would also turn some control
 * bytes into '-' or digits, so each byte must have had bit 5 or 6. */
static uint64_t differs_from(uint64_t bytes, uint64_t name)
{
    const uint64_t bit5 = UINT64_C(0x2020202020202020);

    return ((bytes | bit5) ^ name) | (~(bytes | bytes >> 1) & bit5);
}

/* Whether n >= 4 bytes are the known (lower-case) name; compares eight at a time. */
static bool http_is_known(const char *bytes, const char *known, size_t n)
{
    uint64_t a8, b8;
    uint32_t a4[2], b4[2];

    if (n < 8) {
        memcpy(&a4[0], bytes, 4);
        memcpy(&a4[1], bytes + n - 4, 4);
        memcpy(&b4[0], known, 4);
        memcpy(&b4[1], known + n - 4, 4);
        return !differs_from((uint64_t)a4[1] << 32 | a4[0], (uint64_t)b4[1] << 32 | b4[0]);
    }
    for (size_t at = 0;; at = at + 16 <= n ? at + 8 : n - 8) {
        memcpy(&a8, bytes + at, 8);
        memcpy(&b8, known + at, 8);
        if (differs_from(a8, b8))
            return false;
        if (at + 8 == n)
            return true;
    }
}

enum http_field_id http_field_lookup(struct str name)
{
    if (name.n < 4)
        return name.n == 2 && mem_eq_case(name.p, "te", 2) ? HTTP_F_TE : HTTP_F_OTHER;
    /* Letters become lower-case, and '-' and digits stay: enough to find the one name that it
     * can be. */
    unsigned char first = (unsigned char)name.p[0] | 0x20;
    unsigned char last = (unsigned char)name.p[name.n - 1] | 0x20;
    unsigned char fourth = (unsigned char)name.p[name.n - 4] | 0x20;
    const struct known *known = &known_fields[FIELD_HASH(name.n, first, last, fourth)];

    if (known->name.n == name.n && http_is_known(name.p, known->name.p, name.n))
        return known->id;
    if (first == 'x' && str_starts_case(name, STR("x-forwarded-")))
        return HTTP_F_X_FORWARDED_OTHER;
    return HTTP_F_OTHER;
}

static const struct http_field *http_find(const struct http_field *fields, size_t n,
                                          enum http_field_id id)
{
    for (size_t i = 0; i < n; i++) {
        if (fields[i].id == id)
            return &fields[i];
    }
    return NULL;
}

const struct http_field *http_request_field(const struct http_request *req,
                                            enum http_field_id id)
{
    return http_find(req->fields, req->nfields, id);
}

const struct http_field *http_response_field(const struct http_response *res,
                                             enum http_field_id id)
{
    return http_find(res->fields, res->nfields, id);
}

bool http_max_forwards(const struct http_field *field, uint32_t *hops)
{
    struct str value = field->value;

    if (!str_eq_case(field->name, STR("Max-Forwards")) || !value.n)
        return false;
    *hops = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (!ascii_is_digit((unsigned char)value.p[i]))
            return false;
        if (*hops < HTTP_HOPS_MOST)
            *hops = *hops * 10 + (uint32_t)(value.p[i] - '0');
    }
    if (*hops > HTTP_HOPS_MOST)
        *hops = HTTP_HOPS_MOST;
    return true;
}

enum http_method http_method_lookup(struct str token)
{
    static const struct {
        struct str name;
        enum http_method method;
    } methods[] = {
        {STR_INIT("GET"), HTTP_GET},       {STR_INIT("POST"), HTTP_POST},
        {STR_INIT("HEAD"), HTTP_HEAD},     {STR_INIT("PUT"), HTTP_PUT},
        {STR_INIT("DELETE"), HTTP_DELETE}, {STR_INIT("OPTIONS"), HTTP_OPTIONS},
        {STR_INIT("PATCH"), HTTP_PATCH},   {STR_INIT("CONNECT"), HTTP_CONNECT},
        {STR_INIT("TRACE"), HTTP_TRACE},
    };

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (str_eq(token, methods[i].name))
            return methods[i].method;
    }
    return HTTP_OTHER;
}

bool http_method_is_safe(enum http_method method)
{
    return method == HTTP_GET || method == HTTP_HEAD || method == HTTP_OPTIONS;
}

bool http_method_is_idempotent(enum http_method method)
{
    return http_method_is_safe(method) || method == HTTP_PUT || method == HTTP_DELETE;
}

const char *http_status_text(unsigned status)
{
    switch (status) {
    case 100:
        return "Continue";
    case 101:
        return "Switching Protocols";
    case 103:
        return "Early Hints";
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 206:
        return "Partial Content";
    case 301:
        return "Moved Permanently";
    case 302:
        return "Found";
    case 303:
        return "See Other";
    case 304:
        return "Not Modified";
    case 307:
        return "Temporary Redirect";
    case 308:
        return "Permanent Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 421:
        return "Misdirected Request";
    case 425:
        return "Too Early";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Unknown";
    }
}

/* Labels of letters, digits, '-' and '_' (Docker names contain it), separated by single
 * dots. */
static bool name_is_host(struct str host)
{
    enum { HOST_MAX = 255 }; /* RFC 1035 2.3.4 */

    if (host.n == 0 || host.n > HOST_MAX)
        return false;
    bool label = false;
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] == '.') {
            if (!label)
                return false;
            label = false;
        } else if (h1_class[(unsigned char)host.p[i]] & H1_C_HOST) {
            label = true;
        } else {
            return false;
        }
    }
    return true;
}

static bool name_is_v6(struct str host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (host.n == 0 || host.n >= sizeof(text) || memchr(host.p, '\0', host.n))
        return false;
    return inet_pton(AF_INET6, str_copy(text, sizeof(text), host), &address) == 1;
}

bool http_authority_parse(struct str authority, struct str *host, uint16_t *port)
{
    struct str rest;

    if (authority.n && authority.p[0] == '[') {
        size_t close = str_index(authority, ']');
        if (close == authority.n)
            return false;
        *host = str_make(authority.p + 1, close - 1);
        rest = str_skip(authority, close + 1);
        if (!name_is_v6(*host))
            return false;
    } else {
        *host = str_head(authority, str_index(authority, ':'));
        rest = str_skip(authority, host->n);
        if (!name_is_host(*host))
            return false;
    }

    *port = 0;
    if (rest.n == 0)
        return true;
    if (rest.p[0] != ':' || rest.n > 6)
        return false;
    if (rest.n == 1) /* port = *DIGIT, RFC 3986 3.2.3 */
        return true;
    unsigned value = 0;
    for (size_t i = 1; i < rest.n; i++) {
        if (!ascii_is_digit((unsigned char)rest.p[i]))
            return false;
        value = value * 10 + (unsigned)(rest.p[i] - '0');
    }
    if (value == 0 || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}
