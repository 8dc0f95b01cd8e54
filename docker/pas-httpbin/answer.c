/* The responses of PAS that are complete at once; web.c maps paths to them. */
#include "httpbin.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TABLE_SIZE = 4096, /* remembered sessions and APSV connections */
};

static struct buf body; /* of the response that is being rendered */

struct known {
    uint64_t id;
    uint64_t hits;
};
static struct known sessions[TABLE_SIZE], handles[TABLE_SIZE];
static unsigned sessions_n, handles_n;

/* ---- responses ---- */

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "200 ";
    case 204:
        return "204 ";
    case 302:
        return "302 ";
    case 304:
        return "304 ";
    case 404:
        return "404 ";
    case 500:
        return "500 ";
    }
    static char text[16];
    snprintf(text, sizeof text, "%d ", status % 1000);
    return text;
}

void answer_head(struct conn *c, const struct req *r, int status, const char *type,
                 const char *extra, uint64_t length)
{
    bool limit = !c->ctl && settings.max_requests && c->requests >= settings.max_requests;

    if (r->close || (r->http10 && !r->keepalive) || limit || status == 400 || status == 501 ||
        status == 505) {
        c->closing = true; /* when everything is written */
        counters.closed_limit += limit;
    }
    buf_puts(&obuf, "HTTP/1.1 "); /* Tomcat sends no reason phrase either */
    buf_puts(&obuf, reason(status));
    buf_puts(&obuf, "\r\nX-Instance: ");
    buf_puts(&obuf, settings.instance);
    if (type) {
        buf_puts(&obuf, "\r\nContent-Type: ");
        buf_puts(&obuf, type);
    }
    if (extra) {
        buf_puts(&obuf, "\r\n");
        buf_add(&obuf, extra, strlen(extra) - 2);
    }
    if (length == UINT64_MAX) {
        buf_puts(&obuf, "\r\nTransfer-Encoding: chunked");
    } else if (status != 204 && status != 304 && status >= 200) {
        buf_puts(&obuf, "\r\nContent-Length: ");
        buf_num(&obuf, length);
    }
    buf_puts(&obuf, "\r\nDate: ");
    buf_puts(&obuf, now_date());
    if (c->closing) {
        buf_puts(&obuf, "\r\nConnection: close");
    } else if (r->keepalive) {
        buf_puts(&obuf, "\r\nKeep-Alive: timeout=");
        buf_num(&obuf, settings.idle_ms / 1000);
        buf_puts(&obuf, "\r\nConnection: keep-alive");
    }
    buf_puts(&obuf, "\r\n\r\n");
}

void answer(struct conn *c, const struct req *r, int status, const char *type,
            const char *extra, const struct buf *text)
{
    answer_head(c, r, status, type, extra, text->n);
    if (!str_is(r->method, "HEAD") && status != 204 && status != 304)
        buf_add(&obuf, text->p, text->n);
}

void answer_error(struct conn *c, const struct req *r, int status, const char *text)
{
    static struct buf b;

    b.n = 0;
    buf_puts(&b, "<!doctype html><html><body><h1>");
    buf_num(&b, (uint64_t)status);
    buf_puts(&b, "</h1><p>");
    buf_puts(&b, text);
    buf_puts(&b, "</p></body></html>\n");
    answer(c, r, status, "text/html;charset=utf-8", NULL, &b);
}

static struct str lit(const char *s)
{
    return (struct str){s, strlen(s)};
}

static void put_key(const char *name)
{
    buf_puts(&body, body.n > 1 && body.p[body.n - 1] != '{' ? ", \"" : "\"");
    buf_puts(&body, name);
    buf_puts(&body, "\": ");
}

/* The end of every JSON response. */
static void put_instance(void)
{
    put_key("instance");
    buf_puts(&body, "{\"environment\": \"stand-in\", \"id\": ");
    buf_json(&body, lit(settings.instance));
    buf_puts(&body, ", \"calls\": ");
    buf_num(&body, counters.calls);
    buf_puts(&body, "}}\n");
}

