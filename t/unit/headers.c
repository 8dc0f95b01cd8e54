/* The head that a client gets: what is taken out, what is added, what is pasgate's own. */
#include "worker/http/headers.h"
#include "t/unit/heads.h"

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
}

/* What a transport of any protocol gets: nothing that belongs to one connection. */
static void test_list(void)
{
    const struct headers_info info = {BACKEND_INFO, .request_id = STR("id")};
    const struct headers_own_info own_info = {.status = 500};
    static const char *const ours[] = {"X-B", "Location", "Via", "X-Request-Id"};
    struct text_out text;
    struct headers_own own;
    struct http_head head;
    char names[128] = "";

    parse_response("HTTP/1.1 200 OK\r\nConnection: X-A, close\r\nX-A: 1\r\nX-B: 2\r\n"
                   "Keep-Alive: x\r\nContent-Length: 3\r\nLocation: /web\r\n\r\n");
    text_out_init(&text, values, sizeof(values));
    ok(headers_response(&head, &res, &info, &text), "a response is decided");
    is_int(head.nfields, sizeof ours / sizeof *ours, "with the fields that are left and ours");
    for (unsigned i = 0; i < head.nfields && i < sizeof ours / sizeof *ours; i++)
        ok(str_eq(head.fields[i].name, str_from(ours[i])), "  %s", ours[i]);
    ok(str_eq(head.fields[1].value, STR("/pas")), "a changed value is in the list");
    ok(head.status == 200 && head.body == HTTP_BODY_LENGTH && head.has_length &&
           head.content_length == 3,
       "status and framing are facts");
    parse_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    text_out_init(&text, values, sizeof(values));
    ok(headers_response(&head, &res, &info, &text) && !head.has_length &&
           head.body == HTTP_BODY_CHUNKED,
       "a length that is not known");
    text_out_init(&text, values, sizeof(values));
    ok(headers_own(&own, &own_info, &text), "so is one of pasgate");
    for (unsigned i = 0; i < own.head.nfields; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%.*s ",
                 STR_ARG(own.head.fields[i].name));
    is_str(names, "Cache-Control Content-Type ", "  with these fields");
    ok(own.head.has_length && own.head.content_length == own.body.n, "  and this length");
}

static void test_bounds(void)
{
    struct headers_info back = {BACKEND_INFO};
    struct text_out out;
    bool good = true;
    ssize_t n;

    parse_response("HTTP/1.1 200 OK\r\nLocation: /web/x\r\nSet-Cookie: a=b; Path=/web\r\n\r\n");
    text_out_init(&out, buf, sizeof(buf));
    n = write_response(&out, &back, sizeof(values));
    for (ssize_t cap = 0; cap < n; cap++) {
        memset(buf, '#', sizeof(buf));
        text_out_init(&out, buf, (size_t)cap);
        good &= write_response(&out, &back, sizeof(values)) == -1 && buf[cap] == '#';
    }
    ok(good && n > 0, "a response in every bound that is too small");
    for (size_t cap = 0; cap < strlen("/pas/x"
                                      "a=b; Path=/pas");
         cap++) {
        memset(values, '#', sizeof(values));
        text_out_init(&out, buf, sizeof(buf));
        good &= write_response(&out, &back, cap) == -1 && values[cap] == '#';
    }
    ok(good, "changed values in every bound that is too small");
}

int main(void)
{
    test_response();
    test_own();
    test_list();
    test_bounds();
    return done();
}
