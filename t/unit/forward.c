/* The head that a backend gets, and where a redirect leads. */
#include "worker/http/forward.h"
#include "t/unit/heads.h"
#include "worker/http/redirect.h"

#define ORIGIN                                                                               \
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.test\r\n" \
    "X-Forwarded-Port: 443\r\nForwarded: for=192.0.2.7;host=\"a.test\";proto=https\r\n"      \
    "X-Request-Id: our-id\r\nVia: 1.1 pasgate\r\n"

static void test_request(void)
{
    const struct forward_info plain = {0};

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
    is_str(request((struct forward_info){.close = true, .host = STR("other:1")}),
           "POST /web/x HTTP/1.1\r\nHost: other:1\r\n" ORIGIN
           "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
           "chunked, close and a configured Host");
    parse_request(
        "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: a=1\r\nX: y\r\nCookie: b=2\r\n\r\n");
    request(plain);
    ok(has("Cookie: a=1; b=2\r\n") && has("X: y\r\n"), "cookies in one line");
    parse_request("GET / HTTP/1.0\r\n\r\n");
    request((struct forward_info){.fallback_host = STR("pas1:8810")});
    ok(has("Host: pas1:8810\r\n") && !has("X-Forwarded-Host") && !has("host="),
       "no Host: the backend's, and none is claimed");
    parse_request("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    request((struct forward_info){.peer_ip = STR("2001:db8::1")});
    ok(has("X-Forwarded-For: 2001:db8::1\r\n") && has("Forwarded: for=\"[2001:db8::1]\";host="),
       "IPv6 is quoted in Forwarded only");
}

static void test_raw(void)
{
    const struct forward_info plain = {0};
    static const struct h1_request_policy policy = {.raw_targets = true};
    static const char text[] = "GET /a{?q={b|\xc3\xa9}[] HTTP/1.1\r\nHost: a.test\r\n\r\n";
    struct h1_scan scan = {0};

    ok(h1_request_parse(&req, text, sizeof(text) - 1, &scan, &http_limits_default, &policy) > 0,
       "raw bytes in a target");
    request(plain);
    ok(has("GET /web/x?q=%7Bb%7C%C3%A9%7D%5B%5D HTTP/1.1\r\n"), "leave it encoded");
    buf[redirect_location(buf, sizeof(buf), &req, req.host, 443)] = '\0';
    is_str(buf, "https://a.test/a%7B?q=%7Bb%7C%C3%A9%7D%5B%5D", "in a redirect too");
}

static void test_trusted(void)
{
    parse_request(
        "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 1.1.1.1\r\n"
        "x-forwarded-for: 2.2.2.2\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\n"
        "X-Forwarded-Host: b.test\r\nX-Forwarded-Prefix: /p\r\nX-Real-IP: 1.1.1.1\r\n"
        "Forwarded: for=1.1.1.1\r\nX-Request-Id: theirs\r\n\r\n");
    request((struct forward_info){.peer_trusted = true});
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
    request((struct forward_info){.peer_trusted = true});
    ok(has("X-Forwarded-For: 1.1.1.1, 192.0.2.7\r\n") && has("Forwarded: for=1.1.1.1;") &&
           has("X-Real-IP: 1.1.1.1\r\n"),
       "X-Real-IP alone: all say it");
    parse_request("GET / HTTP/1.1\r\nHost: a.test\r\nForwarded: for=\"[2001:db8::9]:4711\""
                  ";proto=http;host=c.test;by=_x\r\nForwarded: for=_hidden, for=192.0.2.8"
                  "\r\n\r\n");
    request((struct forward_info){.peer_trusted = true});
    ok(has("X-Forwarded-For: 2001:db8::9, unknown, 192.0.2.8, 192.0.2.7\r\n"),
       "Forwarded becomes X-Forwarded-For");
    ok(has("Forwarded: for=\"[2001:db8::9]:4711\";proto=http;host=c.test;by=_x, for=_hidden, "
           "for=192.0.2.8, for=192.0.2.7\r\n"),
       "and is appended to");
    request((struct forward_info){0});
    ok(!has("1.1.1.1") && !has("2.2.2.2") && !has("b.test") && !has("theirs") && !has("Prefix"),
       "nothing of it from anybody else");
}

/* The Cookie line of a request without the parts that are "cut". */
static const char *uncut(const char *fields)
{
    static char text[512], line[256];
    struct forward_info info = {0};
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

static void test_redirect(void)
{
    parse_request("GET /a?b HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    buf[redirect_location(buf, sizeof(buf), &req, req.host, 443)] = '\0';
    is_str(buf, "https://[::1]/a?b", "to https");
    buf[redirect_location(buf, sizeof(buf), &req, req.host, 8443)] = '\0';
    is_str(buf, "https://[::1]:8443/a?b", "to https on another port");
}

static void test_bounds(void)
{
    struct forward_info info = {.path = STR("/"), .peer_ip = STR("192.0.2.7")};
    struct text_out out;
    bool good = true;

    parse_request("GET / HTTP/1.1\r\nHost: a.test\r\nX: y\r\nCookie: a=b\r\n\r\n");
    info.origin = origin_of(info.peer_ip, false);
    text_out_init(&out, buf, sizeof(buf));
    ssize_t n = forward_request(&out, &req, &info);
    for (ssize_t cap = 0; cap < n; cap++) {
        memset(buf, '#', sizeof(buf));
        text_out_init(&out, buf, (size_t)cap);
        good &= forward_request(&out, &req, &info) == -1 && buf[cap] == '#';
    }
    ok(good && n > 0, "a request in every bound that is too small");
}

int main(void)
{
    test_request();
    test_raw();
    test_trusted();
    test_cuts();
    test_redirect();
    test_bounds();
    return done();
}