static void answer_json(struct conn *c, const struct req *r, int status, const char *extra)
{
    put_instance();
    answer(c, r, status, "application/json", extra, &body);
}

/* ---- /get: the request as JSON ---- */

static void put_camel(struct str name)
{
    char t[128];
    size_t n = name.n < sizeof t ? name.n : sizeof t;

    for (size_t i = 0; i < n; i++)
        t[i] = (char)(i == 0 || name.p[i - 1] == '-' ? toupper((unsigned char)name.p[i])
                                                     : tolower((unsigned char)name.p[i]));
    buf_json(&body, (struct str){t, n});
}

static bool same_name(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (tolower((unsigned char)a.p[i]) != tolower((unsigned char)b.p[i]))
            return false;
    return true;
}

static void put_headers(const struct req *r)
{
    static struct buf joined;

    put_key("headers");
    buf_puts(&body, "{");
    for (unsigned i = 0; i < r->nhdr; i++) {
        unsigned k = 0;
        while (k < i && !same_name(r->hdr[k].name, r->hdr[i].name))
            k++;
        if (k < i)
            continue; /* already joined to the first field of that name */
        if (i)
            buf_puts(&body, ", ");
        put_camel(r->hdr[i].name);
        buf_puts(&body, ": ");
        joined.n = 0;
        for (k = i; k < r->nhdr; k++) {
            if (k != i && !same_name(r->hdr[k].name, r->hdr[i].name))
                continue;
            if (k != i)
                buf_puts(&joined, ", ");
            buf_add(&joined, r->hdr[k].value.p, r->hdr[k].value.n);
        }
        buf_json(&body, (struct str){joined.p, joined.n});
    }
    buf_puts(&body, "}");
}

static void put_args(const struct req *r)
{
    struct str k, v;
    char name[256], value[2048];

    put_key("args");
    buf_puts(&body, "{");
    for (size_t at = 0; req_next_arg(r, &at, &k, &v);) {
        if (body.p[body.n - 1] != '{')
            buf_puts(&body, ", ");
        size_t n = percent_decode(name, sizeof name, k);
        buf_json(&body, (struct str){name, n});
        buf_puts(&body, ": ");
        n = percent_decode(value, sizeof value, v);
        buf_json(&body, (struct str){value, n});
    }
    buf_puts(&body, "}");
}

static const char *peer_address(const struct conn *c)
{
    static char text[INET6_ADDRSTRLEN];
    struct sockaddr_storage sa;
    socklen_t n = sizeof sa;

    text[0] = 0;
    if (getpeername(c->fd, (struct sockaddr *)&sa, &n) == 0) {
        if (sa.ss_family == AF_INET6)
            inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&sa)->sin6_addr, text, sizeof text);
        else
            inet_ntop(AF_INET, &((struct sockaddr_in *)&sa)->sin_addr, text, sizeof text);
    }
    return text;
}

static void put_request(struct conn *c, const struct req *r)
{
    static struct buf url;

    body.n = 0;
    buf_puts(&body, "{");
    put_args(r);
    put_headers(r);
    put_key("origin");
    buf_json(&body, lit(peer_address(c)));
    struct str host = req_header(r, "host");
    url.n = 0;
    buf_puts(&url, "http://");
    buf_add(&url, host.p, host.n);
    buf_add(&url, r->path.p, r->path.n);
    put_key("url");
    buf_json(&body, (struct str){url.p, url.n});
    put_key("method");
    buf_json(&body, r->method);
}

void page_get(struct conn *c, const struct req *r)
{
    put_request(c, r);
    if (strcmp(req_arg(r, "openedge"), "true") == 0)
        buf_puts(&body, ", \"openedge\": {\"context\": {\"REMOTE_USER\": \"\", "
                        "\"SERVER_SOFTWARE\": \"stand-in\"}, \"pathparameters\": {}, "
                        "\"propath\": [\".\", \"openedge\"]}");
    answer_json(c, r, 200, NULL);
}

