/* The steps of a client's connection: one function per state, each returns true when the next
 * step can run at once (worker/conn/client.h). */
#include <string.h>

#include "base/conf/conf.h"
#include "base/log.h"
#include "worker/conn/client_state.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"
#include "worker/tls/tls.h"

/* The response was cut short. A client for which the close marks the end (HTTP/1.0) would take
 * FIN for a complete response, so it gets a reset. */
static void close_hard(struct client *c)
{
    stream_reset(&c->stream);
    c->state = CLIENT_CLOSED;
}

/* Closes politely. Unread bytes of the client would turn the close into a reset, which could
 * overtake our response, so they are read for a while. */
static void close_politely(struct client *c)
{
    bool unread = c->stream.readable || !c->body_done;

    stream_shutdown(&c->stream, unread);
    head_buffer_free(c->worker, c->head_buffer); /* all that comes now is discarded */
    c->head_buffer = NULL;
    c->state = unread ? CLIENT_LINGER : CLIENT_CLOSED;
    if (unread)
        client_arm(c, WORKER_LINGER_MS);
}

static bool step_handshake(struct client *c)
{
    struct worker *worker = c->worker;
    int done;

    if (!c->stream.readable)
        return false;
    done = stream_handshake(&c->stream);
    if (done < 0) {
        client_handshake_failed(c, tls_conn_failure(c->stream.tls),
                                tls_conn_error(c->stream.tls));
        return true;
    }
    if (done == 0)
        return false;
    count_add(&worker->row->handshakes, 1);
    if (tls_conn_alpn(c->stream.tls) == TLS_ALPN_ACME) { /* the CA has seen what it needs */
        c->state = CLIENT_CLOSED;
        return true;
    }
    if (tls_conn_resumed(c->stream.tls))
        count_add(&worker->row->handshakes_resumed, 1);
    c->peer.handshake_us = worker->loop.now_us - c->peer.accepted_us;
    c->state = CLIENT_IDLE;
    client_arm_wait(c);
    return true;
}

/* Reads more of a head into head_buffer. 1: got some; 0: none now; -1: gone; -2: no memory for
 * it; what came first is there. A client that sends nothing, or closes, needs no memory. */
static int read_head(struct client *c)
{
    struct worker *worker = c->worker;
    bool first = !c->head_buffer;
    ssize_t got;

    if (!c->stream.readable)
        return 0;
    if (first)
        c->head_buffer = head_buffer_new_apart(worker, WORKER_HEAD_BUFFER);
    else if (c->head_buffer->n == c->head_buffer->cap)
        c->head_buffer =
            head_buffer_grow(worker, c->head_buffer, worker->limits.head + WORKER_HEAD_BUFFER);
    if (!c->head_buffer)
        return -2;
    got = stream_read(&c->stream, c->head_buffer->bytes + c->head_buffer->n,
                      c->head_buffer->cap - c->head_buffer->n);
    if (got <= 0)
        return got == STREAM_AGAIN ? 0 : -1;
    c->head_buffer->n += (size_t)got;
    return !first || client_of_status(c) || head_buffer_claim(worker, c->head_buffer) ? 1 : -2;
}

void client_refuse_head(struct client *c, int error)
{
    const struct h1_error_info *info = h1_error_info(error);

    client_refuse(c, info->status, info->reason);
    c->body_done = false; /* what follows is not a request: read and discarded */
    c->state = CLIENT_EXCHANGE;
}

/* Finds how many of the bytes behind the head are its body, and decodes them in place. */
static int first_body(struct client *c, const struct http_request *r, size_t head, size_t *n)
{
    size_t there = c->head_buffer->n - head;
    ssize_t used = 0;

    *n = 0;
    c->body = r->body;
    c->body_left = 0;
    if (r->body == HTTP_BODY_LENGTH) {
        *n = there < r->content_length ? there : (size_t)r->content_length;
        c->body_left = r->content_length - *n;
        used = (ssize_t)*n;
    } else if (r->body == HTTP_BODY_CHUNKED) {
        h1_chunked_init(&c->chunks);
        used = h1_chunked_squeeze(&c->chunks, c->head_buffer->bytes + head, there, n,
                                  &c->worker->limits);
        if (used < 0)
            return (int)used;
    }
    c->used = head + (size_t)used;
    c->body_done = r->body == HTTP_BODY_CHUNKED ? c->chunks.done : c->body_left == 0;
    return 0;
}

static void begin_exchange(struct client *c, size_t head, bool refuse)
{
    const struct http_request *r = &c->head_buffer->head.request;
    size_t n;
    int error = first_body(c, r, head, &n);

    if (error < 0) {
        client_refuse_head(c, error);
        return;
    }
    c->minor = r->version_minor;
    c->keep = r->keep_alive;
    c->expect = r->expect_continue && !c->body_done && n == 0;
    c->want_body = c->cut = c->chunked = c->tunnel = false;
    c->sends = c->reads = (struct pace){0};
    c->state = CLIENT_EXCHANGE;
    c->peer.requests++;
    client_asked(c);
    client_arm(c, 0);
    c->transport.request = r;
    c->transport.begin_us = c->head_us;
    c->transport.wire_in = c->used;
    c->transport.wire_out = 0;
    if (!c->worker->requests->create(c->worker, &c->transport)) {
        client_refuse(c, 503, EXCHANGE_NO_MEMORY);
    } else if (!refuse) {
        c->worker->requests->begin(c->transport.exchange, c->head_buffer->bytes + head, n,
                                   c->body_done);
    } else {
        c->keep = false;
        c->worker->requests->no_memory(c->transport.exchange, n);
    }
}

