/* A transport that is not HTTP/1.1: several exchanges at a time over one connection, as frames
 * of text, between the worker's own code and scripted backends. It knows core/transport.h and
 * http/http.h, no text of HTTP/1.1. What it can do another protocol can do, too. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/container.h"
#include "t/unit/script/script.h"
#include "t/unit/tap.h"

enum { PIECE = 5 /* bytes of a frame */ };

/* One exchange of the connection. What it gets is kept as text, a line for each frame:
 *   H200 10 name=value; ...   final head, with the length of its body if that is stated
 *   I103 name=value; ...      interim one
 *   D12345                    up to PIECE bytes
 *   T name=value; ...         trailers
 *   .  or  !                  the end; an end that is no whole response */
struct frames {
    struct transport transport;
    struct http_request *request; /* freed at the end, with all that it points to */
    char text[1024];
    bool asked; /* for more of the body */
    int takes;  /* as in struct transport_ops */
    size_t longest;
};

static const struct conf_listen listens = {.address = "127.0.0.1", .port = 443};
static struct peer peer; /* of the connection */

/* ---- frames to the client */

static struct frames *frames_of(struct transport *t)
{
    return container_of(t, struct frames, transport);
}

static void add(struct frames *s, struct str bytes)
{
    size_t n = strlen(s->text);

    CHECK(n + bytes.n < sizeof s->text);
    memcpy(s->text + n, bytes.p, bytes.n);
    s->text[n + bytes.n] = '\0';
}

/* Names are in lower case, as in HTTP/2. */
static void add_fields(struct frames *s, const struct http_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char name[64] = "";

        CHECK(fields[i].name.n < sizeof name);
        for (size_t k = 0; k < fields[i].name.n; k++)
            name[k] = (char)tolower((unsigned char)fields[i].name.p[k]);
        add(s, STR(" "));
        add(s, str_from(name));
        add(s, STR("="));
        if (fields[i].value.n)
            add(s, fields[i].value);
        add(s, STR(";"));
    }
    add(s, STR("\n"));
}

static void add_head(struct frames *s, char type, const struct http_head *head)
{
    char line[64];
    int n = sprintf(line, "%c%u", type, head->status);

    if (head->has_length)
        sprintf(line + n, " %llu", (unsigned long long)head->content_length);
    add(s, str_from(line));
    add_fields(s, head->fields, head->nfields);
}

static int add_data(struct frames *s, struct str data, bool last)
{
    if (s->takes < 0)
        return -1;
    if (data.n > s->longest)
        s->longest = data.n;
    if (data.n) {
        add(s, STR("D"));
        add(s, data);
        add(s, STR("\n"));
    }
    if (last && s->transport.ntrailers) {
        add(s, STR("T"));
        add_fields(s, s->transport.trailers, s->transport.ntrailers);
    }
    return s->takes;
}

static int frames_respond(struct transport *t, const struct http_head *head, char *data,
                          size_t n, bool last)
{
    struct frames *s = frames_of(t);

    if (s->takes >= 0)
        add_head(s, 'H', head);
    return add_data(s, str_make(data, n), last);
}

static int frames_body(struct transport *t, char *data, size_t n, bool last)
{
    return add_data(frames_of(t), str_make(data, n), last);
}

static int frames_interim(struct transport *t, const struct http_head *head)
{
    struct frames *s = frames_of(t);

    add_head(s, 'I', head);
    return s->takes;
}

static int frames_own(struct transport *t, const struct http_head *head, struct str body)
{
    struct frames *s = frames_of(t);

    add_head(s, 'H', head);
    script_own_errors += head->status >= 500;
    while (body.n) {
        struct str piece = str_head(body, PIECE);

        add_data(s, piece, false);
        body = str_skip(body, piece.n);
    }
    return s->takes;
}

static void frames_want_body(struct transport *t)
{
    frames_of(t)->asked = true;
}

static void frames_finish(struct transport *t, bool whole)
{
    struct frames *s = frames_of(t);

    add(s, whole ? STR(".") : STR("!"));
    t->exchange = NULL;
    t->request = NULL;
    free(s->request);
    s->request = NULL;
}