void page_post(struct conn *c, const struct req *r)
{
    put_request(c, r);
    put_key("data");
    buf_json(&body, (struct str){c->keep.p, c->keep.n});
    put_key("length");
    buf_num(&body, c->body_seen);
    answer_json(c, r, 200, NULL);
}

void page_upload(struct conn *c, const struct req *r)
{
    body.n = 0;
    buf_puts(&body, "{\"length\": ");
    buf_num(&body, c->body_seen);
    put_key("crc32");
    buf_puts(&body, "\"");
    buf_hex(&body, c->crc, 8);
    buf_puts(&body, "\"");
    answer_json(c, r, 200, NULL);
}

/* ---- small ones ---- */

void page_home(struct conn *c, const struct req *r)
{
    body.n = 0;
    buf_puts(&body,
             "<!doctype html><html><head><title>pas-httpbin</title></head><body>"
             "<h1>pas-httpbin</h1><p>A stand-in for PAS for OpenEdge: <a href=\"get\">get"
             "</a> <a href=\"cookie\">cookie</a> <a href=\"propath\">propath</a></p>"
             "</body></html>\n");
    answer(c, r, 200, "text/html;charset=utf-8", NULL, &body);
}

void page_cookie(struct conn *c, const struct req *r)
{
    char extra[256];
    int n =
        snprintf(extra, sizeof extra, "Set-Cookie: test=succeeded; Domain=localhost; Path=%.*s",
                 (int)(r->path.n < 100 ? r->path.n : 100), r->path.p);

    if (strstr(extra, "persistentcookie"))
        n += snprintf(extra + n, sizeof extra - (size_t)n, "; Max-Age=%u",
                      (unsigned)req_arg_num(r, "maxage", 600));
    snprintf(extra + n, sizeof extra - (size_t)n, "\r\n");
    body.n = 0;
    buf_puts(&body, "you got a cookie");
    answer(c, r, 200, "text/plain;charset=utf-8", extra, &body);
}

void page_customer(struct conn *c, const struct req *r)
{
    body.n = 0;
    buf_puts(&body, "{\"message\": \"sports2000 not connected\"");
    answer_json(c, r, 200,
                str_is(r->path, "/web/customercache") ? "Cache-Control: max-age=60\r\n" : NULL);
}

void page_propath(struct conn *c, const struct req *r)
{
    body.n = 0;
    buf_puts(&body, "{\"propath\": [\".\", \"openedge\"]");
    answer_json(c, r, 200, NULL);
}

void page_ping(struct conn *c, const struct req *r)
{
    counters.pings++;
    body.n = 0;
    if (c->mode == MODE_PINGFAIL && ctl_mode_code()) {
        answer_error(c, r, (int)ctl_mode_code(), "ABL error");
        return;
    }
    buf_puts(&body, "{\"response\":{\"_retVal\":\"");
    if (c->mode == MODE_PINGFAIL)
        buf_puts(&body, "database is not connected");
    buf_puts(&body, "\"}}");
    answer(c, r, 200, "application/json", NULL, &body);
}

void page_health(struct conn *c, const struct req *r)
{
    char t[64];

    body.n = 0;
    snprintf(t, sizeof t, "{\"health\": %.2f}\n", ctl_health());
    buf_puts(&body, t);
    answer(c, r, ctl_health() < 0.5 ? 500 : 200, "application/json", NULL, &body);
}

void page_redirect(struct conn *c, const struct req *r)
{
    char extra[768], local[80] = "";
    const char *to = req_arg(r, "to"), *form = req_arg(r, "form");
    struct str host = req_header(r, "host");
    int status = (int)req_arg_num(r, "code", 302);

    if (strcmp(form, "backend") == 0) {
        char name[64] = "";
        gethostname(name, sizeof name - 1);
        snprintf(local, sizeof local, "%s:%u", name, settings.port);
        host = lit(local);
    }
    if (*to)
        snprintf(extra, sizeof extra, "Location: %s\r\n", to);
    else if (strcmp(form, "relative") == 0)
        snprintf(extra, sizeof extra, "Location: /web/get\r\n");
    else if (strcmp(form, "path") == 0)
        snprintf(extra, sizeof extra, "Location: get\r\n");
    else
        snprintf(extra, sizeof extra, "Location: %s://%.*s/web/get\r\n",
                 strcmp(form, "https") == 0 ? "https" : "http",
                 (int)(host.n < 256 ? host.n : 256), host.p);
    body.n = 0;
    answer(c, r, status, NULL, extra, &body);
}

