/*
 * What a peer can send costs time in proportion to its length and no more. Each shape is made
 * eight times as long: a linear step takes eight times as long then, a quadratic one 64 times.
 * The bound lies between, so that neither a busy machine nor valgrind decides.
 */
#include <stdlib.h>
#include <time.h>

#include "base/conf/conf.h"
#include "t/unit/tap.h"
#include "worker/http/affinity.h"
#include "worker/http/forward.h"
#include "worker/http/h1.h"
#include "worker/http/h1_write.h"
#include "worker/http/headers.h"
#include "worker/http/origin.h"
#include "worker/http/route.h"
#include "worker/http/uri.h"

enum {
    SMALL = 6 * 1024,
    FACTOR = 8,
    BOUND = 24, /* times; the geometric mean of 8 and 64 is 23 */
    TRIES = 7,  /* the fastest counts */
    OUT = 1024 * 1024,
    BYTES_PER_FIELD = 512, /* 96 fields in the end */
};

static const struct http_limits wide = {.target = SMALL * FACTOR * 2,
                                        .field = SMALL * FACTOR * 2,
                                        .head = SMALL * FACTOR * 4,
                                        .fields = HTTP_FIELDS_LIMIT,
                                        .chunk_ext = SMALL * FACTOR * 2,
                                        .trailers = SMALL * FACTOR * 2};
static char out[OUT], area[OUT];
static struct route_table *routes;

struct shape {
    const char *name;
    void (*run)(const char *text, size_t n);
    const char *before, *unit, *after; /* the unit is repeated up to the length */
};

/* ---- what is run */

static void request(const char *text, size_t n)
{
    static const struct h1_request_policy policy = {.raw_targets = true};
    static const struct sockaddr_in address = {.sin_family = AF_INET};
    static const struct conf conf;
    const struct origin_peer peer = {
        .address = (const struct sockaddr *)&address, .ip = STR("192.0.2.1"), .trusted = true};
    struct origin origin;
    struct forward_info info = {.peer_ip = peer.ip, .peer_trusted = true, .origin = &origin};
    struct http_request req;
    struct h1_scan scan = {0};
    struct text_out head;
    struct route_match match;

    if (h1_request_parse(&req, text, n, &scan, &wide, &policy) <= 0)
        return;
    ssize_t path =
        uri_normalise(area, OUT / 2, req.path, URI_ALLOW_ENCODED_SLASH | URI_ENCODE_RAW);
    if (path <= 0 || !route_lookup(routes, req.host, str_make(area, (size_t)path), &match))
        return;
    ssize_t mapped =
        route_map_path(&match, str_make(area, (size_t)path), area + OUT / 2, OUT / 2);
    info.path = str_make(area + OUT / 2, (size_t)mapped);
    origin_find(&origin, &req, &peer, &conf);
    text_out_init(&head, out, sizeof(out));
    if (forward_request(&head, &req, &info) < 0)
        abort();
}

static void response(const char *text, size_t n)
{
    static const struct affinity_key key = {.tag = {{1, 2}}};
    const struct h1_response_context context = {.method = HTTP_GET};
    const struct headers_info info = {.prefix = STR("/pas"),
                                      .upstream_path = STR("/web"),
                                      .public_authority = STR("t.test"),
                                      .backend_authority = STR("b:1"),
                                      .tag_key = &key};
    struct http_response res;
    struct h1_scan scan = {0};
    struct text_out head, values;
    struct http_head decided;

    if (h1_response_parse(&res, text, n, &scan, &wide, &context) <= 0)
        return;
    text_out_init(&head, out, sizeof(out));
    text_out_init(&values, area, sizeof(area));
    if (!headers_response(&decided, &res, &info, &values) ||
        h1_write_response(&head, &decided, true, 1) < 0)
        abort();
}

static void chunked(const char *text, size_t n)
{
    struct h1_chunked chunks;
    size_t body;

    h1_chunked_init(&chunks);
    memcpy(area, text, n);
    h1_chunked_squeeze(&chunks, area, n, &body, &wide);
}

static void cookies(const char *text, size_t n)
{
    struct str list = str_make(text, n);
    struct affinity_cookie cookie;

    while (affinity_next_cookie(&list, STR("JSESSIONID"), &cookie))
        ;
}

static void argument(const char *text, size_t n)
{
    affinity_argument(str_make(text, n), STR("CONNHDL"));
}

/* ---- the shapes */

#define GET     "GET / HTTP/1.1\r\nHost: t.test\r\n"
#define OK_200  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
#define THE_END "\r\n\r\n"

/* Here field lines grow with the list: each is compared with each of its names. */
static const struct shape products[] = {
    {"names in Connection, and fields", request, GET, "a,", THE_END},
    {"long names in Connection, and fields", request, GET, "aaaaaaaa", THE_END},
    {"the same of a response", response, OK_200, "a,", THE_END},
};

