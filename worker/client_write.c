/* What a client gets: heads, bodies, our own answers (worker/client.h). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/conf.h"
#include "worker/backends.h"
#include "worker/client_state.h"
#include "worker/core.h"
#include "worker/record.h"
#include "worker/request.h"
#include "worker/sticky.h"

/* One write; arms the client's deadline when the socket does not take it all.
 * last: of this answer. */
static int put(struct client *c, const char *bytes, size_t n, bool last)
{
    ssize_t waiting = last && !c->keep ? stream_write_last(&c->stream, bytes, n)
                                       : stream_write(&c->stream, bytes, n);

    if (waiting < 0) {
        c->broken = true;
        return -1;
    }
    if (waiting == 0)
        return 0;
    c->writing = true;
    loop_timer_set(&c->worker->loop, &c->timer, c->worker->conf->timeouts.send_ms);
    return 1;
}

static uint32_t hsts_seconds(const struct client *c)
{
    return c->peer.tls ? (uint32_t)(c->worker->conf->tls.hsts_ms / 1000) : 0;
}

/* Whether the connection can go on after an answer that begins now. */
static bool goes_on(const struct client *c)
{
    return c->keep && c->body_done && !c->worker->draining;
}

static ssize_t write_head(struct client *c, const struct exchange *x,
                          const struct http_response *head)
{
    struct worker *worker = c->worker;
    char cookie[STICKY_COOKIE];
    struct rewrite_out out;
    struct rewrite_response_info info = {
        .client_method = c->method,
        .client_minor = c->minor,
        .tls = c->peer.tls != NULL,
        .keep_alive = c->keep,
        .prefix = x->match.prefix,
        .upstream_path = x->match.upstream_path,
        .public_authority = x->request->authority,
        .backend_authority = x->backend->authority,
        .hsts_seconds = hsts_seconds(c),
        .hsts_subdomains = worker->conf->tls.hsts_subdomains,
        .request_id = str_make(x->id, sizeof x->id),
    };

    sticky_mark(x, c->peer.tls != NULL, &info, cookie);
    rewrite_out_init(&out, worker->head_area, WORKER_FRONT - HTTP1_CHUNK_HEAD_MAX);
    return rewrite_response(&out, head, &info);
}

static int respond(struct exchange *x, const struct http_response *head, char *data, size_t n,
                   bool last)
{
    struct client *c = x->client;
    enum http_body body = rewrite_response_body(head, c->minor);
    ssize_t len;

    c->tunnel = head->status == 101;
    c->chunked = body == HTTP_BODY_CHUNKED && !c->tunnel;
    c->keep = goes_on(c) && body != HTTP_BODY_UNTIL_CLOSE && !c->tunnel;
    if (c->tunnel)
        c->want_body = false;
    len = write_head(c, x, head);
    if (len < 0)
        return -1;
    if (c->chunked && (n || last))
        n = request_chunk(&data, n, last);
    /* Head and first bytes leave as one record and one write. */
    CHECK(data - x->worker->area >= len);
    data -= len;
    memcpy(data, x->worker->head_area, (size_t)len);
    return put(c, data, n + (size_t)len, last);
}

static int body(struct exchange *x, char *data, size_t n, bool last)
{
    struct client *c = x->client;

    if (c->chunked && (n || last))
        n = request_chunk(&data, n, last);
    return n ? put(c, data, n, last) : 0;
}

static int interim(struct exchange *x, const struct http_response *head)
{
    struct client *c = x->client;
    ssize_t len;

    if (c->minor == 0)
        return 0;
    len = write_head(c, x, head);
    return len < 0 ? -1 : put(c, c->worker->head_area, (size_t)len, false);
}

static int put_own(struct client *c, struct rewrite_own_info *info)
{
    size_t room = info->body.n + REWRITE_GROWTH_MAX + info->location.n;
    char *bytes = room <= WORKER_FRONT ? c->worker->head_area : malloc(room);
    struct rewrite_out out;
    ssize_t len;
    int result = -1;

    info->client_method = c->method;
    info->keep_alive = c->keep;
    info->tls = c->peer.tls != NULL;
    info->hsts_seconds = hsts_seconds(c);
    info->hsts_subdomains = c->worker->conf->tls.hsts_subdomains;
    info->date = str_from(c->worker->date);
    if (!bytes)
        return -1;
    rewrite_out_init(&out, bytes, room);
    len = rewrite_own_response(&out, info);
    if (len >= 0)
        result = put(c, bytes, (size_t)len, true);
    if (bytes != c->worker->head_area)
        free(bytes);
    return result;
}

static int own(struct exchange *x, struct rewrite_own_info *info)
{
    struct client *c = x->client;

    /* What was refused because of what the client said: its next bytes cannot
     * be trusted to be a request. */
    c->keep = goes_on(c) && info->status != 400 && info->status != 408;
    info->request_id = str_make(x->id, sizeof x->id);
    x->bytes_out = info->body.n;
    return put_own(c, info);
}

void client_refuse(struct client *c, uint16_t status, const char *detail)
{
    struct rewrite_own_info info = {.status = status};

    c->keep = false;
    c->method = HTTP_GET;
    record_refused(c->worker, &c->peer, status, detail);
    put_own(c, &info);
}

int client_continue(struct client *c)
{
    if (!c->expect)
        return 0;
    c->expect = false;
    return put(c, REWRITE_CONTINUE, sizeof REWRITE_CONTINUE - 1, false);
}

static void want_body(struct exchange *x)
{
    struct client *c = x->client;

    if (c->want_body || (c->body_done && !c->tunnel))
        return;
    c->want_body = true;
    client_schedule(c);
}

static void finish(struct exchange *x, bool whole)
{
    struct client *c = x->client;

    c->exchange = NULL;
    c->want_body = false;
    c->keep &= whole;
    c->cut = !whole;
    client_schedule(c);
}

const struct carrier_ops client_ops = {
    .respond = respond,
    .body = body,
    .interim = interim,
    .own = own,
    .want_body = want_body,
    .finish = finish,
};
