/*
 * Runs the pure HTTP/1.1 code over t/hostile/cases.txt, whole and in small pieces: parse,
 * decode, normalise, route, forward both ways, as the worker does, but without a socket. What
 * forward.c wrote is parsed again by the same strict parser.
 */
#include <stdlib.h>

#include "base/conf/conf.h"
#include "t/unit/hostile_file.h"
#include "t/unit/tap.h"
#include "worker/http/forward.h"
#include "worker/http/h1.h"
#include "worker/http/h1_write.h"
#include "worker/http/headers.h"
#include "worker/http/origin.h"
#include "worker/http/route.h"
#include "worker/http/uri.h"

#define OUT_MAX (1024 * 1024)

struct sink {
    char *p;
    size_t n;
};

/* What came of a case. */
struct outcome {
    char statuses[256];
    struct sink seen, body, got;
    bool close;
    int err;
};

static struct http_limits limits;
static struct route_table *routes;
static const struct str default_reply =
    STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

static void sink_add(struct sink *sink, struct str s)
{
    if (s.n && sink->n + s.n <= OUT_MAX) {
        memcpy(sink->p + sink->n, s.p, s.n);
        sink->n += s.n;
    }
}

static void note_status(struct outcome *o, unsigned status)
{
    size_t n = strlen(o->statuses);
    snprintf(o->statuses + n, sizeof(o->statuses) - n, "%s%u", n ? " " : "", status);
}

static void own_answer(struct outcome *o, unsigned status, bool keep, const char *proxy_error)
{
    char buf[2048], texts[1024];
    struct text_out out, text;
    struct headers_own_info info = {.status = (uint16_t)status, .proxy_error = proxy_error};
    struct headers_own own;

    text_out_init(&out, buf, sizeof(buf));
    text_out_init(&text, texts, sizeof(texts));
    if (!headers_own(&own, &info, &text) || h1_write_response(&out, &own.head, keep, 1) < 0)
        abort();
    sink_add(&o->got, str_make(out.p, out.n));
    sink_add(&o->got, own.body);
    note_status(o, status);
    o->close |= !keep;
}

static void refuse(struct outcome *o, int err)
{
    o->err = err < 0 ? -err : err;
    own_answer(o, h1_error_info(err)->status, false, NULL);
}

static void bad_gateway(struct outcome *o, int err, bool keep)
{
    o->err = err < 0 ? -err : err;
    own_answer(o, 502, keep, "http_protocol_error");
}

/* Feeds `in` step by step, each time in a block of exactly that size at another address. */
static ssize_t feed_request(struct http_request *req, struct str in, size_t step, bool tls,
                            char **block)
{
    const struct h1_request_policy policy = {.is_tls = tls, .raw_targets = true};
    struct h1_scan scan = {0};
    ssize_t rc = 0;

    *block = NULL;
    for (size_t n = step < in.n ? step : in.n; in.n; n = n + step < in.n ? n + step : in.n) {
        char *moved = malloc(n);
        memcpy(moved, in.p, n);
        rc = h1_request_parse(req, moved, n, &scan, &limits, &policy);
        free(*block);
        *block = moved;
        if (rc || n == in.n)
            break;
    }
    return rc;
}

static ssize_t feed_response(struct http_response *res, struct str in, size_t step,
                             const struct h1_response_context *context, char **block)
{
    struct h1_scan scan = {0};
    ssize_t rc = 0;

    *block = NULL;
    for (size_t n = step < in.n ? step : in.n; in.n; n = n + step < in.n ? n + step : in.n) {
        char *moved = malloc(n);
        memcpy(moved, in.p, n);
        rc = h1_response_parse(res, moved, n, &scan, &limits, context);
        free(*block);
        *block = moved;
        if (rc || n == in.n)
            break;
    }
    return rc;
}

