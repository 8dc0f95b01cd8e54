/* Heads for the other side: what is taken off, what is put on, what is mapped back. */
#include "worker/http/rewrite.h"
#include "base/conf/conf.h"
#include "t/unit/tap.h"
#include "worker/http/affinity.h"
#include "worker/http/h1.h"
#include "worker/http/h1_write.h"
#include "worker/http/headers.h"
#include "worker/http/origin.h"

static char buf[8192];
static char values[1024]; /* of fields that are changed */
/* The client's connection. */
static unsigned client_minor = 1;
static bool keep_alive = true;
static struct http_request req;
static struct http_response res;

static void parse_request(const char *text)
{
    static const struct h1_request_policy policy = {.is_tls = true};
    struct h1_scan scan = {0};
    if (h1_request_parse(&req, text, strlen(text), &scan, &http_limits_default, &policy) <= 0)
        fail("the test's own request parses: %s", text);
}

static void parse_response(const char *text)
{
    const struct h1_response_context context = {.method = req.method, .upgrade = req.upgrade};
    struct h1_scan scan = {0};
    if (h1_response_parse(&res, text, strlen(text), &scan, &http_limits_default, &context) <= 0)
        fail("the test's own response parses: %s", text);
}

/* The networks 192.0.2.0/24 are trusted. */
static const struct origin *origin_of(struct str peer_ip, bool trusted)
{
    static const struct conf_prefix network = {{[10] = 0xff, [11] = 0xff, 192, 0, 2}, 120};
    static const struct conf conf = {.trusted = &network, .n_trusted = 1};
    static const struct sockaddr_in address = {.sin_family = AF_INET};
    static struct origin origin;
    const struct origin_peer peer = {.address = (const struct sockaddr *)&address,
                                     .ip = peer_ip,
                                     .server_port = 443,
                                     .trusted = trusted};

    origin_find(&origin, &req, &peer, &conf);
    return &origin;
}

static const char *request(struct rewrite_request_info info)
{
    struct rewrite_out out;

    if (!info.path.n)
        info.path = STR("/web/x");
    info.peer_ip = info.peer_ip.n ? info.peer_ip : STR("192.0.2.7");
    info.origin = origin_of(info.peer_ip, info.peer_trusted);
    info.request_id = info.origin->request_id.n ? info.origin->request_id : STR("our-id");
    rewrite_out_init(&out, buf, sizeof(buf) - 1);
    ssize_t n = rewrite_request(&out, &req, &info);
    buf[n < 0 ? 0 : n] = '\0';
    return buf;
}

#define BACKEND_INFO                                                  \
    .tls = true, .prefix = STR("/pas"), .upstream_path = STR("/web"), \
    .public_authority = STR("shop.test"), .backend_authority = STR("pas1:8810")

/* Decided and written to out, with so much room for both. */
static ssize_t write_response(struct rewrite_out *out, const struct headers_info *info,
                              size_t room)
{
    struct http_response parsed = res;
    struct rewrite_out text;
    struct http_head head;

    rewrite_out_init(&text, values, room < sizeof(values) ? room : sizeof(values));
    if (!headers_response(&head, &parsed, info, &text))
        return -1;
    return h1_write_response(out, &head, keep_alive, client_minor);
}

static const char *response(struct headers_info info)
{
    struct rewrite_out out;

    rewrite_out_init(&out, buf, sizeof(buf) - 1);
    ssize_t n = write_response(&out, &info, sizeof(values));
    buf[n < 0 ? 0 : n] = '\0';
    return buf;
}

static const char *own_response(const struct headers_own_info *info)
{
    struct rewrite_out out, text;
    struct headers_own own;
    ssize_t n = -1;

    rewrite_out_init(&out, buf, sizeof(buf) - 1);
    rewrite_out_init(&text, values, sizeof(values));
    if (headers_own(&own, info, &text))
        n = h1_write_response(&out, &own.head, keep_alive, client_minor);
    if (n >= 0 && own.body.n)
        memcpy(buf + n, own.body.p, own.body.n);
    buf[n < 0 ? 0 : (size_t)n + own.body.n] = '\0';
    return buf;
}