static const struct transport_ops ops = {
    .piece = PIECE,
    .respond = frames_respond,
    .body = frames_body,
    .interim = frames_interim,
    .own = frames_own,
    .want_body = frames_want_body,
    .finish = frames_finish,
};

/* ---- frames from the client */

/* A request and the memory that it points to. */
struct received {
    struct http_request request;
    char method[16], path[64], fields[256];
};

/* "name=value;name=value;" */
static void take_fields(struct received *in)
{
    struct http_request *r = &in->request;

    for (char *at = in->fields; *at; r->nfields++) {
        char *equals = strchr(at, '='), *end = strchr(at, ';');
        struct http_field *f = &r->fields[r->nfields];

        f->name = str_span(at, equals);
        f->value = str_span(equals + 1, end);
        f->id = (uint8_t)http_field_lookup(f->name);
        at = end + 1;
    }
}

/* length: of its body; -1: none, -2: not known. */
static void ask_with(struct frames *s, const char *method, const char *path, long length,
                     const char *fields)
{
    struct received *in = calloc(1, sizeof *in);
    struct http_request *r = &in->request;

    CHECK(in);
    snprintf(in->method, sizeof in->method, "%s", method);
    snprintf(in->path, sizeof in->path, "%s", path);
    snprintf(in->fields, sizeof in->fields, "%s", fields);
    r->method_name = str_from(in->method);
    r->method = (uint8_t)http_method_lookup(r->method_name);
    r->target = str_from(in->path);
    r->path = str_head(r->target, str_index(r->target, '?'));
    r->query = str_skip(r->target, r->path.n);
    r->scheme = STR("https");
    r->authority = r->host = STR("shop.test");
    r->version_major = 2;
    r->form = HTTP_TARGET_ORIGIN;
    r->body = length >= 0    ? HTTP_BODY_LENGTH
              : length == -1 ? HTTP_BODY_NONE
                             : HTTP_BODY_CHUNKED;
    r->content_length = length > 0 ? (uint64_t)length : 0;
    if (str_eq(r->method_name, STR("CONNECT"))) { /* RFC 8441 */
        r->method_name = STR("GET");
        r->method = HTTP_GET;
        r->upgrade = STR("websocket");
        r->upgrade_websocket = true;
    }
    take_fields(in);
    *s = (struct frames){.request = r, .takes = s->takes};
    s->transport.ops = &ops;
    s->transport.peer = &peer;
    s->transport.request = r;
    s->transport.begin_us = script_worker.loop.now_us;
    peer.requests++;
    CHECK(exchange_requests.create(&script_worker, &s->transport));
    exchange_requests.begin(s->transport.exchange, NULL, 0, length == -1 || length == 0);
}

static void ask(struct frames *s, const char *path, const char *fields)
{
    ask_with(s, "GET", path, -1, fields);
}

/* The next bytes of its body, which it was asked for. */
static void give(struct frames *s, const char *bytes, bool last)
{
    char *to = worker_body(&script_worker);

    CHECK(s->transport.exchange && s->asked);
    s->asked = false;
    memcpy(to, bytes, strlen(bytes));
    exchange_requests.body(s->transport.exchange, to, strlen(bytes), last);
    script_run();
}

static void begin(uint32_t backends)
{
    script_defaults();
    script_start(backends);
    peer = (struct peer){.listen = &listens};
    peer.address.v4 =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    peer.ip_len = (uint8_t)snprintf(peer.ip, sizeof peer.ip, "127.0.0.1");
}

static void cut_out(char *from, const char *to)
{
    memmove(from, to, strlen(to) + 1);
}

/* The text without the id of the exchange, which is another one each time; the data of frames
 * that follow each other is joined, because it comes as the backend's bytes were read. */
static const char *got(const struct frames *s)
{
    static char text[sizeof s->text];
    char *at;

    strcpy(text, s->text);
    while ((at = strstr(text, " x-request-id=")) != NULL)
        cut_out(at, strchr(at, ';') + 1);
    for (at = text; (at = strstr(at, "\nD")) != NULL;) {
        char *next = strchr(at + 1, '\n');

        if (next && next[1] == 'D')
            cut_out(next, next + 2);
        else
            at++;
    }
    return text;
}