/* Decodes a chunked body into `data`; the bytes consumed, or an error; *done tells the end. */
static ssize_t feed_chunks(struct str in, size_t step, struct sink *data, bool *done)
{
    struct h1_chunked chunks;
    size_t used = 0;

    h1_chunked_init(&chunks);
    while (used < in.n && !chunks.done) {
        size_t n = step < in.n - used ? step : in.n - used, body;
        char *piece = malloc(n);
        memcpy(piece, in.p + used, n);
        ssize_t rc = h1_chunked_squeeze(&chunks, piece, n, &body, &limits);
        if (rc > 0)
            sink_add(data, str_make(piece, body));
        free(piece);
        if (rc < 0)
            return rc;
        used += (size_t)rc;
    }
    *done = chunks.done;
    return (ssize_t)used;
}

/* Our own head for the backend must pass our own parser and mean the same. */
static bool means_the_same(struct str head, const struct http_request *req)
{
    const struct h1_request_policy policy = {0}; /* strict: nothing leaves raw */
    struct h1_scan scan = {0};
    struct http_request again;
    struct http_limits own = limits;
    own.fields = HTTP_FIELDS_MAX;
    ssize_t rc = h1_request_parse(&again, head.p, head.n, &scan, &own, &policy);
    bool has_length = req->body == HTTP_BODY_LENGTH;
    static char query[3 * HTTP_TARGET_MAX];
    ssize_t n = uri_encode(query, sizeof(query), req->query);

    return n >= 0 && str_eq(again.query, str_make(query, (size_t)n)) && rc == (ssize_t)head.n &&
           str_eq(again.method_name, req->method_name) &&
           again.upgrade_websocket == req->upgrade_websocket &&
           (again.body == HTTP_BODY_CHUNKED) == (req->body == HTTP_BODY_CHUNKED) &&
           (!has_length || again.body == HTTP_BODY_LENGTH) &&
           again.content_length == (has_length ? req->content_length : 0);
}

/* Route and forward. False when the path is refused. */
static bool forward_head(struct outcome *o, const struct http_request *req,
                         struct route_match *match, const char *name)
{
    static char path[HTTP_TARGET_MAX], mapped[2 * HTTP_TARGET_MAX], head[2 * HTTP_HEAD_MAX];
    static const struct sockaddr_in address = {.sin_family = AF_INET};
    static const struct conf conf;
    const struct origin_peer peer = {.address = (const struct sockaddr *)&address,
                                     .ip = STR("127.0.0.1"),
                                     .server_port = 443};
    ssize_t n = uri_normalise(path, sizeof(path), req->path, URI_ENCODE_RAW);
    struct text_out out;
    struct origin origin;

    if (n < 0)
        return false;
    if (!route_lookup(routes, req->host, str_make(path, (size_t)n), match))
        abort();
    n = route_map_path(match, str_make(path, (size_t)n), mapped, sizeof(mapped));
    struct forward_info info = {.path = str_make(mapped, (size_t)n),
                                .fallback_host = STR("backend:8810"),
                                .peer_ip = peer.ip,
                                .origin = &origin,
                                .request_id = STR("id-1")};
    origin_find(&origin, req, &peer, &conf);
    text_out_init(&out, head, sizeof(head));
    if (forward_request(&out, req, &info) < 0)
        abort();
    if (!means_the_same(str_make(out.p, out.n), req)) {
        fail("%s: own head, parsed again, means the same", name);
        tap_bytes("head", out.p, out.n);
    }
    sink_add(&o->seen, str_make(out.p, out.n));
    return true;
}

