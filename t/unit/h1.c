/* Request and response heads: what the parser fills in. What it refuses is in hostile.c. */
#include <stdlib.h>

#include "t/unit/tap.h"
#include "worker/http/h1.h"

static struct http_request req;
static struct http_response res;
static struct h1_request_policy policy;
static struct http_limits limits = HTTP_LIMITS_DEFAULT;

static ssize_t request(const char *text)
{
    struct h1_scan scan = {0};
    return h1_request_parse(&req, text, strlen(text), &scan, &limits, &policy);
}

static ssize_t response_to(enum http_method method, const char *upgrade, const char *text)
{
    struct h1_response_context context = {.method = (uint8_t)method,
                                          .upgrade = str_from(upgrade)};
    struct h1_scan scan = {0};
    return h1_response_parse(&res, text, strlen(text), &scan, &limits, &context);
}

static bool is(struct str got, const char *want)
{
    return str_eq(got, str_from(want));
}

static void test_lookup(void)
{
    static const struct {
        const char *name;
        enum http_field_id id;
    } names[] = {
        {"Host", HTTP_F_HOST},
        {"Content-Length", HTTP_F_CONTENT_LENGTH},
        {"Transfer-Encoding", HTTP_F_TRANSFER_ENCODING},
        {"Connection", HTTP_F_CONNECTION},
        {"Keep-Alive", HTTP_F_KEEP_ALIVE},
        {"Proxy-Connection", HTTP_F_PROXY_CONNECTION},
        {"Trailer", HTTP_F_TRAILER},
        {"Upgrade", HTTP_F_UPGRADE},
        {"Http2-Settings", HTTP_F_HTTP2_SETTINGS},
        {"Proxy", HTTP_F_PROXY},
        {"Proxy-Authorization", HTTP_F_PROXY_AUTHORIZATION},
        {"Proxy-Authenticate", HTTP_F_PROXY_AUTHENTICATE},
        {"Expect", HTTP_F_EXPECT},
        {"Cookie", HTTP_F_COOKIE},
        {"Set-Cookie", HTTP_F_SET_COOKIE},
        {"Location", HTTP_F_LOCATION},
        {"Content-Location", HTTP_F_CONTENT_LOCATION},
        {"Content-Type", HTTP_F_CONTENT_TYPE},
        {"Content-Encoding", HTTP_F_CONTENT_ENCODING},
        {"Authorization", HTTP_F_AUTHORIZATION},
        {"Accept", HTTP_F_ACCEPT},
        {"Accept-Encoding", HTTP_F_ACCEPT_ENCODING},
        {"Accept-Language", HTTP_F_ACCEPT_LANGUAGE},
        {"User-Agent", HTTP_F_USER_AGENT},
        {"Referer", HTTP_F_REFERER},
        {"Origin", HTTP_F_ORIGIN},
        {"Range", HTTP_F_RANGE},
        {"X-Forwarded-For", HTTP_F_X_FORWARDED_FOR},
        {"X-Forwarded-Proto", HTTP_F_X_FORWARDED_PROTO},
        {"X-Forwarded-Host", HTTP_F_X_FORWARDED_HOST},
        {"X-Forwarded-Port", HTTP_F_X_FORWARDED_PORT},
        {"Forwarded", HTTP_F_FORWARDED},
        {"X-Real-Ip", HTTP_F_X_REAL_IP},
        {"X-Request-Id", HTTP_F_X_REQUEST_ID},
        {"Date", HTTP_F_DATE},
        {"Server", HTTP_F_SERVER},
        {"Retry-After", HTTP_F_RETRY_AFTER},
        {"Proxy-Status", HTTP_F_PROXY_STATUS},
        {"Strict-Transport-Security", HTTP_F_STRICT_TRANSPORT_SECURITY},
        {"Sec-Websocket-Key", HTTP_F_SEC_WEBSOCKET_KEY},
        {"Sec-Websocket-Version", HTTP_F_SEC_WEBSOCKET_VERSION},
        {"Connhdl", HTTP_F_CONNHDL},
        {"X-Client-Context-Id", HTTP_F_X_CLIENT_CONTEXT_ID},
        {"TE", HTTP_F_TE},
        {"te", HTTP_F_TE},
        {"x-forwarded-for", HTTP_F_X_FORWARDED_FOR},
        {"X-FORWARDED-HOST", HTTP_F_X_FORWARDED_HOST},
        {"X-Forwarded-Server", HTTP_F_X_FORWARDED_OTHER},
        {"Hos", HTTP_F_OTHER},
        {"Hosts", HTTP_F_OTHER},
        {"Xost", HTTP_F_OTHER},
        {"Content-Lengthy", HTTP_F_OTHER},
        {"Content\rLength", HTTP_F_OTHER},
        {"D\x01te", HTTP_F_OTHER},
        {"Http\x12-Settings", HTTP_F_OTHER},
        {"a", HTTP_F_OTHER},
        {"", HTTP_F_OTHER},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        is_int(http_field_lookup(str_from(names[i].name)), names[i].id, "id of '%s'",
               names[i].name);
}

static void test_request(void)
{
    const char *head =
        "POST /pas/a?b=c&d HTTP/1.1\r\nHost: Shop.test:8443\r\n"
        "Content-Type: a/b\r\nX-Odd:  \t x y \t\r\nContent-Length: 5\r\n\r\nhello";

    is_int(request(head), (intmax_t)strlen(head) - 5, "length of the head, without the body");
    is_int(req.method, HTTP_POST, "method");
    is_int(req.version_minor, 1, "version");
    is_int(req.form, HTTP_TARGET_ORIGIN, "origin form");
    ok(is(req.target, "/pas/a?b=c&d") && is(req.path, "/pas/a") && is(req.query, "?b=c&d"),
       "target, path and query");
    ok(is(req.authority, "Shop.test:8443") && is(req.host, "Shop.test"), "authority and host");
    is_int(req.port, 8443, "port");
    ok(is(req.scheme, "http"), "scheme is the connection's");
    is_int(req.body, HTTP_BODY_LENGTH, "framing");
    is_int((intmax_t)req.content_length, 5, "length of the body");
    ok(req.keep_alive && !req.expect_continue && !req.upgrade_websocket,
       "no flags but keep-alive");
    is_int(req.nfields, 4, "fields");
    ok(is(req.fields[2].name, "X-Odd") && is(req.fields[2].value, "x y"), "a value is trimmed");
    ok(http_request_field(&req, HTTP_F_CONTENT_TYPE) == &req.fields[1], "field by id");
    ok(!http_request_field(&req, HTTP_F_COOKIE), "no field by id");

    request("GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\nConnection: X-A , close\r\n\r\n");
    ok(is(req.host, "2001:db8::1") && req.port == 8080, "IPv6 host without brackets");
    ok(!req.keep_alive && req.names_in_connection, "Connection: close and a nomination");
    ok(req.query.n == 0 && req.body == HTTP_BODY_NONE, "no query, no body");

    is_int(request("GET / HTTP/1.1\r\nHost: a\r\nContent\rLength: 5\r\n\r\n"), -H1_E_BARE_CR,
           "a CR is not the '-' of a known name");
    is_int(request("GET / HTTP/1.1\r\nHost: a\r\nHttp\x12-Settings: 5\r\n\r\n"), -H1_E_CTL,
           "a control byte is not its digit");

    request("GET /? HTTP/1.1\r\nHost: a\r\n\r\n");
    ok(is(req.query, "?"), "an empty query is one");

    is_int(request("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: Keep-Alive, "
                   "upgrade\r\nSec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n") > 0,
           1, "WebSocket");
    ok(req.upgrade_websocket && is(req.upgrade, "WebSocket"), "is an upgrade with its token");

    policy.is_tls = true;
    ok(request("GET https://a:443/x HTTP/1.1\r\nHost: A\r\n\r\n") > 0,
       "absolute form over TLS");
    ok(is(req.scheme, "https") && is(req.path, "/x") && is(req.authority, "a:443"),
       "the target's authority wins");
    ok(request("GET HTTP://a/x HTTP/1.1\r\nHost: a\r\n\r\n") > 0 && is(req.scheme, "https"),
       "http over TLS: the scheme is the connection's");
    ok(request("GET http://a:8080/x HTTP/1.1\r\nHost: b\r\n\r\n") > 0 &&
           is(req.authority, "a:8080") && req.port == 8080,
       "Host is ignored beside it");
    is_int(request("GET http://a/x HTTP/1.1\r\nHost: b@c\r\n\r\n"), -H1_E_HOST_INVALID,
           "but not a malformed one");
    policy.is_tls = false;
    ok(request("GET https://a:443/x HTTP/1.1\r\nHost: a\r\n\r\n") > 0 && is(req.scheme, "http"),
       "https without TLS");
    ok(request("GET / HTTP/1.1\r\nHost: [::1]:\r\n\r\n") > 0 && is(req.authority, "[::1]") &&
           is(req.host, "::1") && req.port == 0,
       "an empty port is none");
}

/* Fields are compared with names that Connection nominates: both have a bound. */
static void test_connection(void)
{
    static char head[4096];
    static const char *const start = "GET / HTTP/1.1\r\nHost: a\r\nConnection: ";
    size_t n = strlen(start);

    for (int names = H1_CONNECTION_NAMES; names <= H1_CONNECTION_NAMES + 1; names++) {
        strcpy(head, start);
        for (int i = 0; i < names; i++)
            strcat(head, i ? ",a" : "a");
        strcat(head, "\r\n\r\n");
        is_int(request(head) > 0, names <= H1_CONNECTION_NAMES, "%d names", names);
    }
    for (int bytes = H1_CONNECTION_BYTES; bytes <= H1_CONNECTION_BYTES + 1; bytes++) {
        strcpy(head, start);
        memset(head + n, 'a', (size_t)bytes);
        strcpy(head + n + bytes, "\r\n\r\n");
        is_int(request(head) > 0, bytes <= H1_CONNECTION_BYTES, "%d bytes of a name", bytes);
    }
    is_int(request(head), -H1_E_CONNECTION, "is the error");
    is_int(h1_error_info(H1_E_CONNECTION)->status, 431, "431");
    strcpy(head, start);
    for (int i = 0; i < H1_CONNECTION_NAMES / 2; i++)
        strcat(head, "a\r\nConnection: b\r\nConnection: ");
    strcat(head, "c\r\n\r\n");
    is_int(request(head), -H1_E_CONNECTION, "all lines together");
}

static void test_policy(void)
{
    const char *no_host = "GET / HTTP/1.0\r\n\r\n",
               *webdav = "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n";

    ok(request(no_host) > 0 && req.authority.n == 0 && !req.keep_alive, "1.0 without Host");
    policy.refuse_10_without_host = true;
    is_int(request(no_host), -H1_E_HOST_MISSING, "1.0 without Host, refused by policy");
    ok(request(webdav) > 0 && req.method == HTTP_OTHER && is(req.method_name, "PROPFIND"),
       "an unknown method");
    ok(!http_method_is_safe(HTTP_OTHER) && !http_method_is_idempotent(HTTP_OTHER),
       "is neither safe nor idempotent");
    is_int(request("post / HTTP/1.1\r\nHost: a\r\n\r\n"), -H1_E_METHOD_UNKNOWN,
           "a known one in another case");
    is_int(request("GET /a{b HTTP/1.1\r\nHost: a\r\n\r\n"), -H1_E_TARGET_CHAR,
           "a brace, strictly");
    policy.raw_targets = true;
    ok(request("GET /a{\xc3\xa9? HTTP/1.1\r\nHost: a\r\n\r\n") > 0 &&
           is(req.path, "/a{\xc3\xa9"),
       "a brace and UTF-8, raw by policy");
    is_int(request("GET /\xc3 HTTP/1.1\r\nHost: a\r\n\r\n"), -H1_E_TARGET_CHAR,
           "but no other bytes");
    is_int(request("GET /a<b HTTP/1.1\r\nHost: a\r\n\r\n"), -H1_E_TARGET_CHAR,
           "nor those that no browser sends");
    policy = (struct h1_request_policy){0};
}

/* What can be told before a line is whole is told. */
static void test_early(void)
{
    static char big[HTTP_HEAD_MAX + 100];

    is_int(request(""), 0, "nothing yet");
    is_int(request("\r"), 0, "CR yet");
    is_int(request("G"), 0, "a letter");
    is_int(request("\x16\x03"), -H1_E_TLS_ON_PLAIN, "TLS by its first byte");
    is_int(request("\n"), -H1_E_BARE_LF, "LF by itself");
    is_int(request("GET /\x01"), -H1_E_CTL, "a control byte in an unfinished target");
    is_int(request("GET / HTTQ"), -H1_E_VERSION, "a wrong version, unfinished");
    is_int(request("GET / HTTP/1.1\r\n X"), -H1_E_FIELD_SPACE, "a line that starts with space");
    is_int(request("GET / HTTP/1.1\r\nA B"), -H1_E_FIELD_SPACE,
           "a name with a space, unfinished");
    memset(big, 'a', sizeof(big) - 1);
    memcpy(big, "GET /", 5);
    big[5 + HTTP_TARGET_MAX] = '\0';
    is_int(request(big), -H1_E_TARGET_LONG, "a long target, unfinished");
    memset(big, 'a', sizeof(big) - 1);
    memcpy(big, "GET / HTTP/1.1\r\n", 16);
    big[16 + HTTP_FIELD_MAX + 2] = '\0';
    is_int(request(big), -H1_E_FIELD_LONG, "a long field, unfinished");
    limits.head = 64;
    is_int(request("GET / HTTP/1.1\r\nHost: a\r\nX: 3456789012345678901234567890123456789\r\n"),
           -H1_E_HEAD_LONG, "a full buffer is an error, not a wait");
    limits.head = HTTP_HEAD_MAX;
    limits.body = 4;
    is_int(request("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"), -H1_E_LENGTH_OVER,
           "a body over the bound");
    limits.body = 0;
}

/* Dripping n bytes costs n, not n squared: the scan goes on where it was. */
static void test_resume(void)
{
    const char *head = "GET /abc HTTP/1.1\r\nHost: a.test\r\nX-Long: abcdefghij\r\n\r\n";
    struct h1_scan scan = {0};
    ssize_t rc = 0;
    size_t n = 0;
    bool forward = true;

    while (rc == 0 && n < strlen(head)) {
        size_t line = scan.line;
        rc = h1_request_parse(&req, head, ++n, &scan, &limits, &policy);
        forward &= scan.line >= line && (rc || scan.seen + 1 >= n);
    }
    is_int(rc, (intmax_t)strlen(head), "byte by byte");
    ok(forward, "never goes back");
    ok(is(req.path, "/abc") && is(req.host, "a.test") && req.nfields == 2, "the same request");
}

static void test_response(void)
{
    ok(response_to(HTTP_GET, NULL, "HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\n") > 0,
       "Tomcat's 200");
    ok(res.status == 200 && res.body == HTTP_BODY_LENGTH && res.content_length == 3 &&
           res.keep_alive && res.reason.n == 0,
       "length, kept");
    response_to(HTTP_GET, NULL,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                "Connection: close\r\n\r\n");
    ok(res.body == HTTP_BODY_CHUNKED && !res.keep_alive, "chunked, closed");
    response_to(HTTP_GET, NULL, "HTTP/1.1 200 OK\r\n\r\n");
    ok(res.body == HTTP_BODY_UNTIL_CLOSE && !res.keep_alive, "until close is never kept");
    response_to(HTTP_HEAD, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    ok(res.body == HTTP_BODY_NONE && res.has_length && res.content_length == 3 &&
           res.keep_alive,
       "HEAD has a length and no body");
    response_to(HTTP_GET, NULL, "HTTP/1.1 304 Not Modified\r\n\r\n");
    ok(res.body == HTTP_BODY_NONE && res.keep_alive && !res.has_length, "304");
    static const char *const misframed[] = {
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(misframed) / sizeof(misframed[0]); i++) {
        ok(response_to(HTTP_GET, NULL, misframed[i]) > 0 && res.body == HTTP_BODY_NONE &&
               !res.has_length && res.content_length == 0,
           "no body, whatever it says: %.16s", misframed[i]);
        ok(!res.keep_alive, "and nothing after it");
    }
    response_to(HTTP_GET, NULL, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
    ok(res.keep_alive && !res.has_length, "204 with a length of nothing is kept");
    response_to(HTTP_GET, NULL, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    ok(res.body == HTTP_BODY_NONE && res.keep_alive && res.has_length, "304 with a length");
    response_to(HTTP_GET, NULL, "HTTP/1.1 204 No Content\r\n\r\n");
    ok(res.body == HTTP_BODY_NONE && res.keep_alive, "204");
    response_to(HTTP_GET, NULL, "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n");
    ok(!res.keep_alive, "1.0 is closed");
    response_to(HTTP_GET, NULL,
                "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n");
    ok(res.keep_alive, "1.0 with keep-alive is kept");
    ok(response_to(HTTP_GET, NULL, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n") ==
           25,
       "an interim head ends where the next begins");
    const char *upgraded =
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n";
    ok(response_to(HTTP_GET, "websocket", upgraded) > 0 && res.status == 101, "asked 101");
    is_int(response_to(HTTP_GET, NULL, upgraded), -H1_E_UPGRADE_UNASKED, "unasked 101");
    is_int(response_to(HTTP_GET, NULL, "HTTP/1.1 20"), 0, "an unfinished status line");
    is_int(response_to(HTTP_GET, NULL, "<html>"), -H1_E_STATUS_LINE, "no HTTP at all");
}

static void test_words(void)
{
    for (int i = 1; i < H1_ERRORS; i++) {
        const struct h1_error_info *info = h1_error_info(-i);
        ok(info->status >= 400 && info->reason && *info->reason, "error %d has words: %s", i,
           info->reason ? info->reason : "");
    }
    ok(h1_error_info(-9999)->reason != NULL, "an unknown error has words as well");
    ok(http_method_is_safe(HTTP_HEAD) && !http_method_is_safe(HTTP_PUT), "safe methods");
    ok(http_method_is_idempotent(HTTP_PUT) && !http_method_is_idempotent(HTTP_POST) &&
           !http_method_is_idempotent(HTTP_OTHER),
       "idempotent methods");
}

int main(void)
{
    test_lookup();
    test_request();
    test_policy();
    test_connection();
    test_early();
    test_resume();
    test_response();
    test_words();
    return done();
}