static bool sent(const char *line)
{
    return strstr(script_backend[0].last, line) != NULL;
}

/* ---- tests */

static struct frames one, two;

static void test_response(void)
{
    begin(1);
    script_backend[0].does = BACKEND_SAYS;
    script_backend[0].says = "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\n"
                             "Keep-Alive: timeout=9\r\nX-End: 2\r\nContent-Length: 12\r\n\r\n"
                             "abcdefghijkl";
    ask(&one, "/a?b", "accept=*/*;cookie=a=1;cookie=b=2;");
    script_run();
    is_str(got(&one), "H200 12 x-end=2; via=1.1 pasgate;\nDabcdefghijkl\n.",
           "a response: its fields, its length, its body");
    is_int(one.longest, PIECE, "no piece is larger than the transport states");
    ok(sent("GET /a?b HTTP/1.1\r\nHost: shop.test\r\n"), "the backend gets HTTP/1.1");
    ok(sent("Via: 2.0 pasgate\r\n"), "  it is told what the client speaks");
    ok(sent("Cookie: a=1; b=2\r\n"), "  and gets the cookies in one field");
    is_str(script_log_field("version"), "HTTP/2.0", "so does the log");
    script_end("a response");

    begin(1);
    script_backend[0].does = BACKEND_SAYS;
    script_backend[0].says = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "2\r\nbo\r\n2\r\ndy\r\n0\r\nX-Sum: 1\r\nHost: x\r\n\r\n";
    ask(&one, "/a", "te=trailers;");
    script_run();
    is_str(got(&one), "H200 via=1.1 pasgate;\nDbody\nT x-sum=1;\n.",
           "chunks are no matter of the client's; trailers are fields");
    ok(!sent("\r\nTE:") && !sent("\r\nte:"), "  TE ends here");
    script_end("trailers");
}