/* The request's body on to the backend. Consumed bytes, or an error. */
static ssize_t forward_body(struct outcome *o, const struct http_request *req, struct str in,
                            size_t step)
{
    char head[H1_CHUNK_HEAD_MAX];
    bool complete = false;

    o->body.n = 0;
    if (req->body == HTTP_BODY_LENGTH) {
        struct str data = str_head(in, req->content_length);
        sink_add(&o->body, data);
        sink_add(&o->seen, data);
        return (ssize_t)data.n;
    }
    if (req->body != HTTP_BODY_CHUNKED)
        return 0;
    ssize_t rc = feed_chunks(in, step, &o->body, &complete);
    if (o->body.n) {
        sink_add(&o->seen, str_make(head, h1_chunk_head(head, o->body.n)));
        sink_add(&o->seen, str_make(o->body.p, o->body.n));
        sink_add(&o->seen, STR(H1_CHUNK_TAIL));
    }
    if (complete)
        sink_add(&o->seen, STR(H1_CHUNK_LAST));
    return rc;
}

static void relay_body(struct outcome *o, const struct http_response *res, struct str in,
                       size_t step)
{
    bool complete;

    if (res->body == HTTP_BODY_LENGTH)
        sink_add(&o->got, str_head(in, res->content_length));
    else if (res->body == HTTP_BODY_UNTIL_CLOSE)
        sink_add(&o->got, in);
    else if (res->body == HTTP_BODY_CHUNKED)
        feed_chunks(in, step, &o->got, &complete);
}

/* The backend's reply on to the client. */
static void response(struct outcome *o, const struct hostile_case *c,
                     const struct http_request *req, const struct route_match *match,
                     size_t step)
{
    static char head[2 * HTTP_HEAD_MAX], texts[2 * HTTP_HEAD_MAX];
    const struct h1_response_context context = {.method = req->method, .upgrade = req->upgrade};
    struct str in = c->has_backend ? c->backend : default_reply;

    for (int interim = 0;; interim++) {
        struct http_response res;
        struct http_head decided;
        struct text_out out, text;
        char *block;
        ssize_t n = feed_response(&res, in, step, &context, &block);
        if (n <= 0 || interim > H1_INTERIM_MAX) {
            bad_gateway(o, n < 0 ? (int)n : H1_E_INTERIM_MANY, req->keep_alive);
            free(block);
            return;
        }
        struct headers_info info = {.tls = c->tls,
                                    .prefix = match->prefix,
                                    .upstream_path = match->upstream_path,
                                    .public_authority = req->authority,
                                    .backend_authority = STR("backend:8810"),
                                    .request_id = STR("id-1")};
        text_out_init(&out, head, sizeof(head));
        text_out_init(&text, texts, sizeof(texts));
        if (!headers_response(&decided, &res, &info, &text) ||
            h1_write_response(&out, &decided, req->keep_alive, req->version_minor) < 0)
            abort();
        bool until_close = h1_write_body(&decided, req->version_minor) == HTTP_BODY_UNTIL_CLOSE;
        bool is_interim = res.status < 200 && res.status != 101;
        if (!is_interim || req->version_minor)
            sink_add(&o->got, str_make(out.p, out.n));
        in = str_skip(in, (size_t)n);
        if (!is_interim) {
            note_status(o, res.status);
            relay_body(o, &res, in, step);
            o->close |= !req->keep_alive || until_close || res.status == 101;
        }
        free(block);
        if (!is_interim)
            return;
    }
}

/* One exchange at the start of *in; false when there is nothing to go on with. */
static bool exchange(struct outcome *o, const struct hostile_case *c, struct str *in,
                     size_t step)
{
    struct http_request req;
    struct route_match match;
    char *block;
    ssize_t n = feed_request(&req, *in, step, c->tls, &block);
    bool go_on = false;

    if (n < 0) {
        refuse(o, (int)n);
    } else if (n > 0 && req.form == HTTP_TARGET_ASTERISK) {
        own_answer(o, 204, true, NULL);
        *in = str_skip(*in, (size_t)n);
        go_on = true;
    } else if (n > 0 && !forward_head(o, &req, &match, c->name)) {
        refuse(o, H1_E_PATH);
    } else if (n > 0) {
        *in = str_skip(*in, (size_t)n);
        if (req.expect_continue)
            note_status(o, 100);
        n = forward_body(o, &req, *in, step);
        if (n < 0) {
            refuse(o, (int)n);
        } else {
            response(o, c, &req, &match, step);
            *in = str_skip(*in, (size_t)n);
            go_on = !o->close;
        }
    }
    free(block);
    return go_on;
}

