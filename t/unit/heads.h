/* Heads parsed, sent to the other side, and written as text: for the tests of them. */
#ifndef T_UNIT_HEADS_H
#define T_UNIT_HEADS_H

#include "base/conf/conf.h"
#include "t/unit/tap.h"
#include "worker/http/forward.h"
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

static inline void parse_request(const char *text)
{
    static const struct h1_request_policy policy = {.is_tls = true};
    struct h1_scan scan = {0};
    if (h1_request_parse(&req, text, strlen(text), &scan, &http_limits_default, &policy) <= 0)
        fail("the test's own request parses: %s", text);
}

static inline void parse_response(const char *text)
{
    const struct h1_response_context context = {.method = req.method, .upgrade = req.upgrade};
    struct h1_scan scan = {0};
    if (h1_response_parse(&res, text, strlen(text), &scan, &http_limits_default, &context) <= 0)
        fail("the test's own response parses: %s", text);
}

/* The networks 192.0.2.0/24 are trusted. */
static inline const struct origin *origin_of(struct str peer_ip, bool trusted)
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

static inline const char *request(struct forward_info info)
{
    struct text_out out;

    if (!info.path.n)
        info.path = STR("/web/x");
    info.peer_ip = info.peer_ip.n ? info.peer_ip : STR("192.0.2.7");
    info.origin = origin_of(info.peer_ip, info.peer_trusted);
    info.request_id = info.origin->request_id.n ? info.origin->request_id : STR("our-id");
    text_out_init(&out, buf, sizeof(buf) - 1);
    ssize_t n = forward_request(&out, &req, &info);
    buf[n < 0 ? 0 : n] = '\0';
    return buf;
}

#define BACKEND_INFO                                                  \
    .tls = true, .prefix = STR("/pas"), .upstream_path = STR("/web"), \
    .public_authority = STR("shop.test"), .backend_authority = STR("pas1:8810")

/* Decided and written to out, with so much room for both. */
static inline ssize_t write_response(struct text_out *out, const struct headers_info *info,
                                     size_t room)
{
    struct http_response parsed = res;
    struct text_out text;
    struct http_head head;

    text_out_init(&text, values, room < sizeof(values) ? room : sizeof(values));
    if (!headers_response(&head, &parsed, info, &text))
        return -1;
    return h1_write_response(out, &head, keep_alive, client_minor);
}

static inline const char *response(struct headers_info info)
{
    struct text_out out;

    text_out_init(&out, buf, sizeof(buf) - 1);
    ssize_t n = write_response(&out, &info, sizeof(values));
    buf[n < 0 ? 0 : n] = '\0';
    return buf;
}

static inline const char *own_response(const struct headers_own_info *info)
{
    struct text_out out, text;
    struct headers_own own;
    ssize_t n = -1;

    text_out_init(&out, buf, sizeof(buf) - 1);
    text_out_init(&text, values, sizeof(values));
    if (headers_own(&own, info, &text))
        n = h1_write_response(&out, &own.head, keep_alive, client_minor);
    if (n >= 0 && own.body.n)
        memcpy(buf + n, own.body.p, own.body.n);
    buf[n < 0 ? 0 : (size_t)n + own.body.n] = '\0';
    return buf;
}

static inline bool has(const char *line)
{
    return strstr(buf, line) != NULL;
}

#endif