static ssize_t parse_head(struct client *c)
{
    const struct h1_request_policy policy = {.is_tls = c->peer.tls != NULL,
                                             .raw_targets = c->peer.listen->targets ==
                                                            CONF_TARGETS_ENCODE};
    struct head_buffer *buffer = c->head_buffer;

    return h1_request_parse(&buffer->head.request, buffer->bytes, buffer->n, &buffer->scan,
                            &c->worker->limits, &policy);
}

static void refuse_for_memory(struct client *c)
{
    client_refuse(c, 503, EXCHANGE_NO_MEMORY);
    c->body_done = false; /* its request is not parsed: read and discarded */
    c->state = CLIENT_EXCHANGE;
}

/* The same for one that has just begun: what has come of it is read for a moment, so that the
 * access log can tell which request it was. */
static bool refuse_first(struct client *c)
{
    ssize_t head;

    c->head_us = c->worker->loop.now_us;
    head = c->head_buffer ? parse_head(c) : 0;
    if (head > 0)
        begin_exchange(c, (size_t)head, true);
    else
        refuse_for_memory(c);
    return true;
}

static bool step_idle(struct client *c)
{
    int got = c->broken ? -1 : 1;

    if (got > 0 && (!c->head_buffer || !c->head_buffer->n)) {
        got = read_head(c);
        if (got == 0 || got == -1) {
            head_buffer_free(c->worker, c->head_buffer);
            c->head_buffer = NULL;
        }
    }
    if (got == -2)
        return refuse_first(c);
    if (got < 0) {
        c->state = CLIENT_CLOSED;
        return true;
    }
    if (got == 0)
        return false;
    c->state = CLIENT_HEAD;
    c->head_us = c->worker->loop.now_us;
    client_arm_wait(c);
    return true;
}

static bool step_head(struct client *c)
{
    ssize_t head = parse_head(c);
    int got;

    if (head < 0) {
        client_refuse_head(c, (int)head);
        return true;
    }
    if (head > 0) {
        begin_exchange(c, (size_t)head, false);
        return true;
    }
    got = read_head(c);
    if (got == -2)
        refuse_for_memory(c);
    else if (got < 0)
        c->state = CLIENT_CLOSED;
    return got != 0;
}

/* FIN behind a whole request may close one direction or both. The response is sent, and the
 * client is probed, so that an abandoned request ends as soon as it is known to be
 * abandoned. */
static void look_after_half_close(struct client *c)
{
    if (c->probed)
        return;
    c->probed = true;
    stream_half_closed(&c->stream);
}

/* Reads bytes of a tunnel, first those that came with the head. */
static bool read_tunnel(struct client *c)
{
    char *to = worker_body(c->worker);
    ssize_t got;

    if (c->head_buffer->n > c->used) {
        got = (ssize_t)(c->head_buffer->n - c->used);
        memcpy(to, c->head_buffer->bytes + c->used, (size_t)got);
        c->head_buffer->n = c->used;
    } else {
        got = c->stream.readable ? stream_read(&c->stream, to, WORKER_BODY) : STREAM_AGAIN;
    }
    if (got == STREAM_AGAIN)
        return false;
    c->want_body = false;
    if (got > 0) {
        c->transport.wire_in += (size_t)got;
        c->worker->requests->body(c->transport.exchange, to, (size_t)got, false);
    } else if (got == STREAM_EOF) {
        c->body_done = true;
        look_after_half_close(c);
        c->worker->requests->tunnel_ended(c->transport.exchange);
    } else {
        c->worker->requests->abort(c->transport.exchange, 0, "the client went away");
    }
    return true;
}

/* Sets aside what followed a chunked body: it is the next request. */
static bool keep_surplus(struct client *c, const char *bytes, size_t n)
{
    if (!n)
        return true;
    c->worker->requests->hold(c->transport.exchange);
    c->next = head_buffer_new(c->worker, WORKER_HEAD_BUFFER);
    if (!c->next)
        return false;
    memcpy(c->next->bytes, bytes, n);
    c->next->n = n;
    return true;
}

static bool read_chunked(struct client *c, char *to, size_t got)
{
    size_t n;
    ssize_t used = h1_chunked_squeeze(&c->chunks, to, got, &n, &c->worker->limits);

    if (used < 0) {
        c->worker->requests->abort(c->transport.exchange, h1_error_info((int)used)->status,
                                   h1_error_info((int)used)->reason);
        return true;
    }
    c->body_done = c->chunks.done;
    c->transport.wire_in += (size_t)used;
    if (!keep_surplus(c, to + used, got - (size_t)used)) {
        c->keep = false; /* part of the next request is lost */
        c->worker->requests->no_memory(c->transport.exchange, 0);
        return true;
    }
    if (!n && !c->body_done)
        return true;
    c->want_body = false;
    c->worker->requests->body(c->transport.exchange, to, n, c->body_done);
    return true;
}

