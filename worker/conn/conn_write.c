/* What is written to a client, whatever its protocol: to the socket, or kept for a slow reader
 * (worker/conn/conn_state.h). */
#include "base/conf/conf.h"
#include "worker/conn/conn_state.h"
#include "worker/core/clients.h"
#include "worker/core/core.h"

enum { CONN_LOOK_MS = 1000 }; /* minimum time between two checks of a slow reader */

void conn_waits(struct conn *c, size_t waiting)
{
    if (!conn_of_status(c))
        c->worker->waiting += waiting - c->waiting;
    clients_hold(c->peer.client, (ptrdiff_t)waiting - (ptrdiff_t)c->waiting);
    c->waiting = waiting;
}

void conn_holds(struct conn *c, size_t held)
{
    if (!conn_of_status(c))
        c->worker->waiting += held - c->held;
    clients_hold(c->peer.client, (ptrdiff_t)held - (ptrdiff_t)c->held);
    c->held = held;
}

/* ---- slow readers: their responses are kept as long as they read at all */

bool conn_has_room(const struct conn *c)
{
    const struct worker *worker = c->worker;
    const struct conf_limits *limits = &worker->conf->limits;

    return !c->tunnel && c->waiting + c->held < limits->response_buffer &&
           worker->waiting < limits->response_memory &&
           worker->collecting_bytes + worker->waiting < limits->memory / 4 * 3 &&
           worker->buffered + worker->waiting < limits->memory &&
           clients_may_hold(worker, c->peer.client);
}

/* Milliseconds until the next check whether it reads. */
static uint32_t left_to_read(const struct conn *c)
{
    uint32_t most = c->protocol->send_ms(c);
    uint32_t left = pace_left(&c->reads, c->worker->loop.now_ms, most,
                              c->worker->conf->limits.min_read_rate);

    /* A client that has used up its time still gets a moment to show that it reads. */
    if (left < CONN_LOOK_MS)
        left = CONN_LOOK_MS;
    return left < most ? left : most;
}

static void begin_waiting(struct conn *c)
{
    c->writing = true;
    /* Its request body is not read meanwhile. */
    pace_got(&c->sends, c->worker->loop.now_ms, 0, c->worker->conf->limits.min_body_rate);
    c->handed = stream_handed(&c->stream);
    c->taken = stream_acknowledged(&c->stream);
    pace_wait(&c->reads, c->worker->loop.now_ms);
    conn_arm(c, left_to_read(c));
}

void conn_flushed(struct conn *c)
{
    uint64_t handed = stream_handed(&c->stream);

    c->writing = false;
    conn_waits(c, 0);
    pace_got(&c->reads, c->worker->loop.now_ms, handed - c->handed,
             c->worker->conf->limits.min_read_rate);
    conn_arm(c, 0);
}

const char *conn_late(struct conn *c)
{
    uint64_t now = c->worker->loop.now_ms, taken = stream_acknowledged(&c->stream);
    uint64_t more = taken > c->taken ? taken - c->taken : 0;

    /* The socket's own buffer may hold more than the client reads in this time: only bytes that
     * the client has acknowledged count. */
    pace_got(&c->reads, now, more, c->worker->conf->limits.min_read_rate);
    pace_wait(&c->reads, now);
    c->taken = taken;
    c->handed = stream_handed(&c->stream);
    if (more && pace_left(&c->reads, now, c->protocol->send_ms(c),
                          c->worker->conf->limits.min_read_rate)) {
        conn_arm(c, left_to_read(c));
        return NULL;
    }
    count_add(&c->worker->row->slow_readers, 1);
    return more ? "the client read too slowly (limits.min_read_rate)"
                : "the client does not read the response";
}

/* Some bytes wait. 1: the backend must wait for the client, 2: it need not. */
static int keep_waiting(struct conn *c, size_t waiting)
{
    const struct conf_limits *limits = &c->worker->conf->limits;

    conn_waits(c, waiting);
    if (!c->writing)
        begin_waiting(c);
    if (conn_has_room(c))
        return 2;
    if (c->tunnel || waiting >= limits->response_buffer)
        return 1;
    if (!clients_may_hold(c->worker, c->peer.client))
        clients_refuse_bytes(c->worker, c->peer.client);
    else
        worker_refused_memory(c->worker, c->worker->waiting >= limits->response_memory
                                             ? "limits.response_memory"
                                             : "limits.memory");
    return 1;
}

int conn_put(struct conn *c, const char *bytes, size_t n, bool closing)
{
    ssize_t waiting =
        closing ? stream_write_last(&c->stream, bytes, n) : stream_write(&c->stream, bytes, n);

    if (waiting < 0) {
        c->broken = true;
        return -1;
    }
    if (waiting > 0)
        return keep_waiting(c, (size_t)waiting);
    if (c->writing)
        conn_flushed(c);
    return 0;
}

void conn_end_output(struct conn *c)
{
    ssize_t waiting = c->writing ? 1 : stream_shutdown(&c->stream, false);

    c->end_due = waiting > 0;
    if (waiting > 0) {
        if (!c->writing)
            begin_waiting(c);
        return;
    }
    c->ended = true;
    stream_shutdown(&c->stream, true);
}