static bool has(const char *line)
{
    return strstr(buf, line) != NULL;
}

#define ORIGIN                                                                               \
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.test\r\n" \
    "X-Forwarded-Port: 443\r\nForwarded: for=192.0.2.7;host=\"a.test\";proto=https\r\n"      \
    "X-Request-Id: our-id\r\nVia: 1.1 pasgate\r\n"

static void test_request(void)
{
    const struct rewrite_request_info plain = {0};

    parse_request("GET /pas/x?y=z HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\n\r\n");
    is_str(request(plain),
           "GET /web/x?y=z HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\n" ORIGIN "\r\n",
           "a plain GET, whole");
    parse_request(
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 7\r\nConnection: close\r\n\r\n");
    is_str(request(plain),
           "POST /web/x HTTP/1.1\r\nHost: a.test\r\n" ORIGIN "Content-Length: 7\r\n\r\n",
           "a POST with its length, the client's close is its own");
    parse_request("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    is_str(request((struct rewrite_request_info){.close = true, .host = STR("other:1")}),
           "POST /web/x HTTP/1.1\r\nHost: other:1\r\n" ORIGIN
           "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
           "chunked, close and a configured Host");
    parse_request(
        "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: a=1\r\nX: y\r\nCookie: b=2\r\n\r\n");
    request(plain);
    ok(has("Cookie: a=1; b=2\r\n") && has("X: y\r\n"), "cookies in one line");
    parse_request("GET / HTTP/1.0\r\n\r\n");
    request((struct rewrite_request_info){.fallback_host = STR("pas1:8810")});
    ok(has("Host: pas1:8810\r\n") && !has("X-Forwarded-Host") && !has("host="),
       "no Host: the backend's, and none is claimed");
    parse_request("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    request((struct rewrite_request_info){.peer_ip = STR("2001:db8::1")});
    ok(has("X-Forwarded-For: 2001:db8::1\r\n") && has("Forwarded: for=\"[2001:db8::1]\";host="),
       "IPv6 is quoted in Forwarded only");
}

static void test_raw(void)
{
    const struct rewrite_request_info plain = {0};
    static const struct h1_request_policy policy = {.raw_targets = true};
    static const char text[] = "GET /a{?q={b|\xc3\xa9}[] HTTP/1.1\r\nHost: a.test\r\n\r\n";
    struct h1_scan scan = {0};

    ok(h1_request_parse(&req, text, sizeof(text) - 1, &scan, &http_limits_default, &policy) > 0,
       "raw bytes in a target");
    request(plain);
    ok(has("GET /web/x?q=%7Bb%7C%C3%A9%7D%5B%5D HTTP/1.1\r\n"), "leave it encoded");
    buf[rewrite_https_location(buf, sizeof(buf), &req, req.host, 443)] = '\0';
    is_str(buf, "https://a.test/a%7B?q=%7Bb%7C%C3%A9%7D%5B%5D", "in a redirect too");
}

static void test_trusted(void)
{
    parse_request(
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 1.1.1.1\r\n"
        "x-forwarded-for: 2.2.2.2\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\n"
        "X-Forwarded-Host: b.test\r\nX-Forwarded-Prefix: /p\r\nX-Real-IP: 1.1.1.1\r\n"
        "Forwarded: for=1.1.1.1\r\nX-Request-Id: theirs\r\n\r\n");
    request((struct rewrite_request_info){.peer_trusted = true});
    ok(has("X-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.7\r\n"), "the chain is appended to");
    ok(has("X-Forwarded-Proto: http\r\n") && has("X-Forwarded-Host: b.test\r\n") &&
           has("X-Forwarded-Port: 80\r\n"),
       "the first hop's scheme, host and port stay");
    ok(has("Forwarded: for=1.1.1.1, for=2.2.2.2;host=\"b.test\";proto=http, "
           "for=192.0.2.7\r\n"),
       "Forwarded says the same");
    ok(has("X-Request-Id: theirs\r\n") && !has("our-id"), "the id stays");
    ok(has("X-Forwarded-Prefix: /p\r\n") && has("X-Real-IP: 2.2.2.2\r\n"),
       "others pass, but for an address that contradicts");
    parse_request("GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: , \r\n"
                  "X-Real-IP: 1.1.1.1\r\n\r\n");
    request((struct rewrite_request_info){.peer_trusted = true});
    ok(has("X-Forwarded-For: 1.1.1.1, 192.0.2.7\r\n") && has("Forwarded: for=1.1.1.1;") &&
           has("X-Real-IP: 1.1.1.1\r\n"),
       "X-Real-IP alone: all say it");
    parse_request("GET / HTTP/1.1\r\nHost: a.test\r\nForwarded: for=\"[2001:db8::9]:4711\""
                  ";proto=http;host=c.test;by=_x\r\nForwarded: for=_hidden, for=192.0.2.8"
                  "\r\n\r\n");
    request((struct rewrite_request_info){.peer_trusted = true});
    ok(has("X-Forwarded-For: 2001:db8::9, unknown, 192.0.2.8, 192.0.2.7\r\n"),
       "Forwarded becomes X-Forwarded-For");
    ok(has("Forwarded: for=\"[2001:db8::9]:4711\";proto=http;host=c.test;by=_x, for=_hidden, "
           "for=192.0.2.8, for=192.0.2.7\r\n"),
       "and is appended to");
    request((struct rewrite_request_info){0});
    ok(!has("1.1.1.1") && !has("2.2.2.2") && !has("b.test") && !has("theirs") && !has("Prefix"),
       "nothing of it from anybody else");
}

/* One field of the backend's as the client gets it. */
static void mapped(const char *field, const char *want, struct headers_info info)
{
    char text[512];
    snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s\r\nContent-Length: 0\r\n\r\n", field);
    parse_response(text);
    response(info);
    char *end = strstr(buf, "\r\nVia:");
    if (end)
        *end = '\0';
    is_str(strlen(buf) > 17 ? buf + 17 : "", want, "%.*s", (int)strcspn(field, "\r"), field);
}

static void test_location(void)
{
    const struct headers_info i = {BACKEND_INFO};
    struct headers_info plain = i, root = i, to_root = i, port = i;

    mapped("Location: /web/x", "Location: /pas/x", i);
    mapped("Location: /web", "Location: /pas", i);
    mapped("Location: /web?a=/web", "Location: /pas?a=/web", i);
    mapped("Location: /web#a", "Location: /pas#a", i);
    mapped("Location: /web;j=1/x", "Location: /pas;j=1/x", i);
    mapped("Location: /webx", "Location: /webx", i);
    mapped("Location: /other", "Location: /other", i);
    mapped("Location: x/y", "Location: x/y", i);
    mapped("Location: ?q", "Location: ?q", i);
    mapped("Location:", "Location: ", i);
    mapped("Location: http://pas1:8810/web/x", "Location: https://shop.test/pas/x", i);
    mapped("Location: http://pas1/web/x", "Location: https://shop.test/pas/x", i);
    mapped("Location: HTTP://PAS1:8810", "Location: https://shop.test", i);
    mapped("Location: http://pas1:9999/web", "Location: http://pas1:9999/web", i);
    mapped("Location: http://shop.test/web/x", "Location: https://shop.test/pas/x", i);
    mapped("Location: https://shop.test/web?q", "Location: https://shop.test/pas?q", i);
    mapped("Location: http://shop.test:8080/web", "Location: http://shop.test:8080/web", i);
    mapped("Location: //shop.test/web", "Location: //shop.test/pas", i);
    mapped("Location: http://else.test/web", "Location: http://else.test/web", i);
    mapped("Location: http://shop.test.evil/web", "Location: http://shop.test.evil/web", i);
    mapped("Location: http://shop.test@evil/web", "Location: http://shop.test@evil/web", i);
    mapped("Location: mailto:a@b", "Location: mailto:a@b", i);
    mapped("Content-Location: /web/y", "Content-Location: /pas/y", i);
    mapped("Refresh: 0;/web", "Refresh: 0;/web", i);

    plain.tls = false;
    mapped("Location: https://shop.test/web/x", "Location: https://shop.test/web/x", plain);
    mapped("Location: http://shop.test/web/x", "Location: http://shop.test/pas/x", plain);
    port.public_authority = STR("shop.test:8443");
    mapped("Location: http://shop.test:8443/web/", "Location: https://shop.test:8443/pas/",
           port);
    mapped("Location: https://shop.test/web/", "Location: https://shop.test/web/", port);
    root.prefix = STR_EMPTY;
    mapped("Location: /web", "Location: /", root);
    mapped("Location: /web/x", "Location: /x", root);
    mapped("Location: /web?q", "Location: /?q", root);
    to_root.upstream_path = STR_EMPTY;
    mapped("Location: /x", "Location: /pas/x", to_root);
    mapped("Location: /", "Location: /pas/", to_root);
}

static void test_cookie(void)
{
    const struct headers_info i = {BACKEND_INFO};
    struct headers_info root = i, to_root = i;

    mapped("Set-Cookie: test=succeeded; Domain=localhost; Path=/web; HttpOnly",
           "Set-Cookie: test=succeeded; Path=/pas; HttpOnly", i);
    mapped("Set-Cookie: a=b;path=/web/x;domain=.PAS1", "Set-Cookie: a=b; Path=/pas/x", i);
    mapped("Set-Cookie: a=b; Path=\"/web\"", "Set-Cookie: a=b; Path=/pas", i);
    mapped("Set-Cookie: a=b; Path=/", "Set-Cookie: a=b; Path=/", i);
    mapped("Set-Cookie: a=b; Path=/webx", "Set-Cookie: a=b; Path=/webx", i);
    mapped("Set-Cookie: a=b; Domain=shop.test", "Set-Cookie: a=b; Domain=shop.test", i);
    mapped("Set-Cookie: a=Path=/web; Expires=Wed, 01 Jan 2030 00:00:00 GMT",
           "Set-Cookie: a=Path=/web; Expires=Wed, 01 Jan 2030 00:00:00 GMT", i);
    mapped("Set-Cookie: Path=/web; Secure", "Set-Cookie: Path=/web; Secure", i);
    mapped("Set-Cookie: a=b;; ;Path", "Set-Cookie: a=b;; ;Path", i);
    mapped("Set-Cookie: a=b; Path=/web\r\nSet-Cookie: c=d; Path=/web/e",
           "Set-Cookie: a=b; Path=/pas\r\nSet-Cookie: c=d; Path=/pas/e", i);
    root.prefix = STR_EMPTY;
    mapped("Set-Cookie: a=b; Path=/web", "Set-Cookie: a=b; Path=/", root);
    to_root.upstream_path = STR_EMPTY;
    mapped("Set-Cookie: a=b; Path=/", "Set-Cookie: a=b; Path=/pas", to_root);
}

static struct affinity_key tags;

/* `text` with the tag of the session in it at the '@'. */
static const char *tagged(const char *text, const char *session)
{
    static char out[512];
    int at = (int)strcspn(text, "@");
    char tag[AFFINITY_TAG];

    affinity_tag(tag, &tags, 7, str_from(session));
    snprintf(out, sizeof out, "%.*s%.*s%s", at, text, AFFINITY_TAG, tag, text + at + 1);
    return out;
}

static void test_tags(void)
{
    static const uint8_t secret[AFFINITY_KEY] = {1, 2, 3};
    struct headers_info i = {BACKEND_INFO};

    mapped("Set-Cookie: JSESSIONID=A.as-pas", "Set-Cookie: JSESSIONID=A.as-pas", i);
    tags = affinity_key(secret);
    i.tag_key = &tags;
    i.tag_id = 7;
    mapped("Set-Cookie: JSESSIONID=A.as-pas; Path=/web; HttpOnly",
           tagged("Set-Cookie: JSESSIONID=A.as-pas@; Path=/pas; HttpOnly", "A.as-pas"), i);
    mapped("Set-Cookie: JSESSIONID = \"A\" ;Secure",
           tagged("Set-Cookie: JSESSIONID = \"A@\" ;Secure", "A"), i);
    mapped("Set-Cookie: JSESSIONID=; Max-Age=0", "Set-Cookie: JSESSIONID=; Max-Age=0", i);
    mapped("Set-Cookie: JSESSIONIDSSO=A", "Set-Cookie: JSESSIONIDSSO=A", i);
    mapped("Set-Cookie: a=JSESSIONID=A", "Set-Cookie: a=JSESSIONID=A", i);
    mapped("Location: /web/x;jsessionid=A?b", tagged("Location: /pas/x;jsessionid=A@?b", "A"),
           i);
    mapped("Location: /x;a=1;jsessionid=A/y", tagged("Location: /x;a=1;jsessionid=A@/y", "A"),
           i);
    mapped("Location: http://pas1:8810/web;jsessionid=A",
           tagged("Location: https://shop.test/pas;jsessionid=A@", "A"), i);
    mapped("Location: http://other.test/web;jsessionid=A",
           "Location: http://other.test/web;jsessionid=A", i);
    mapped("Location: /web/x?;jsessionid=A", "Location: /pas/x?;jsessionid=A", i);
    mapped("Location: /web/x;jsessionid=", "Location: /pas/x;jsessionid=", i);
}

/* The Cookie line of a request without the parts that are "cut". */
static const char *uncut(const char *fields)
{
    static char text[512], line[256];
    struct rewrite_request_info info = {0};
    struct str cuts[8];

    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n\r\n", fields);
    parse_request(text);
    for (char *at = text; (at = strstr(at, "cut")) != NULL; at += cuts[info.ncuts++].n)
        cuts[info.ncuts] = str_make(at, strspn(at, "cut; "));
    info.cuts = cuts;
    request(info);
    const char *cookie = strstr(buf, "Cookie: ");
    return cookie ? str_copy(line, sizeof line, str_make(cookie + 8, strcspn(cookie + 8, "\r")))
                  : "none";
}

static void test_cuts(void)
{
    is_str(uncut("Cookie: a=1; b=cut; d=2"), "a=1; b=d=2", "what is cut is left out");
    is_str(uncut("Cookie: cut; a=1"), "a=1", "at the begin");
    is_str(uncut("Cookie: a=1; cut"), "a=1", "at the end, with the separator");
    is_str(uncut("Cookie: a=1; cut; cut; b=2; cut; cut"), "a=1; b=2", "several");
    is_str(uncut("Cookie: cut"), "none", "all of it");
    is_str(uncut("Cookie: a=1\r\nX: y\r\nCookie: cut\r\nCookie: b=2; cut"), "a=1; b=2",
           "over several fields");
    is_str(uncut("Cookie: cut\r\nCookie: b=2"), "b=2", "a field that is gone joins nothing");
    is_str(uncut("Cookie: a=1; "), "a=1;", "without a cut all stays");
    parse_request("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
}

static void test_response(void)
{
    struct headers_info i = {BACKEND_INFO};

    parse_request("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    parse_response(
        "HTTP/1.1 404 Nix\r\nConnection: X-A\r\nX-A: 1\r\nX-B: 2\r\nKeep-Alive: x\r\n\r\n");
    const struct http_head until_close = {.body = res.body};
    is_int(h1_write_body(&until_close, 1), HTTP_BODY_CHUNKED, "until close becomes chunked");
    is_int(h1_write_body(&until_close, 0), HTTP_BODY_UNTIL_CLOSE, "but not for 1.0");
    is_str(
        response(i),
        "HTTP/1.1 404 Nix\r\nX-B: 2\r\nVia: 1.1 pasgate\r\nTransfer-Encoding: chunked\r\n\r\n",
        "close-delimited, hop by hop, whole");
    client_minor = 0;
    is_str(response(i),
           "HTTP/1.1 404 Nix\r\nX-B: 2\r\nVia: 1.1 pasgate\r\nConnection: close\r\n\r\n",
           "to 1.0");
    parse_response(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nStrict-Transport-Security: x\r\n\r\n");
    is_str(response(i),
           "HTTP/1.1 200 OK\r\nStrict-Transport-Security: x\r\nVia: 1.1 pasgate\r\n"
           "Content-Length: 3\r\n"
           "Connection: keep-alive\r\n\r\n",
           "1.0 that is kept; the backend's HSTS stays when we have none");
    client_minor = 1;
    i.hsts = STR("max-age=63072000; includeSubDomains");
    i.add_cookie = STR("PASGATE=1; Path=/");
    i.request_id = STR("id");
    keep_alive = false;
    is_str(
        response(i),
        "HTTP/1.1 200 OK\r\nVia: 1.1 pasgate\r\nSet-Cookie: PASGATE=1; Path=/\r\n"
        "Strict-Transport-Security: max-age=63072000; includeSubDomains\r\nX-Request-Id: id\r\n"
        "Content-Length: 3\r\nConnection: close\r\n\r\n",
        "HSTS, a cookie and an id of ours, close");
    keep_alive = true;
    i.tls = false;
    response(i);
    ok(!has("Strict-Transport"), "no HSTS over plain HTTP");
    i.date = STR("Sun, 06 Nov 1994 08:49:37 GMT");
    parse_response("HTTP/1.1 404 Nix\r\nContent-Length: 0\r\n\r\n");
    response(i);
    ok(has("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), "a date where there is none");
    parse_response("HTTP/1.1 404 Nix\r\nDate:\r\nContent-Length: 0\r\n\r\n");
    response(i);
    ok(has("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n") && !has("Date: \r\n"), "or an empty one");
    parse_response("HTTP/1.0 404 Nix\r\nDate: then\r\nVia: 1.1 x\r\nContent-Length: 0\r\n\r\n");
    response(i);
    ok(has("Date: then\r\n") && !has("1994"), "the backend's own stays");
    ok(has("Via: 1.1 x\r\nVia: 1.0 pasgate\r\n"),
       "we are the last of those that it went through");
    parse_response("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    is_str(response(i), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "an interim head");
}

static void test_own(void)
{
    struct headers_own_info own = {.status = 503,
                                   .retry_after = 10,
                                   .proxy_error = "connection_refused",
                                   .proxy_detail = "say \"no\"\n"};

    is_str(
        own_response(&own),
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nProxy-Status: pasgate; "
        "error=connection_refused; details=\"say \\\"no\\\"?\"\r\nCache-Control: no-store\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 24\r\n\r\n"
        "503 Service Unavailable\n",
        "an error page, whole");
    own = (struct headers_own_info){.status = 308,
                                    .client_method = HTTP_HEAD,
                                    .location = STR("https://a/b"),
                                    .body = STR("moved\n")};
    keep_alive = false;
    is_str(
        own_response(&own),
        "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://a/b\r\nContent-Type: text/plain; "
        "charset=utf-8\r\nContent-Length: 6\r\nConnection: close\r\n\r\n",
        "a redirect to HEAD");
    keep_alive = true;
    own = (struct headers_own_info){.status = 204, .allow = STR("GET, HEAD")};
    is_str(own_response(&own), "HTTP/1.1 204 No Content\r\nAllow: GET, HEAD\r\n\r\n",
           "204 has no body");

    parse_request("GET /a?b HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    buf[rewrite_https_location(buf, sizeof(buf), &req, req.host, 443)] = '\0';
    is_str(buf, "https://[::1]/a?b", "to https");
    buf[rewrite_https_location(buf, sizeof(buf), &req, req.host, 8443)] = '\0';
    is_str(buf, "https://[::1]:8443/a?b", "to https on another port");
}

/* What a transport of any protocol gets: nothing that belongs to one connection. */
static void test_list(void)
{
    const struct headers_info info = {BACKEND_INFO, .request_id = STR("id")};
    const struct headers_own_info own_info = {.status = 500};
    static const char *const ours[] = {"X-B", "Location", "Via", "X-Request-Id"};
    struct rewrite_out text;
    struct headers_own own;
    struct http_head head;
    char names[128] = "";

    parse_response("HTTP/1.1 200 OK\r\nConnection: X-A, close\r\nX-A: 1\r\nX-B: 2\r\n"
                   "Keep-Alive: x\r\nContent-Length: 3\r\nLocation: /web\r\n\r\n");
    rewrite_out_init(&text, values, sizeof(values));
    ok(headers_response(&head, &res, &info, &text), "a response is decided");
    is_int(head.nfields, sizeof ours / sizeof *ours, "with the fields that are left and ours");
    for (unsigned i = 0; i < head.nfields && i < sizeof ours / sizeof *ours; i++)
        ok(str_eq(head.fields[i].name, str_from(ours[i])), "  %s", ours[i]);
    ok(str_eq(head.fields[1].value, STR("/pas")), "a changed value is in the list");
    ok(head.status == 200 && head.body == HTTP_BODY_LENGTH && head.has_length &&
           head.content_length == 3,
       "status and framing are facts");
    parse_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    rewrite_out_init(&text, values, sizeof(values));
    ok(headers_response(&head, &res, &info, &text) && !head.has_length &&
           head.body == HTTP_BODY_CHUNKED,
       "a length that is not known");
    rewrite_out_init(&text, values, sizeof(values));
    ok(headers_own(&own, &own_info, &text), "so is one of pasgate");
    for (unsigned i = 0; i < own.head.nfields; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%.*s ",
                 STR_ARG(own.head.fields[i].name));
    is_str(names, "Cache-Control Content-Type ", "  with these fields");
    ok(own.head.has_length && own.head.content_length == own.body.n, "  and this length");
}

static void test_bounds(void)
{
    struct rewrite_request_info info = {.path = STR("/"), .peer_ip = STR("192.0.2.7")};
    struct headers_info back = {BACKEND_INFO};
    struct rewrite_out out;
    bool good = true;

    parse_request("GET / HTTP/1.1\r\nHost: a.test\r\nX: y\r\nCookie: a=b\r\n\r\n");
    info.origin = origin_of(info.peer_ip, false);
    rewrite_out_init(&out, buf, sizeof(buf));
    ssize_t n = rewrite_request(&out, &req, &info);
    for (ssize_t cap = 0; cap < n; cap++) {
        memset(buf, '#', sizeof(buf));
        rewrite_out_init(&out, buf, (size_t)cap);
        good &= rewrite_request(&out, &req, &info) == -1 && buf[cap] == '#';
    }
    ok(good && n > 0, "a request in every bound that is too small");
    parse_response("HTTP/1.1 200 OK\r\nLocation: /web/x\r\nSet-Cookie: a=b; Path=/web\r\n\r\n");
    rewrite_out_init(&out, buf, sizeof(buf));
    n = write_response(&out, &back, sizeof(values));
    for (ssize_t cap = 0; cap < n; cap++) {
        memset(buf, '#', sizeof(buf));
        rewrite_out_init(&out, buf, (size_t)cap);
        good &= write_response(&out, &back, sizeof(values)) == -1 && buf[cap] == '#';
    }
    ok(good && n > 0, "a response in every bound that is too small");
    for (size_t cap = 0; cap < strlen("/pas/x"
                                      "a=b; Path=/pas");
         cap++) {
        memset(values, '#', sizeof(values));
        rewrite_out_init(&out, buf, sizeof(buf));
        good &= write_response(&out, &back, cap) == -1 && values[cap] == '#';
    }
    ok(good, "changed values in every bound that is too small");
}

int main(void)
{
    test_request();
    test_raw();
    test_trusted();
    parse_request("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    test_location();
    test_cookie();
    test_tags();
    test_cuts();
    test_response();
    test_own();
    test_list();
    test_bounds();
    return done();
}
