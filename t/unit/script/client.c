/* Scripted clients: a transport (worker/proxy/exchange.h) that also checks how it is used. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/container.h"
#include "t/unit/script/script.h"
#include "worker/upstream/upstream.h"

static struct client *all[SCRIPT_CLIENTS];
static unsigned n_all;
unsigned script_own_errors;
static const struct conf_listen plain = {.address = "127.0.0.1", .port = 80};

/* ---- what the exchange asks of its transport */

static void wrong(struct client *c, const char *what)
{
    if (!c->wrong)
        c->wrong = what;
}

static int take(struct client *c, const char *data, size_t n, bool last)
{
    if (c->last)
        wrong(c, "bytes after the last ones");
    if (c->takes < 0)
        return -1;
    if (n > sizeof c->text - 1 - c->n)
        n = sizeof c->text - 1 - c->n;
    memcpy(c->text + c->n, data, n);
    c->n += n;
    c->last = last;
    return c->takes;
}

static struct client *client_of(struct transport *t)
{
    return container_of(t, struct client, transport);
}

static void scripted_head(struct client *c, uint16_t status)
{
    if (c->ends)
        wrong(c, "a response after the end");
    if (c->heads++)
        wrong(c, "a second response");
    c->status = status;
}

static int scripted_respond(struct transport *t, const struct http_head *head, char *data,
                            size_t n, bool last)
{
    struct client *c = client_of(t);

    if (c->takes >= 0)
        scripted_head(c, head->status);
    return take(c, data, n, last);
}

static int scripted_body(struct transport *t, char *data, size_t n, bool last)
{
    struct client *c = client_of(t);

    if (!c->heads)
        wrong(c, "a body without its head");
    if (c->status == 101 && last) {
        c->fin = true;
        return 0;
    }
    return take(c, data, n, last);
}

static int scripted_interim(struct transport *t, const struct http_head *head)
{
    struct client *c = client_of(t);

    (void)head;
    if (c->heads)
        wrong(c, "an interim response after the final one");
    c->interims++;
    return c->takes < 0 ? -1 : 0;
}

static int scripted_own(struct transport *t, const struct http_head *head, struct str body)
{
    struct client *c = client_of(t);

    (void)body;
    scripted_head(c, head->status);
    c->own = true;
    script_own_errors += head->status >= 500;
    c->last = true;
    return c->takes < 0 ? -1 : 0;
}

static void scripted_want_body(struct transport *t)
{
    client_of(t)->asked = true;
}

static void scripted_finish(struct transport *t, bool whole)
{
    struct client *c = client_of(t);

    if (c->ends++)
        wrong(c, "a second end");
    if (whole && !c->last && c->status != 101)
        wrong(c, "called whole, but its last bytes are missing");
    c->whole = whole;
    c->transport.exchange = NULL;
    /* Nothing of the request may be used from here on. */
    memset(&c->request, 0xa5, sizeof c->request);
    free(c->head);
    c->head = NULL;
}

static const struct transport_ops scripted = {
    .piece = WORKER_BODY,
    .respond = scripted_respond,
    .body = scripted_body,
    .interim = scripted_interim,
    .own = scripted_own,
    .want_body = scripted_want_body,
    .finish = scripted_finish,
};

/* ---- what a client does */

static void enter(struct client *c)
{
    CHECK(n_all < SCRIPT_CLIENTS);
    all[n_all++] = c;
    c->peer.listen = &plain;
    c->peer.address.v4 =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->peer.ip_len = (uint8_t)snprintf(c->peer.ip, sizeof c->peer.ip, "127.0.0.1");
}

/* Puts "\r\n" where the script has "\n", up to the empty line. Returns the length of the head;
 * *rest: the bytes after it. */
static size_t write_head(char *to, const char *request, const char **rest)
{
    const char *line = request, *end = strchr(line, '\n');
    int n = sprintf(to, "%.*s HTTP/1.1\r\nHost: shop.test\r\n",
                    (int)(end ? end - line : (ptrdiff_t)strlen(line)), line);

    *rest = "";
    while (end) {
        line = end + 1;
        end = strchr(line, '\n');
        if (end == line) {
            *rest = end + 1;
            break;
        }
        n += sprintf(to + n, "%.*s\r\n", (int)(end ? end - line : (ptrdiff_t)strlen(line)),
                     line);
    }
    n += sprintf(to + n, "\r\n");
    return (size_t)n;
}

