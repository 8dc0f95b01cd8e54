/*
 * Heads for the other side: what we write passes our own strict parser and means the same, in
 * a buffer that is large enough; in one that is not it says so and writes no byte beyond.
 * Input: a byte of choices, a request head, and after it a response head.
 */
#include "base/conf/conf.h"
#include "t/fuzz/fuzz.h"
#include "worker/http/affinity.h"
#include "worker/http/forward.h"
#include "worker/http/h1.h"
#include "worker/http/h1_write.h"
#include "worker/http/headers.h"
#include "worker/http/origin.h"
#include "worker/http/uri.h"

static const struct http_limits wide = {.target = HTTP_HEAD_MAX,
                                        .field = 4 * HTTP_HEAD_MAX,
                                        .head = 16 * HTTP_HEAD_MAX,
                                        .fields = HTTP_FIELDS_MAX};

static size_t count(const struct http_field *fields, size_t n, enum http_field_id id)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++)
        found += fields[i].id == id;
    return found;
}

static void check_request(const struct http_request *req, struct str head, bool trusted)
{
    const struct h1_request_policy policy = {0};
    static char query[3 * HTTP_TARGET_MAX];
    ssize_t n = uri_encode(query, sizeof(query), req->query);
    struct h1_scan scan = {0};
    struct http_request again;
    bool by_length = req->body == HTTP_BODY_LENGTH;

    HOLDS(h1_request_parse(&again, head.p, head.n, &scan, &wide, &policy) == (ssize_t)head.n);
    HOLDS(str_eq(again.method_name, req->method_name) && again.version_minor == 1);
    HOLDS(n >= 0 && str_eq(again.query, str_make(query, (size_t)n)));
    HOLDS((again.body == HTTP_BODY_CHUNKED) == (req->body == HTTP_BODY_CHUNKED));
    HOLDS(again.content_length == (by_length ? req->content_length : 0));
    HOLDS(again.upgrade_websocket == req->upgrade_websocket);
    HOLDS(!again.names_in_connection && !again.expect_continue);
    HOLDS(trusted || count(again.fields, again.nfields, HTTP_F_X_FORWARDED_OTHER) == 0);
    HOLDS(count(again.fields, again.nfields, HTTP_F_X_FORWARDED_FOR) == 1);
    HOLDS(count(again.fields, again.nfields, HTTP_F_FORWARDED) == 1);
    HOLDS(count(again.fields, again.nfields, HTTP_F_COOKIE) <= 1);
    if (req->authority.n)
        HOLDS(str_eq(again.authority, req->authority));
}

/* Some stretches of the cookies, in their order. */
static unsigned make_cuts(const struct http_request *req, struct str cuts[4])
{
    unsigned n = 0;

    for (size_t i = 0; i < req->nfields && n < 4; i++) {
        struct str value = req->fields[i].value;
        if (req->fields[i].id == HTTP_F_COOKIE && value.n > i % 3)
            cuts[n++] = str_head(str_skip(value, value.n * (i % 3) / 3), 1 + value.n / 3);
    }
    return n;
}

static const struct origin *origin_of(const struct http_request *req, bool trusted)
{
    static const struct conf_prefix network = {{[10] = 0xff, [11] = 0xff, 192, 0, 2}, 120};
    static const struct conf conf = {.trusted = &network, .n_trusted = 1};
    static const struct sockaddr_in address = {.sin_family = AF_INET};
    static struct origin origin;
    const struct origin_peer peer = {.address = (const struct sockaddr *)&address,
                                     .ip = STR("192.0.2.1"),
                                     .server_port = 443,
                                     .trusted = trusted};

    origin_find(&origin, req, &peer, &conf);
    return &origin;
}

static void fuzz_cuts(const struct http_request *req)
{
    struct str cuts[4];
    const struct forward_info info = {.path = STR("/web/x"),
                                      .fallback_host = STR("b:1"),
                                      .peer_ip = STR("192.0.2.1"),
                                      .origin = origin_of(req, false),
                                      .cuts = cuts,
                                      .ncuts = make_cuts(req, cuts)};
    char *buf = malloc(3 * HTTP_HEAD_MAX);
    struct text_out out;

    text_out_init(&out, buf, 3 * HTTP_HEAD_MAX);
    ssize_t n = forward_request(&out, req, &info);
    HOLDS(n > 0);
    check_request(req, str_make(buf, (size_t)n), false);
    free(buf);
}

