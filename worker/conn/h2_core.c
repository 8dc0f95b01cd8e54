/* HTTP/2: what its other files stand on: frames that go, and what the client may not make us do
 * (worker/conn/h2.h). */
#include <string.h>

#include "base/log.h"
#include "worker/conn/conn_state.h"
#include "worker/conn/h2.h"
#include "worker/core/core.h"

/* ---- frames that go */

static void put_out(struct h2 *h2)
{
    struct conn *c = h2->conn;
    bool waited = c->writing;
    size_t n = h2->nout;

    h2->nout = 0;
    if (n && !c->broken)
        conn_put(c, h2->out, n, false);
    /* What waited went out along with this: nobody else tells the streams. */
    h2->attend |= waited && !c->writing;
}

void h2_flush(struct h2 *h2)
{
    if (!h2->out)
        return;
    put_out(h2);
    mempool_return(&h2->conn->worker->h2_outs, h2->out);
    h2->out = NULL;
}

char *h2_room(struct h2 *h2, size_t n)
{
    struct conn *c = h2->conn;

    if (!h2->out) {
        h2->out = mempool_acquire(&c->worker->h2_outs);
        if (!h2->out)
            c->broken = true;
        h2->nout = 0;
        conn_schedule(c);
    } else if (n > H2_OUT - h2->nout) {
        put_out(h2);
    }
    if (c->broken)
        return NULL;
    h2->nout += n;
    return h2->out + h2->nout - n;
}

static void put_number(char *p, uint32_t value)
{
    p[0] = (char)(value >> 24);
    p[1] = (char)(value >> 16);
    p[2] = (char)(value >> 8);
    p[3] = (char)value;
}

void h2_put_head(char *p, size_t n, enum h2_type type, uint8_t flags, uint32_t stream)
{
    p[0] = (char)(n >> 16);
    p[1] = (char)(n >> 8);
    p[2] = (char)n;
    p[3] = (char)type;
    p[4] = (char)flags;
    put_number(p + 5, stream);
}

void h2_send_frame(struct h2 *h2, enum h2_type type, uint8_t flags, uint32_t stream,
                   const void *payload, size_t n)
{
    char *p = h2_room(h2, H2_FRAME_HEAD + n);

    if (!p)
        return;
    h2_put_head(p, n, type, flags, stream);
    if (n)
        memcpy(p + H2_FRAME_HEAD, payload, n);
}

void h2_send_number(struct h2 *h2, enum h2_type type, uint32_t stream, uint32_t value)
{
    char payload[4];

    put_number(payload, value);
    h2_send_frame(h2, type, 0, stream, payload, sizeof payload);
}

void h2_send_goaway(struct h2 *h2, uint32_t last, enum h2_error error)
{
    char payload[8];

    put_number(payload, last);
    put_number(payload + 4, error);
    h2_send_frame(h2, H2_GOAWAY, 0, 0, payload, sizeof payload);
}

/* ---- what a client may not do */

static void h2_end(struct h2 *h2, enum h2_error error, struct log_gate *gate, const char *why)
{
    struct conn *c = h2->conn;

    if (log_wants(LOG_LEVEL_INFO) && log_gate_open(gate))
        log_info("HTTP/2 connection of %s closed: %s", c->peer.ip, why);
    else
        log_debug("HTTP/2 connection of %s closed: %s", c->peer.ip, why);
    if (error != H2_NO_ERROR && error != H2_INTERNAL_ERROR)
        conn_offend(c);
    h2_send_goaway(h2, h2->newest, error);
    h2->dead = true;
    conn_schedule(c);
}

void h2_fail(struct h2 *h2, enum h2_error error, const char *why)
{
    static struct log_gate gate;

    if (h2->dead)
        return;
    count_add(&h2->conn->worker->row->http2_ended_protocol, 1);
    h2_end(h2, error, &gate, why);
}

void h2_limit(struct h2 *h2, _Atomic uint64_t *counter, const char *why)
{
    static struct log_gate gate;

    if (h2->dead)
        return;
    count_add(counter, 1);
    h2_end(h2, H2_ENHANCE_YOUR_CALM, &gate, why);
}

bool h2_count_frame(struct h2 *h2)
{
    struct worker *worker = h2->conn->worker;

    if (h2_budget_frame(&h2->budget, worker->loop.now_ms))
        return true;
    h2_limit(h2, &worker->row->http2_ended_frames, "too many frames of no use");
    return false;
}

void h2_count_reset(struct h2 *h2)
{
    struct worker *worker = h2->conn->worker;

    count_add(&worker->row->http2_resets, 1);
    if (!h2_budget_reset(&h2->budget, worker->loop.now_ms))
        h2_limit(h2, &worker->row->http2_ended_resets, "too many streams were reset");
}
