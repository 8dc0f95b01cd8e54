/*
 * Maps paths to responses, and sends the responses that take time: downloads,
 * echo, trickles. A request with a body gets its response after the body, except
 * /web/echo (both ways at once) and /web/early (before the body).
 */
#include "httpbin.h"

#include <stdio.h>
#include <string.h>

enum {
    KEEP_MAX = 4096,   /* body bytes that POST /post returns */
    CHUNK = 16 * 1024, /* as in conn.c */
};

/* ---- downloads ---- */

static void bytes(struct conn *c, const struct req *r)
{
    uint64_t n = req_arg_num(r, "n", 1024);
    struct stream s = {.n = n, .end = n};

    if (req_arg_num(r, "chunked", 0) && !r->http10) {
        uint64_t tail = n % CHUNK;
        s.chunked = true;
        s.end = n / CHUNK * (6 + CHUNK + 2) + 5;
        if (tail) {
            s.ntail = (uint8_t)snprintf(s.tail, sizeof s.tail, "%x\r\n", (unsigned)tail);
            s.end += s.ntail + tail + 2;
        }
    }
    answer_head(c, r, 200, "application/octet-stream", NULL, s.chunked ? UINT64_MAX : n);
    if (!str_is(r->method, "HEAD"))
        c->stream = s;
}

/* The crc32 of the body of /web/bytes?n=. */
static void sum(struct conn *c, const struct req *r)
{
    static struct buf b;
    uint64_t n = req_arg_num(r, "n", 1024);
    uint32_t crc = 0;

    for (uint64_t at = 0; at < n;) {
        uint64_t k = n - at < PATTERN_RUN ? n - at : PATTERN_RUN;
        crc = crc32_add(crc, pattern_at(at), (size_t)k);
        at += k;
    }
    b.n = 0;
    buf_hex(&b, crc, 8);
    answer(c, r, 200, "text/plain", NULL, &b);
}

/* ---- trickles ---- */

static void trickle(struct conn *c, const struct req *r)
{
    bool sse = str_is(r->path, "/web/sse");
    uint64_t n = req_arg_num(r, "n", 10);

    c->tick_sse = sse;
    c->ticks = 0;
    c->ticks_left = (unsigned)n;
    c->tick_ms = (unsigned)req_arg_num(r, "ms", 100);
    answer_head(c, r, 200, sse ? "text/event-stream" : "text/plain",
                sse ? "Cache-Control: no-store\r\n" : NULL, sse ? UINT64_MAX : n);
    if (str_is(r->method, "HEAD"))
        c->ticks_left = 0;
    if (c->ticks_left)
        timer_set(c, TIMER_TICK, 0);
    else if (sse)
        buf_puts(&obuf, "0\r\n\r\n");
}

void web_tick(struct conn *c)
{
    char event[48], chunk[64];

    if (!c->ticks_left)
        return;
    c->ticks++;
    c->ticks_left--;
    if (c->tick_sse) {
        int n = snprintf(event, sizeof event, "id: %u\ndata: tick\n\n", c->ticks);
        snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", (unsigned)n, event);
        buf_puts(&obuf, chunk);
        if (!c->ticks_left && c->mode != MODE_CUT)
            buf_puts(&obuf, "0\r\n\r\n");
    } else {
        buf_add(&obuf, pattern_at(c->ticks - 1), 1);
    }
    if (c->ticks_left)
        timer_set(c, TIMER_TICK, c->tick_ms);
}

/* ---- paths ---- */

static void delay(struct conn *c, const struct req *r)
{
    page_get(c, r);
    conn_hold(c, req_arg_num(r, "ms", 1000));
}

static void hints(struct conn *c, const struct req *r)
{
    if (!r->http10)
        buf_puts(&obuf, "HTTP/1.1 103 \r\nLink: </web/style.css>; rel=preload\r\n\r\n");
    page_get(c, r);
}

static void raw(struct conn *c, const struct req *r)
{
    struct buf b = {.p = (char *)r->raw.p, .n = r->raw.n};
    answer(c, r, 200, "text/plain", NULL, &b);
}

static const struct page {
    const char *path;
    const char *methods; /* NULL: any */
    void (*answer)(struct conn *, const struct req *);
} pages[] = {
    {"/web/get", "GET HEAD", page_get},
    {"/web/bytes", "GET HEAD", bytes},
    {"/web/upload", "POST PUT", page_upload},
    {"/web/post", "POST", page_post},
    {"/web/cookie", "GET", page_cookie},
    {"/web/persistentcookie", "GET", page_cookie},
    {"/web/customer", "GET", page_customer},
    {"/web/customercache", "GET", page_customer},
    {"/web/propath", "GET", page_propath},
    {"/web/session", NULL, page_session},
    {"/web/redirect", NULL, page_redirect},
    {"/web/status", NULL, page_status},
    {"/web/delay", NULL, delay},
    {"/web/sse", "GET HEAD", trickle},
    {"/web/trickle", "GET HEAD", trickle},
    {"/web/hints", "GET", hints},
    {"/web/raw", NULL, raw},
    {"/web/sum", "GET", sum},
    {"/web/ws", "GET", ws_start},
    {"/web", "GET HEAD", page_home},
    {"/web/", "GET HEAD", page_home},
    {"/", "GET HEAD", page_home},
    {"/health", "GET", page_health},
    /* reached only without a body */
    {"/web/echo", NULL, page_upload},
    {"/web/early", NULL, page_status},
};

static bool path_ends(const struct req *r, const char *tail)
{
    size_t n = strlen(tail);
    return r->path.n >= n && memcmp(r->path.p + r->path.n - n, tail, n) == 0;
}

static bool is_ping(const struct req *r)
{
    return path_ends(r, "/_oepingService/_oeping");
}