static const struct shape shapes[] = {
    {"commas in Transfer-Encoding", request, GET "Transfer-Encoding: ", "gzip,", THE_END},
    {"a list in Accept", request, GET "Accept: ", "a/b;q=1,", THE_END},
    {"X-Forwarded-For", request, GET "X-Forwarded-For: ", "10.0.0.1, ", THE_END},
    {"Forwarded", request, GET "Forwarded: ", "for=10.0.0.1;proto=\"x\",", THE_END},
    {"Upgrade", request, GET "Connection: upgrade\r\nUpgrade: ", "websocket,", THE_END},
    {"crumbs of Cookie", request, GET "Cookie: ", "a=b; ", THE_END},
    {"crumbs of nothing", cookies, "", "; ", ""},
    {"sessions in Cookie", cookies, "", "JSESSIONID=a.b;", ""},
    {"Via", request, GET "Via: ", "1.1 a, ", THE_END},
    {"TE", request, GET "TE: ", "trailers, ", THE_END},
    {"white space", request, GET "X: ", " ", "a" THE_END},
    {"white space behind", request, GET "X: a", " ", THE_END},
    {"dots in a path", request, "GET /", "a/../", " HTTP/1.1\r\nHost: t.test" THE_END},
    {"deep dots in a path", request, "GET /", "a/b/c/../", " HTTP/1.1\r\nHost: t.test" THE_END},
    {"slashes in a path", request, "GET /", "/", " HTTP/1.1\r\nHost: t.test" THE_END},
    {"encoded slashes in a path", request, "GET /", "a%2f",
     " HTTP/1.1\r\nHost: t.test" THE_END},
    {"parameters in a path", request, "GET /", "a;b/", " HTTP/1.1\r\nHost: t.test" THE_END},
    {"one long parameter", request, "GET /a", ";b", " HTTP/1.1\r\nHost: t.test" THE_END},
    {"raw bytes in a path", request, "GET /", "{\xc3\xa9", " HTTP/1.1\r\nHost: t.test" THE_END},
    {"raw bytes in a query", request, "GET /?", "|", " HTTP/1.1\r\nHost: t.test" THE_END},
    {"arguments of a query", argument, "?", "&CONNHD=1", ""},
    {"labels of a host", request, "GET / HTTP/1.1\r\nHost: ", "a.", THE_END},
    {"attributes of Set-Cookie", response, OK_200 "Set-Cookie: JSESSIONID=a", ";Path=/web",
     THE_END},
    {"sessions in Location", response, OK_200 "Location: /web/a", ";jsessionid=b", THE_END},
    {"segments of Location", response, OK_200 "Location: http://b:1", "/web", THE_END},
    {"attributes of another cookie", response, OK_200 "Set-Cookie: a=b", "; c", THE_END},
    {"chunks of a byte", chunked, "", "1\r\na\r\n", ""},
    {"chunk extensions", chunked, "1", ";a=\"b\"", "\r\na\r\n"},
    {"trailers", chunked, "0\r\n", "A: b\r\n", "\r\n"},
};

/* ---- the measure */

static size_t fill(char *to, const struct shape *s, size_t length, bool with_fields)
{
    size_t n = 0, unit = strlen(s->unit);

    memcpy(to, s->before, strlen(s->before));
    n += strlen(s->before);
    for (size_t i = 0; with_fields && i < length / BYTES_PER_FIELD; i++, n += 6)
        memcpy(to + n, "Q: b\r\n", 6);
    if (with_fields)
        n += (size_t)sprintf(to + n, "Connection: ");
    for (; length >= unit; length -= unit, n += unit)
        memcpy(to + n, s->unit, unit);
    memcpy(to + n, s->after, strlen(s->after));
    return n + strlen(s->after);
}

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* Of the fastest of some runs, each of `rounds` times. */
static uint64_t fastest(const struct shape *s, const char *text, size_t n, unsigned rounds)
{
    uint64_t best = UINT64_MAX;

    for (int try = 0; try < TRIES; try++) {
        uint64_t begin = cpu_ns();
        for (unsigned i = 0; i < rounds; i++)
            s->run(text, n);
        uint64_t took = cpu_ns() - begin;
        best = took < best ? took : best;
    }
    return best;
}

static void measure(const struct shape *s, bool with_fields)
{
    char *text = malloc(SMALL * FACTOR + 4096);
    size_t n = fill(text, s, SMALL, with_fields);
    uint64_t small = fastest(s, text, n, FACTOR), large;

    n = fill(text, s, SMALL * FACTOR, with_fields);
    large = fastest(s, text, n, FACTOR);
    free(text);
    /* What is refused early costs next to nothing: there the clock is all that is measured. */
    ok(large < BOUND * small || large < 100000, "%s: %.1f times", s->name,
       (double)large / (double)(small ? small : 1));
}

int main(void)
{
    static const struct route_rule rules[] = {
        {.path = STR_INIT("/")},
        {.path = STR_INIT("/pas"), .upstream_path = STR_INIT("/web")},
    };

    routes = route_table_new(rules, 2);
    for (size_t i = 0; i < sizeof(products) / sizeof(products[0]); i++)
        measure(&products[i], true);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        measure(&shapes[i], false);
    route_table_free(routes);
    return done();
}
