/* The head of an HTTP/2 request as HTTP/1.1 text: what becomes of it, and what is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/unit/tap.h"
#include "worker/http/h1.h"
#include "worker/http/h2_head.h"

static char text[64 * 1024], side[64 * 1024];
static struct h2_head head;

struct pair {
    struct str name, value;
};

#define P(n, v)                  \
    {                            \
        STR_INIT(n), STR_INIT(v) \
    }
#define END         \
    {               \
        {NULL, 0},  \
        {           \
            NULL, 0 \
        }           \
    }

/* The text; "": refused. */
static const char *make(const struct pair *fields)
{
    size_t n;

    h2_head_init(&head, text, sizeof text - 1, side, sizeof side);
    head.key = STR("AAAAAAAAAAAAAAAAAAAAAA==");
    for (; fields->name.p; fields++)
        h2_head_field(&head, fields->name, fields->value);
    n = h2_head_end(&head);
    text[n] = '\0';
    return text;
}

#define GET P(":method", "GET"), P(":scheme", "https"), P(":path", "/a?b")

static void test_good(void)
{
    static const struct pair get[] = {GET, P(":authority", "h:1"), P("accept", "*/*"), END};
    static const struct pair order[] = {P(":path", "/"), P(":authority", "h"),
                                        P(":scheme", "http"), P(":method", "PUT"), END};
    static const struct pair crumbs[] = {GET,         P(":authority", "h"), P("cookie", "a=1"),
                                         P("x", "y"), P("cookie", "b=2"),   P("cookie", ""),
                                         END};
    static const struct pair host[] = {GET, P("host", "h"), END};
    static const struct pair same[] = {GET, P(":authority", "h"), P("host", "H"), END};
    static const struct pair star[] = {P(":method", "OPTIONS"), P(":scheme", "https"),
                                       P(":path", "*"), P(":authority", "h"), END};
    static const struct pair socket[] = {P(":method", "CONNECT"),
                                         P(":protocol", "websocket"),
                                         P(":scheme", "https"),
                                         P(":path", "/chat"),
                                         P(":authority", "h"),
                                         P("sec-websocket-key", "theirs"),
                                         P("sec-websocket-version", "13"),
                                         END};
    static const struct pair te[] = {GET, P(":authority", "h"), P("te", "trailers"), END};

    is_str(make(get), "GET /a?b HTTP/1.1\r\nhost: h:1\r\naccept: */*\r\n\r\n", "a request");
    is_str(make(order), "PUT / HTTP/1.1\r\nhost: h\r\n\r\n", "in any order");
    is_str(make(crumbs), "GET /a?b HTTP/1.1\r\nhost: h\r\nx: y\r\ncookie: a=1; b=2\r\n\r\n",
           "crumbs are joined");
    is_str(make(host), "GET /a?b HTTP/1.1\r\nhost: h\r\n\r\n", "Host without :authority");
    is_str(make(same), "GET /a?b HTTP/1.1\r\nhost: h\r\n\r\n", "Host like :authority");
    is_str(make(star), "OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n", "OPTIONS *");
    is_str(make(te), "GET /a?b HTTP/1.1\r\nhost: h\r\nte: trailers\r\n\r\n", "TE: trailers");
    is_str(make(socket),
           "GET /chat HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
           "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n",
           "an extended CONNECT is a GET with Upgrade");
}

#define A P(":authority", "h")