void page_status(struct conn *c, const struct req *r)
{
    int code = (int)req_arg_num(r, "code", 200);

    if (code < 200 || code > 599)
        code = 400;
    body.n = 0;
    buf_puts(&body, "{\"status\": ");
    buf_num(&body, (uint64_t)code);
    answer_json(c, r, code, NULL);
}

/* ---- sessions: each belongs to one backend, as in PAS ---- */

static struct known *find(struct known *t, uint64_t id)
{
    for (unsigned i = 0; id && i < TABLE_SIZE; i++)
        if (t[i].id == id)
            return &t[i];
    return NULL;
}

static struct known *remember(struct known *t, unsigned *n)
{
    struct known *k = &t[(*n)++ % TABLE_SIZE];
    *k = (struct known){.id = random_u64()};
    return k;
}

static uint64_t session_of(const struct req *r)
{
    struct str v = req_header(r, "cookie");
    const char *p = v.n ? memmem(v.p, v.n, "JSESSIONID=", 11) : NULL;

    if (!p)
        v = r->target, p = memmem(v.p, v.n, "jsessionid=", 11);
    if (!p || (size_t)(v.p + v.n - p) < 11 + 16)
        return 0;
    char hex[17] = {0};
    memcpy(hex, p + 11, 16);
    return strtoull(hex, NULL, 16);
}

void page_session(struct conn *c, const struct req *r)
{
    char extra[160] = "";
    struct known *s = find(sessions, session_of(r));
    bool fresh = !s;

    if (fresh) {
        s = remember(sessions, &sessions_n);
        /* the same route in every backend, as in containers of one image */
        const char *path = req_arg(r, "path");
        snprintf(extra, sizeof extra,
                 "Set-Cookie: JSESSIONID=%016llX%016llX.as-pas; Path=%.60s; HttpOnly\r\n",
                 (unsigned long long)s->id, (unsigned long long)~s->id, *path ? path : "/");
    }
    s->hits++;
    body.n = 0;
    buf_puts(&body, "{\"session\": \"");
    buf_hex(&body, s->id, 16);
    buf_puts(&body, fresh ? "\", \"new\": true" : "\", \"new\": false");
    put_key("hits");
    buf_num(&body, s->hits);
    answer_json(c, r, 200, *extra ? extra : NULL);
}

void page_apsv(struct conn *c, const struct req *r)
{
    char extra[160], hex[20] = "";
    const char *arg = req_arg(r, "CONNHDL");
    struct str h = req_header(r, "connhdl");

    snprintf(hex, sizeof hex, "%.*s", (int)(h.n < 16 ? h.n : 16), h.n ? h.p : "");
    if (*arg)
        snprintf(hex, sizeof hex, "%.16s", arg);
    uint64_t id = strtoull(hex, NULL, 16);
    struct known *k = id ? find(handles, id) : remember(handles, &handles_n);
    if (!k) {
        answer_error(c, r, 500, "unknown CONNHDL");
        return;
    }
    k->hits++;
    snprintf(extra, sizeof extra,
             "CONNHDL: %016llx\r\nSet-Cookie: JSESSIONID=%016llX%016llX.as-pas; Path=/\r\n",
             (unsigned long long)k->id, (unsigned long long)k->id, (unsigned long long)~k->id);
    body.n = 0;
    buf_puts(&body, "{\"connhdl\": \"");
    buf_hex(&body, k->id, 16);
    buf_puts(&body, "\", \"hits\": ");
    buf_num(&body, k->hits);
    put_key("length");
    buf_num(&body, c->body_seen);
    put_instance();
    answer(c, r, 200, "application/octet-stream", extra, &body);
}