/* Is the body, of which n bytes are there, complete? */
static bool is_all(const struct client *c, size_t n)
{
    if (c->request.body == HTTP_BODY_LENGTH)
        return n == c->request.content_length;
    return c->request.body == HTTP_BODY_NONE;
}

void script_ask(struct client *c, const char *request)
{
    const struct h1_request_policy policy = {.raw_targets = true};
    struct h1_scan scan = {0};
    const char *body;
    size_t n, head;
    bool last;

    if (!c->peer.listen)
        enter(c);
    CHECK(!c->transport.exchange);
    c->asked = c->own = c->last = c->whole = c->fin = false;
    c->heads = c->interims = c->ends = 0;
    c->status = 0;
    c->n = 0;
    c->head = malloc(2 * strlen(request) + 128);
    CHECK(c->head);
    head = write_head(c->head, request, &body);
    n = strlen(body);
    CHECK(h1_request_parse(&c->request, c->head, head, &scan, &script_worker.limits, &policy) ==
          (ssize_t)head);
    last = is_all(c, n);
    c->peer.requests++;
    c->transport.ops = &scripted;
    c->transport.peer = &c->peer;
    c->transport.request = &c->request;
    c->transport.begin_us = script_worker.loop.now_us;
    c->transport.wire_in = head + n;
    CHECK(exchange_requests.create(&script_worker, &c->transport));
    exchange_requests.begin(c->transport.exchange, body, n, last);
}

void script_send(struct client *c, const char *bytes, bool last)
{
    CHECK(!c->pending);
    c->pending = strdup(bytes);
    c->npending = strlen(bytes);
    c->pending_last = last;
}

/* Gives the exchange what it asked for. */
static bool give(struct client *c)
{
    char *to = worker_body(&script_worker), *from = c->pending;

    if (!c->transport.exchange || !c->asked || !from)
        return false;
    memcpy(to, from, c->npending);
    free(from);
    c->pending = NULL;
    c->asked = false;
    c->transport.wire_in += c->npending;
    exchange_requests.body(c->transport.exchange, to, c->npending, c->pending_last);
    return true;
}

bool script_clients_turn(void)
{
    bool did = false;

    for (unsigned i = 0; i < n_all; i++)
        did |= give(all[i]);
    return did;
}

void script_read_on(struct client *c)
{
    c->takes = 0;
    if (c->transport.exchange)
        exchange_requests.writable(c->transport.exchange, true);
}

void script_leave(struct client *c)
{
    if (c->transport.exchange)
        exchange_abort(c->transport.exchange, 0, "the client went away");
}

/* As worker/conn/h1.c does: while a body is due this is an end in the middle of it; in a tunnel
 * it is passed on; otherwise the client still wants its response. */
void script_half_close(struct client *c)
{
    if (!c->transport.exchange || !c->asked)
        return;
    c->asked = false;
    if (c->transport.exchange->active->state == EXCHANGE_TUNNEL)
        exchange_requests.tunnel_ended(c->transport.exchange);
    else
        exchange_abort(c->transport.exchange, 0,
                       "the client closed the connection in the middle of the body");
}

/* Their connections end, in their order. */
void script_clients_end(void)
{
    for (unsigned i = 0; i < n_all; i++) {
        struct client *c = all[i];

        if (c->transport.exchange)
            exchange_cut(c->transport.exchange, EXCHANGE_END_PROXY, "pasgate stops");
        upstream_close_pinned(&c->transport.pins);
        free(c->pending);
        c->pending = NULL;
        c->peer.listen = NULL;
    }
    n_all = 0;
}

const char *script_got(const struct client *c)
{
    static char text[SCRIPT_TEXT + 64];
    int n;

    if (c->wrong)
        return c->wrong;
    if (c->own)
        n = sprintf(text, "%u of pasgate", c->status);
    else if (!c->heads)
        n = sprintf(text, "nothing");
    else
        n = sprintf(text, "%u%s%.*s", c->status, c->n ? " " : "", (int)c->n, c->text);
    if (!c->ends)
        sprintf(text + n, "...");
    else if (c->heads && !c->whole)
        sprintf(text + n, " (cut)");
    return text;
}