static void test_malformed(void)
{
    static const struct {
        const char *what;
        struct pair fields[8];
    } cases[] = {
        {"no :method", {P(":scheme", "https"), P(":path", "/"), A, END}},
        {"no :scheme", {P(":method", "GET"), P(":path", "/"), A, END}},
        {"no :path", {P(":method", "GET"), P(":scheme", "https"), A, END}},
        {"nothing", {END}},
        {"empty :path", {P(":method", "GET"), P(":scheme", "https"), P(":path", ""), A, END}},
        {"an absolute :path",
         {P(":method", "GET"), P(":scheme", "https"), P(":path", "http://x/"), A, END}},
        {"* for GET", {P(":method", "GET"), P(":scheme", "https"), P(":path", "*"), A, END}},
        {"another scheme", {P(":method", "GET"), P(":scheme", "ftp"), P(":path", "/"), A, END}},
        {"a scheme in capitals",
         {P(":method", "GET"), P(":scheme", "HTTPS"), P(":path", "/"), A, END}},
        {"empty :method", {P(":method", ""), P(":scheme", "https"), P(":path", "/"), A, END}},
        {"a method with a space",
         {P(":method", "GET /x HTTP/1.1"), P(":scheme", "https"), P(":path", "/"), A, END}},
        {":path twice", {GET, P(":path", "/c"), A, END}},
        {":authority twice", {GET, A, A, END}},
        {"an unknown pseudo-header", {GET, A, P(":status", "200"), END}},
        {"a late pseudo-header", {GET, P("x", "y"), A, END}},
        {"CR LF in :path",
         {P(":method", "GET"), P(":scheme", "https"), P(":path", "/ HTTP/1.1\r\nx: y"), A,
          END}},
        {"CR LF in a value", {GET, A, P("x", "a\r\nb: c"), END}},
        {"LF in a value", {GET, A, P("x", "a\nb"), END}},
        {"NUL in a value", {GET, A, P("x", "a\0b"), END}},
        {"a space before a value", {GET, A, P("x", " a"), END}},
        {"a tab behind a value", {GET, A, P("x", "a\t"), END}},
        {"a name in capitals", {GET, A, P("X-a", "b"), END}},
        {"an empty name", {GET, A, P("", "b"), END}},
        {"a colon in a name", {GET, A, P("x:y", "b"), END}},
        {"a space in a name", {GET, A, P("x y", "b"), END}},
        {"CR LF in a name", {GET, A, P("x: y\r\nz", "b"), END}},
        {"connection", {GET, A, P("connection", "close"), END}},
        {"keep-alive", {GET, A, P("keep-alive", "1"), END}},
        {"proxy-connection", {GET, A, P("proxy-connection", "close"), END}},
        {"transfer-encoding", {GET, A, P("transfer-encoding", "chunked"), END}},
        {"upgrade", {GET, A, P("upgrade", "websocket"), END}},
        {"another TE", {GET, A, P("te", "gzip"), END}},
        {"TE with more", {GET, A, P("te", "trailers, gzip"), END}},
        {"another Host", {GET, A, P("host", "g"), END}},
        {"CONNECT with :path", {P(":method", "CONNECT"), P(":path", "/"), A, END}},
        {":protocol without CONNECT", {GET, A, P(":protocol", "websocket"), END}},
        {"extended CONNECT without :path",
         {P(":method", "CONNECT"), P(":protocol", "websocket"), P(":scheme", "https"), A, END}},
        {"extended CONNECT without :authority",
         {P(":method", "CONNECT"), P(":protocol", "websocket"), P(":scheme", "https"),
          P(":path", "/"), END}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = make(cases[i].fields);

        ok(got[0] == '\0' && head.broken && !head.over, "malformed: %s", cases[i].what);
    }
}

/* What the parser refuses is left to it. */
static int parsed(void)
{
    static struct http_request request;
    struct h1_scan scan = {0};
    const struct h1_request_policy policy = {.is_tls = true};

    return (int)h1_request_parse(&request, text, head.n, &scan, &http_limits_default, &policy);
}

static void test_parser(void)
{
    static const struct pair no_host[] = {GET, END};
    static const struct pair bad_host[] = {GET, P(":authority", "u@h"), END};
    static const struct pair two[] = {GET, P("host", "h"), P("host", "h"), END};
    static const struct pair lengths[] = {GET, A, P("content-length", "1"),
                                          P("content-length", "2"), END};
    static const struct pair connect[] = {P(":method", "CONNECT"), P(":authority", "h:1"), END};
    static const struct pair other[] = {P(":method", "CONNECT"),
                                        P(":protocol", "connect-udp"),
                                        P(":scheme", "https"),
                                        P(":path", "/x"),
                                        A,
                                        END};
    static const struct pair space[] = {P(":method", "GET"), P(":scheme", "https"),
                                        P(":path", "/a b"), A, END};
    static const struct pair bell[] = {GET, A, P("x", "a\bb"), END};

    make(no_host);
    is_int(parsed(), -H1_E_HOST_MISSING, "no host at all");
    make(bad_host);
    is_int(parsed(), -H1_E_HOST_INVALID, "a host with a user");
    make(two);
    is_int(parsed(), -H1_E_HOST_TWICE, "Host twice");
    make(lengths);
    is_int(parsed(), -H1_E_LENGTH_TWICE, "two lengths");
    make(connect);
    is_int(h1_error_info(parsed())->status, 405, "CONNECT");
    make(other);
    is_int(h1_error_info(parsed())->status, 405, "another :protocol");
    make(space);
    is_int(h1_error_info(parsed())->status, 400, "a space in :path");
    make(bell);
    is_int(h1_error_info(parsed())->status, 400, "a control byte in a value");
}

static void test_limits(void)
{
    static const struct pair start[] = {GET, A, END};
    static char large[40 * 1024];

    make(start);
    h2_head_init(&head, text, 4096, side, sizeof side);
    for (const struct pair *p = start; p->name.p; p++)
        h2_head_field(&head, p->name, p->value);
    for (int i = 0; i < H2_HEAD_FIELDS; i++)
        h2_head_field(&head, STR("cookie"), STR("a=b"));
    is_int((long)h2_head_end(&head), 0, "too many crumbs");
    ok(head.over && !head.broken, "are too large, not malformed");
    is_int((long)head.decoded,
           (long)((6 + 3 + H2_HEAD_ENTRY) * H2_HEAD_FIELDS + 7 + 3 + 7 + 5 + 5 + 4 + 10 + 1 +
                  4 * H2_HEAD_ENTRY),
           "all of them count");

    memset(large, 'x', sizeof large);
    h2_head_init(&head, text, 4096, side, sizeof side);
    for (const struct pair *p = start; p->name.p; p++)
        h2_head_field(&head, p->name, p->value);
    h2_head_field(&head, STR("x"), str_make(large, 4096));
    is_int((long)h2_head_end(&head), 0, "a head over its limit");
    ok(head.over, "is too large");

    h2_head_init(&head, text, sizeof text, side, 100);
    h2_head_field(&head, STR(":path"), str_make(large, 101));
    h2_head_end(&head);
    ok(head.over, "a pseudo-header over the memory is too large");
}

/* Every byte, at each place: either refused, or the text has as many lines as fields. */
static void test_bytes(void)
{
    int bad = 0;

    for (int place = 0; place < 5; place++) {
        for (int byte = 0; byte < 256; byte++) {
            char s[4] = {'a', (char)byte, 'b', 0};
            struct str odd = str_make(s, 3);
            struct pair f[] = {P(":method", "GET"), P(":scheme", "https"),
                               P(":path", "/"),     A,
                               P("x", "y"),         END};
            char path[5] = {'/', 'a', (char)byte, 'b', 0};
            int lines = 0;

            if (place == 0)
                f[0].value = odd;
            else if (place == 1)
                f[2].value = str_make(path, 4);
            else if (place == 2)
                f[3].value = odd;
            else if (place == 3)
                f[4].name = odd;
            else
                f[4].value = odd;
            make(f);
            for (size_t i = 0; i < head.n && !head.broken; i++)
                lines += text[i] == '\n';
            bad += !head.broken && lines != 4;
        }
    }
    is_int(bad, 0, "no byte makes a line of its own");
}

int main(void)
{
    test_good();
    test_malformed();
    test_parser();
    test_limits();
    test_bytes();
    return done();
}