static void test_interim(void)
{
    begin(1);
    script_backend[0].does = BACKEND_WAITS;
    ask(&one, "/a", "");
    script_run();
    script_say(0, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    script_run();
    is_str(got(&one), "I103 link=</a.css>;\n", "an interim response comes at once");
    script_say(0, "HTTP/1.1 204 No\r\n\r\n");
    script_run();
    is_str(got(&one), "I103 link=</a.css>;\nH204 via=1.1 pasgate;\n.", "then the final one");
    script_end("an interim response");
}

static void test_own(void)
{
    begin(1);
    script_refuse(0);
    ask(&one, "/a", "");
    script_run();
    is_str(got(&one),
           "H502 16 proxy-status=pasgate; error=connection_refused; "
           "details=\"Connection refused\"; cache-control=no-store; "
           "content-type=text/plain; charset=utf-8;\nD502 Bad Gateway\n\n.",
           "a response of pasgate: its fields, its body, nothing of the connection");
    is_int(one.longest, PIECE, "  in pieces");
    script_end("a response of pasgate");

    begin(1);
    ask_with(&one, "HEAD", "/../a", -1, "");
    script_run();
    is_str(got(&one),
           "H400 16 cache-control=no-store; content-type=text/plain; charset=utf-8;\n.",
           "  to HEAD without its body");
    script_end("to HEAD");
}

static void test_body(void)
{
    begin(1);
    ask_with(&one, "POST", "/a", -2, "");
    script_run();
    is_str(got(&one), "", "a body of unknown length");
    give(&one, "abc", false);
    give(&one, "def", true);
    is_str(got(&one), "H200 4 via=1.1 pasgate;\nDpas1\n.", "  is collected");
    ok(sent("Transfer-Encoding: chunked\r\n") && sent("\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n"),
       "  and goes to the backend in chunks");
    ask_with(&one, "POST", "/a", 6, "");
    give(&one, "abcdef", true);
    ok(sent("Content-Length: 6\r\n") && sent("\r\n\r\nabcdef"), "one with its length");
    script_end("bodies");
}

/* Two at a time over one connection; what happens to one is no matter of the other. */
static void test_several(void)
{
    begin(1);
    script_backend[0].does = BACKEND_WAITS;
    ask(&one, "/one", "");
    script_run();
    script_say(0, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    script_run();
    ask(&two, "/two", "");
    script_run();
    script_say(0, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
    script_run();
    is_str(got(&two), "H200 4 via=1.1 pasgate;\nDbody\n.", "the second is served first");
    is_int(script_in_flight(0), 1, "  the first one goes on");
    ask(&two, "/three", "");
    script_run();
    exchange_requests.abort(one.transport.exchange, 0, "the client went away");
    script_run();
    is_str(got(&one), "H200 9 via=1.1 pasgate;\nDhalf\n!", "the client resets it: cut");
    is_str(script_log_field("end"), "client", "  as the log tells");
    is_int(script_in_flight(0), 1, "  the other one stays");
    script_say(0, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
    script_run();
    is_str(got(&two), "H200 4 via=1.1 pasgate;\nDbody\n.", "  and gets its response");
    script_end("several at a time");
}

static void test_gone(void)
{
    begin(1);
    script_backend[0].does = BACKEND_WAITS;
    ask(&one, "/a", "");
    ask_with(&two, "POST", "/b", 6, "");
    script_run();
    exchange_requests.abort(one.transport.exchange, 0, "the client went away");
    exchange_requests.abort(two.transport.exchange, 0, "the client went away");
    is_str(got(&one), "!", "a client that goes away before the response");
    is_str(got(&two), "!", "  and in the middle of its body");
    script_run();
    is_int(script_open(0), 0, "  nothing stays open");
    script_end("a client that goes away");

    begin(1);
    script_backend[0].does = BACKEND_WAITS;
    ask(&one, "/a", "");
    script_run();
    one.takes = -1;
    script_say(0, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
    script_run();
    is_str(got(&one), "!", "it is gone when the response comes");
    one.takes = 0;
    script_end("a client that is gone");
}

static void test_slow_reader(void)
{
    begin(1);
    script_backend[0].does = BACKEND_WAITS;
    ask(&one, "/one", "");
    script_run();
    one.takes = 1;
    script_say(0, "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nabcdefghijkl");
    script_run();
    ok(!strchr(got(&one), 'l'), "one that takes no more for now");
    ask(&two, "/two", "");
    script_run();
    script_say(0, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
    script_run();
    is_str(got(&two), "H200 4 via=1.1 pasgate;\nDbody\n.", "  does not block the other one");
    one.takes = 0;
    exchange_requests.writable(one.transport.exchange, true);
    script_run();
    is_str(got(&one), "H200 12 via=1.1 pasgate;\nDabcdefghijkl\n.", "  and gets its rest");
    script_end("a slow reader");

    begin(1);
    script_backend[0].does = BACKEND_WAITS;
    ask(&one, "/one", "");
    script_run();
    one.takes = 2;
    script_say(0, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
    script_run();
    is_int(script_in_flight(0), 0, "what is kept for it holds no slot");
    ok(one.transport.exchange != NULL, "  but is not over");
    one.takes = 0;
    exchange_requests.writable(one.transport.exchange, true);
    is_str(got(&one), "H200 4 via=1.1 pasgate;\nDbody\n.", "  before the client has it");
    script_end("a response that is kept");
}

static void test_tunnel(void)
{
    begin(1);
    script_backend[0].does = BACKEND_WAITS;
    ask_with(&one, "CONNECT", "/ws", -1, "");
    script_run();
    ok(sent("GET /ws HTTP/1.1\r\n") && sent("Connection: Upgrade\r\nUpgrade: websocket\r\n"),
       "a tunnel");
    script_say(0, "HTTP/1.1 101 Now\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
    script_run();
    give(&one, "there", false);
    script_say(0, "again");
    script_run();
    is_str(got(&one), "H101\nDhiagain\n", "  to the client");
    exchange_requests.tunnel_ended(one.transport.exchange);
    script_run(); /* the backend ends it, too */
    ok(!one.transport.exchange && one.text[strlen(one.text) - 1] == '.', "  and its end");
    script_end("a tunnel");
}

int main(void)
{
    test_response();
    test_interim();
    test_own();
    test_body();
    test_several();
    test_gone();
    test_slow_reader();
    test_tunnel();
    return done();
}