static bool contains(const struct sink *sink, struct str what)
{
    return memmem(sink->p, sink->n, what.p, what.n) != NULL;
}

/* True when all that the case asks for came true; says what did not. */
static bool judge(const struct hostile_case *c, const struct outcome *o)
{
    bool good = true;

#define WANT(cond, ...) ((cond) ? (void)0 : (diag(__VA_ARGS__), (void)(good = false)))
    WANT(!strcmp(o->statuses, c->expect), "status %s, expected %s (%s)", o->statuses, c->expect,
         h1_error_info(o->err)->reason);
    WANT(o->close == c->close, "close %d, expected %d", o->close, c->close);
    WANT(!c->seen_nothing || o->seen.n == 0, "the backend saw something");
    WANT(!c->reason || !strcmp(c->reason, h1_error_info(o->err)->reason),
         "reason '%s', expected '%s'", h1_error_info(o->err)->reason, c->reason);
    WANT(!c->has_body || (o->body.n == c->body.n && !memcmp(o->body.p, c->body.p, o->body.n)),
         "another body of %zu bytes", o->body.n);
    for (size_t i = 0; i < c->seen.n; i++)
        WANT(contains(&o->seen, c->seen.s[i]), "not seen: %.*s", STR_ARG(c->seen.s[i]));
    for (size_t i = 0; i < c->unseen.n; i++)
        WANT(!contains(&o->seen, c->unseen.s[i]), "seen: %.*s", STR_ARG(c->unseen.s[i]));
    for (size_t i = 0; i < c->got.n; i++)
        WANT(contains(&o->got, c->got.s[i]), "not got: %.*s", STR_ARG(c->got.s[i]));
    for (size_t i = 0; i < c->ungot.n; i++)
        WANT(!contains(&o->got, c->ungot.s[i]), "got: %.*s", STR_ARG(c->ungot.s[i]));
#undef WANT
    if (!good) {
        tap_bytes("seen", o->seen.p, o->seen.n);
        tap_bytes("got", o->got.p, o->got.n);
    }
    return good;
}

static bool run(const struct hostile_case *c, struct outcome *o, size_t step)
{
    struct str in = c->client;

    o->statuses[0] = '\0';
    o->seen.n = o->body.n = o->got.n = 0;
    o->close = false;
    o->err = H1_E_NONE;
    while (in.n && exchange(o, c, &in, step))
        ;
    return judge(c, o);
}

int main(void)
{
    static const struct route_rule rules[] = {
        {.path = STR_INIT("/")},
        {.path = STR_INIT("/pas"), .upstream_path = STR_INIT("/web")},
    };
    static struct outcome o;
    bool numbers[101] = {false};
    size_t n;
    struct hostile_case *cases = hostile_read(&n);

    o.seen.p = malloc(OUT_MAX);
    o.body.p = malloc(OUT_MAX);
    o.got.p = malloc(OUT_MAX);
    limits = http_limits_default;
    limits.body = UINT64_C(1) << 40;
    routes = route_table_new(rules, 2);
    for (size_t i = 0; i < n; i++) {
        const struct hostile_case *c = &cases[i];
        int number = atoi(c->name);
        if (number > 0 && number <= 100)
            numbers[number] = true;
        if (c->by)
            continue;
        size_t drip = c->client.n + c->backend.n < 4096 ? 1 : 997;
        bool whole = run(c, &o, SIZE_MAX / 2), pieces = run(c, &o, drip);
        ok(whole && pieces, "%s", c->name);
    }
    for (int i = 1; i <= 100; i++) {
        if (!numbers[i])
            fail("case %d is missing", i);
    }
    route_table_free(routes);
    hostile_free(cases, n);
    free(o.seen.p);
    free(o.body.p);
    free(o.got.p);
    return done();
}