uint32_t client_begin_left(const struct client *c)
{
    uint64_t waited = pace_waited(&c->sends, c->worker->loop.now_ms);

    /* Without a slot it delays nobody. */
    if (!c->worker->requests->owes_body(c->transport.exchange))
        return UINT32_MAX;
    return waited < CLIENT_BODY_BEGIN_MS ? CLIENT_BODY_BEGIN_MS - (uint32_t)waited : 0;
}

/* Applies three limits: for the first byte, between two pieces, and the minimum rate. */
static void wait_for_body(struct client *c)
{
    uint64_t now = c->worker->loop.now_ms;
    uint32_t ms = c->transport.body_ms, left, begin;

    pace_wait(&c->sends, now);
    left = pace_left(&c->sends, now, ms, c->worker->conf->limits.min_body_rate);
    begin = client_begin_left(c);
    left = begin < left ? begin : left;
    client_arm(c, left < ms ? left + 1 : ms);
}

static bool read_body(struct client *c)
{
    char *to = worker_body(c->worker);
    size_t room = WORKER_BODY;
    ssize_t got;

    /* A chunked body may be followed by the next request, which must fit into a head_buffer. */
    if (c->body == HTTP_BODY_CHUNKED)
        room = WORKER_HEAD_BUFFER;
    else if (c->body_left < room)
        room = (size_t)c->body_left;
    if (!c->stream.readable) {
        wait_for_body(c);
        return false;
    }
    got = stream_read(&c->stream, to, room);
    if (got == STREAM_AGAIN) {
        wait_for_body(c);
        return false;
    }
    if (got <= 0) {
        c->worker->requests->abort(
            c->transport.exchange, 0,
            "the client closed the connection in the middle of the body");
        return true;
    }
    pace_got(&c->sends, c->worker->loop.now_ms, (uint64_t)got,
             c->worker->conf->limits.min_body_rate);
    client_arm(c, 0);
    if (c->body == HTTP_BODY_CHUNKED)
        return read_chunked(c, to, (size_t)got);
    c->transport.wire_in += (size_t)got;
    c->body_left -= (uint64_t)got;
    c->body_done = c->body_left == 0;
    c->want_body = false;
    c->worker->requests->body(c->transport.exchange, to, (size_t)got, c->body_done);
    return true;
}

/* Moves what came behind the request to the front: it is the next request. */
static void next_request(struct client *c)
{
    struct head_buffer *buffer = c->head_buffer;

    if (c->next) {
        head_buffer_free(c->worker, buffer);
        c->head_buffer = c->next;
        c->next = NULL;
    } else if (buffer->n > c->used) {
        memmove(buffer->bytes, buffer->bytes + c->used, buffer->n - c->used);
        buffer->n -= c->used;
        buffer->scan = (struct h1_scan){0};
    } else {
        head_buffer_free(c->worker, buffer);
        c->head_buffer = NULL;
    }
    c->used = 0;
    c->state = CLIENT_IDLE;
    client_arm_wait(c);
}

static bool step_exchange(struct client *c)
{
    if (!c->transport.exchange) {
        if (c->writing && !c->broken)
            return false;
        if (c->cut || c->broken)
            close_hard(c);
        else if (c->keep)
            next_request(c);
        else
            close_politely(c);
        return true;
    }
    /* The two directions of a tunnel do not wait for each other. */
    if ((c->writing && !c->tunnel) || !c->want_body) {
        if (c->broken) {
            c->worker->requests->abort(c->transport.exchange, 0, "the client went away");
            return true;
        }
        if (c->stream.hung_up && !c->writing)
            look_after_half_close(c);
        return false;
    }
    if (client_continue(c) < 0) {
        c->worker->requests->abort(c->transport.exchange, 0, "the client went away");
        return true;
    }
    /* The 100 still waits, and its deadline runs: the body is read when the 100 is out. */
    if (c->writing && !c->tunnel)
        return false;
    return c->tunnel ? read_tunnel(c) : read_body(c);
}

/* One read per step, so that a client that sends without end gets only its turn. */
static bool step_linger(struct client *c)
{
    ssize_t got = STREAM_AGAIN;

    if (c->stream.readable)
        got = stream_read(&c->stream, worker_body(c->worker), WORKER_BODY);
    if (got == STREAM_AGAIN)
        return false;
    if (got <= 0)
        c->state = CLIENT_CLOSED;
    return true;
}

bool client_step(struct client *c)
{
    switch ((enum client_state)c->state) {
    case CLIENT_HANDSHAKE:
        return step_handshake(c);
    case CLIENT_IDLE:
        return step_idle(c);
    case CLIENT_HEAD:
        return step_head(c);
    case CLIENT_EXCHANGE:
        return step_exchange(c);
    case CLIENT_LINGER:
        return step_linger(c);
    case CLIENT_CLOSED:
        break;
    }
    return false;
}