static bool method_in(const char *list, struct str method)
{
    while (*list) {
        size_t n = strcspn(list, " ");
        if (n == method.n && memcmp(list, method.p, n) == 0)
            return true;
        list += n + (list[n] == ' ');
    }
    return false;
}

static void not_allowed(struct conn *c, const struct req *r)
{
    static struct buf b;

    b.n = 0;
    buf_puts(&b, "405: ");
    buf_add(&b, r->method.p, r->method.n);
    buf_puts(&b, " of \"");
    for (size_t i = r->path.n > 4 ? 4 : 0; i < r->path.n && i < 204; i++)
        if (!strchr("<>&\"", r->path.p[i]))
            buf_add(&b, r->path.p + i, 1);
    buf_puts(&b, "\" not allowed\n");
    answer(c, r, 405, "text/html;charset=utf-8", NULL, &b);
}

static void dispatch(struct conn *c, const struct req *r)
{
    if (str_has_prefix(r->path, "/ctl")) {
        ctl_answer(c, r);
        return;
    }
    counters.calls++;
    if (is_ping(r)) {
        page_ping(c, r);
        return;
    }
    if (path_ends(r, "/apsv")) {
        if (str_is(r->method, "POST"))
            page_apsv(c, r);
        else
            page_home(c, r);
        return;
    }
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        const struct page *p = &pages[i];
        if (!str_is(r->path, p->path))
            continue;
        if (p->methods && !method_in(p->methods, r->method))
            break;
        p->answer(c, r);
        return;
    }
    if (str_has_prefix(r->path, "/web"))
        not_allowed(c, r);
    else
        answer_error(c, r, 404, "not found");
}

/* ---- faults ---- */

/* Keeps half of the body of the response that begins at `from`, and ends the connection. */
static void cut(struct conn *c, size_t from)
{
    char *body = memmem(obuf.p + from, obuf.n - from, "\r\n\r\n", 4);

    if (body) {
        size_t head = (size_t)(body - obuf.p) + 4;
        obuf.n = head + (obuf.n - head) / 2;
    }
    c->stream.end /= 2;
    c->ticks_left = (c->ticks_left + 1) / 2;
    c->closing = true;
}

static unsigned halves; /* requests in that mode: every other one fails */

static void dispatch_ill(struct conn *c, const struct req *r)
{
    size_t from = obuf.n;

    if (c->mode == MODE_500 || (c->mode == MODE_HALF && ++halves % 2)) {
        counters.calls++;
        answer_error(c, r, ctl_mode_code() ? (int)ctl_mode_code() : 500,
                     "the stand-in is told to fail");
        return;
    }
    if (c->mode == MODE_TRICKLE && !is_ping(r)) {
        counters.calls++;
        trickle(c, r);
        c->tick_ms = (unsigned)ctl_mode_ms();
        return;
    }
    dispatch(c, r);
    if (c->mode == MODE_CUT)
        cut(c, from);
    if ((c->mode == MODE_SLOW || c->mode == MODE_SLOWPING) && !c->held)
        conn_hold(c, ctl_mode_ms());
}

/* Applies faults that come before any body is read. True: the connection is finished. */
static bool ill_at_once(struct conn *c)
{
    switch (c->mode) {
    case MODE_RESET:
        conn_close(c, true);
        return true;
    case MODE_EMPTY:
        conn_close(c, false);
        return true;
    case MODE_GARBAGE:
        buf_add(&obuf, "\x16\x03\x01\x00garbage\x00\xff\xfe, not HTTP\n\n", 26);
        c->closing = true;
        return true;
    case MODE_HANG:
    case MODE_HANGAPP:
        conn_hold(c, UINT64_MAX);
        return false;
    default:
        return false;
    }
}

/* ---- called by conn.c ---- */

static void body_expect(struct conn *c, const struct req *r)
{
    c->state = CONN_BODY;
    c->sink = SINK_SUM;
    if (str_is(r->path, "/web/early")) {
        c->sink = SINK_DROP;
        page_status(c, r);
        if (req_arg_num(r, "close", 0))
            c->closing = true;
        return;
    }
    if (r->expect && !r->http10)
        buf_puts(&obuf, "HTTP/1.1 100 \r\n\r\n");
    if (str_is(r->path, "/web/echo")) {
        c->sink = SINK_ECHO;
        c->echo_chunked = r->chunked;
        counters.calls++;
        answer_head(c, r, 200, "application/octet-stream", NULL,
                    r->chunked ? UINT64_MAX : r->length);
    }
}

void web_head(struct conn *c, const struct req *r)
{
    bool control = c->ctl || str_has_prefix(r->path, "/ctl"), is_app = !is_ping(r);

    c->mode = control ? MODE_OK : ctl_mode(!is_app);
    if (!control && is_app)
        ctl_record(r);
    if (ill_at_once(c))
        return;
    if (r->chunked || r->length)
        body_expect(c, r);
    else
        dispatch_ill(c, r);
}

void web_body(struct conn *c, const char *p, size_t n)
{
    if (n == 0 || c->sink == SINK_DROP)
        return;
    if (c->sink == SINK_ECHO) {
        if (c->echo_chunked) {
            buf_hex(&obuf, n, 1);
            buf_puts(&obuf, "\r\n");
        }
        buf_add(&obuf, p, n);
        if (c->echo_chunked)
            buf_puts(&obuf, "\r\n");
        return;
    }
    c->crc = crc32_add(c->crc, p, n);
    if (c->keep.n < KEEP_MAX)
        buf_add(&c->keep, p, n < KEEP_MAX - c->keep.n ? n : KEEP_MAX - c->keep.n);
}

void web_body_end(struct conn *c, const struct req *r)
{
    dispatch_ill(c, r);
}