static void fuzz_request(const struct http_request *req, unsigned choice)
{
    const struct forward_info info = {.path = STR("/web/x"),
                                      .fallback_host = STR("b:1"),
                                      .peer_ip = choice & 2 ? STR("::1") : STR("192.0.2.1"),
                                      .peer_trusted = choice & 4,
                                      .origin = origin_of(req, choice & 4),
                                      .close = choice & 8,
                                      .request_id = STR("id")};
    static char buf[3 * HTTP_HEAD_MAX];
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf));
    ssize_t n = forward_request(&out, req, &info);
    HOLDS(n > 0);
    check_request(req, str_make(buf, (size_t)n), info.peer_trusted);
    char *tight = malloc((size_t)n);
    text_out_init(&out, tight, (size_t)n - 1);
    HOLDS(forward_request(&out, req, &info) == -1);
    text_out_init(&out, tight, (size_t)n);
    HOLDS(forward_request(&out, req, &info) == n && !memcmp(tight, buf, (size_t)n));
    free(tight);
}

static void check_response(const struct http_response *res, const struct http_request *req,
                           struct str head, const struct http_head *decided)
{
    const struct h1_response_context context = {.method = req->method, .upgrade = req->upgrade};
    enum http_body body = h1_write_body(decided, req->version_minor);
    struct h1_scan scan = {0};
    struct http_response again;

    HOLDS(h1_response_parse(&again, head.p, head.n, &scan, &wide, &context) == (ssize_t)head.n);
    HOLDS(again.status == res->status && again.body == body);
    HOLDS(!again.has_length || again.content_length == res->content_length);
    HOLDS(!again.keep_alive || req->keep_alive || again.status < 200);
    HOLDS(count(again.fields, again.nfields, HTTP_F_SET_COOKIE) ==
          count(res->fields, res->nfields, HTTP_F_SET_COOKIE));
    HOLDS(count(again.fields, again.nfields, HTTP_F_LOCATION) ==
          count(res->fields, res->nfields, HTTP_F_LOCATION));
    HOLDS(count(again.fields, again.nfields, HTTP_F_PROXY_STATUS) == 0);
}

static void fuzz_response(const struct http_request *req, const char *in, size_t n,
                          unsigned choice)
{
    const struct h1_response_context context = {.method = req->method, .upgrade = req->upgrade};
    static const struct affinity_key key = {.tag = {{1, 2}}};
    const struct headers_info info = {.tls = choice & 1,
                                      .prefix = choice & 16 ? STR("/pas") : STR_EMPTY,
                                      .upstream_path = choice & 32 ? STR("/web") : STR_EMPTY,
                                      .public_authority = req->authority,
                                      .backend_authority = STR("b:8810"),
                                      .hsts = choice & 64 ? STR("max-age=63072000") : STR_EMPTY,
                                      .request_id = choice & 128 ? STR("id") : STR_EMPTY,
                                      .tag_key = choice & 8 ? &key : NULL};
    static char buf[8 * HTTP_HEAD_MAX], values[8 * HTTP_HEAD_MAX];
    struct h1_scan scan = {0};
    struct http_response res, changed;
    struct text_out out, text;
    struct http_head head;

    if (h1_response_parse(&res, in, n, &scan, &http_limits_default, &context) <= 0)
        return;
    text_out_init(&out, buf, sizeof(buf));
    text_out_init(&text, values, sizeof(values));
    changed = res;
    HOLDS(headers_response(&head, &changed, &info, &text));
    HOLDS(head.nfields <= res.nfields + HEADERS_ADDED_MAX);
    ssize_t length = h1_write_response(&out, &head, req->keep_alive, req->version_minor);
    HOLDS(length > 0);
    check_response(&res, req, str_make(buf, (size_t)length), &head);
    char *tight = malloc((size_t)length);
    text_out_init(&out, tight, (size_t)length - 1);
    HOLDS(h1_write_response(&out, &head, req->keep_alive, req->version_minor) == -1);
    free(tight);
    if (!text.n)
        return;
    tight = malloc(text.n);
    text_out_init(&out, tight, text.n - 1);
    changed = res;
    HOLDS(!headers_response(&head, &changed, &info, &out));
    free(tight);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const struct h1_request_policy policy = {.is_tls = data[0] & 1, .raw_targets = true};
    size_t n = size - 1;
    char *in = fuzz_copy(data + 1, n);
    struct h1_scan scan = {0};
    struct http_request req;
    ssize_t rc = h1_request_parse(&req, in, n, &scan, &http_limits_default, &policy);

    if (rc > 0 && req.form != HTTP_TARGET_ASTERISK) {
        fuzz_request(&req, data[0]);
        fuzz_cuts(&req);
        fuzz_response(&req, in + rc, n - (size_t)rc, data[0]);
    }
    free(in);
    return 0;
}
