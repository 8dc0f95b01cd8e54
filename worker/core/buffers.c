#include "worker/core/buffers.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "shm/table.h"
#include "worker/core/clients.h"
#include "worker/core/core.h"

bool worker_has_memory(struct worker *worker, size_t n)
{
    while (worker->buffered + worker->waiting + n > worker->conf->limits.memory) {
        if (worker->end_old_head(worker) || worker->end_slow_body(worker))
            continue;
        atomic_store_explicit(&worker->row->memory_full_ms, worker->loop.now_ms,
                              memory_order_relaxed);
        worker_refused_memory(worker, "limits.memory");
        return false;
    }
    return true;
}

void worker_refused_memory(struct worker *worker, const char *setting)
{
    static struct log_gate gate;

    count_add(&worker->row->memory_refused, 1);
    if (log_gate_open(&gate))
        log_warn("connection buffers are full (%s): new requests get 503, and slow readers "
                 "hold their backends",
                 setting);
}

static void *buffers_get(struct mempool *pool, size_t size, size_t room, size_t pooled)
{
    return room == pooled ? mempool_acquire(pool) : malloc(size + room);
}

/* Buffers of the standard size come from the worker's pool, larger ones from the heap. */
static void *buffers_take(struct worker *worker, struct mempool *pool, size_t size, size_t room,
                          size_t pooled)
{
    void *buffer;

    if (room < pooled)
        room = pooled;
    if (!worker_has_memory(worker, room))
        return NULL;
    buffer = buffers_get(pool, size, room, pooled);
    if (buffer)
        worker->buffered += room;
    return buffer;
}

static struct head_buffer *empty_head(struct head_buffer *head_buffer, size_t room, bool apart)
{
    if (!head_buffer)
        return NULL;
    head_buffer->scan = (struct h1_scan){0};
    head_buffer->client = NULL;
    head_buffer->n = 0;
    head_buffer->cap = room <= WORKER_HEAD_BUFFER ? WORKER_HEAD_BUFFER : room;
    head_buffer->apart = apart;
    return head_buffer;
}

struct head_buffer *head_buffer_new(struct worker *worker, size_t room)
{
    return empty_head(buffers_take(worker, &worker->head_buffers, sizeof(struct head_buffer),
                                   room, WORKER_HEAD_BUFFER),
                      room, false);
}

struct head_buffer *head_buffer_new_apart(struct worker *worker, size_t room)
{
    if (room < WORKER_HEAD_BUFFER)
        room = WORKER_HEAD_BUFFER;
    return empty_head(buffers_get(&worker->head_buffers, sizeof(struct head_buffer), room,
                                  WORKER_HEAD_BUFFER),
                      room, true);
}

bool head_buffer_claim(struct worker *worker, struct head_buffer *head_buffer)
{
    if (!worker_has_memory(worker, head_buffer->cap))
        return false;
    head_buffer->apart = false;
    worker->buffered += head_buffer->cap;
    return true;
}

void head_buffer_charge(struct head_buffer *head_buffer, struct client *client)
{
    CHECK(!head_buffer->client && !head_buffer->apart);
    head_buffer->client = client;
    clients_hold(client, (ptrdiff_t)head_buffer->cap);
}

void request_buffer_charge(struct request_buffer *request_buffer, struct client *client)
{
    CHECK(!request_buffer->client);
    request_buffer->client = client;
    clients_hold(client, (ptrdiff_t)request_buffer->cap);
}

struct head_buffer *head_buffer_grow(struct worker *worker, struct head_buffer *head_buffer,
                                     size_t room)
{
    struct head_buffer *more = head_buffer->apart ? head_buffer_new_apart(worker, room)
                                                  : head_buffer_new(worker, room);

    if (more) {
        more->head = head_buffer->head;
        more->scan = head_buffer->scan;
        more->n = head_buffer->n;
        memcpy(more->bytes, head_buffer->bytes, head_buffer->n);
        if (!more->apart)
            head_buffer_charge(more, head_buffer->client);
    }
    head_buffer_free(worker, head_buffer);
    return more;
}

struct head_buffer *head_buffer_part(struct worker *worker, const struct head_buffer *buffer,
                                     size_t n, size_t from, size_t more)
{
    size_t room = n + more;
    struct head_buffer *less;

    if (buffer->apart || room > WORKER_HEAD_BUFFER / 2)
        return NULL;
    less = malloc(sizeof *less + room);
    if (!less)
        return NULL;
    less->scan = (struct h1_scan){0};
    less->n = less->cap = room;
    less->apart = false;
    less->client = buffer->client;
    clients_hold(less->client, (ptrdiff_t)room);
    memcpy(less->bytes, buffer->bytes, n);
    memcpy(less->bytes + n, buffer->bytes + from, more);
    worker->buffered += room;
    return less;
}

void head_buffer_free(struct worker *worker, struct head_buffer *head_buffer)
{
    if (!head_buffer)
        return;
    if (!head_buffer->apart)
        worker->buffered -= head_buffer->cap;
    clients_hold(head_buffer->client, -(ptrdiff_t)head_buffer->cap);
    if (head_buffer->cap == WORKER_HEAD_BUFFER)
        mempool_return(&worker->head_buffers, head_buffer);
    else
        free(head_buffer);
}

struct request_buffer *request_buffer_new(struct worker *worker, size_t room)
{
    struct request_buffer *request_buffer = buffers_take(
        worker, &worker->request_buffers, sizeof *request_buffer, room, WORKER_REQUEST_BUFFER);

    if (!request_buffer)
        return NULL;
    request_buffer->client = NULL;
    request_buffer->n = 0;
    request_buffer->cap = room <= WORKER_REQUEST_BUFFER ? WORKER_REQUEST_BUFFER : room;
    return request_buffer;
}

struct request_buffer *request_buffer_grow(struct worker *worker,
                                           struct request_buffer *request_buffer, size_t room)
{
    struct request_buffer *more = request_buffer_new(worker, room);

    if (more) {
        more->n = request_buffer->n;
        memcpy(more->bytes, request_buffer->bytes, request_buffer->n);
        request_buffer_charge(more, request_buffer->client);
    }
    request_buffer_free(worker, request_buffer);
    return more;
}

void request_buffer_free(struct worker *worker, struct request_buffer *request_buffer)
{
    if (!request_buffer)
        return;
    worker->buffered -= request_buffer->cap;
    clients_hold(request_buffer->client, -(ptrdiff_t)request_buffer->cap);
    if (request_buffer->cap == WORKER_REQUEST_BUFFER)
        mempool_return(&worker->request_buffers, request_buffer);
    else
        free(request_buffer);
}
