#include "worker/box.h"

#include <stdlib.h>
#include <string.h>

#include "worker/core.h"

/* Of one size they come from the worker's pool, larger ones from the heap. */
static void *take(struct pool *pool, size_t size, size_t room, size_t pooled)
{
    return room <= pooled ? pool_take(pool) : malloc(size + room);
}

struct inbox *inbox_new(struct worker *worker, size_t room)
{
    struct inbox *inbox = take(&worker->inboxes, sizeof *inbox, room, WORKER_INBOX);

    if (!inbox)
        return NULL;
    inbox->scan = (struct http1_scan){0};
    inbox->n = 0;
    inbox->cap = room <= WORKER_INBOX ? WORKER_INBOX : room;
    return inbox;
}

struct inbox *inbox_grow(struct worker *worker, struct inbox *inbox, size_t room)
{
    struct inbox *more = inbox_new(worker, room);

    if (more) {
        more->head = inbox->head;
        more->scan = inbox->scan;
        more->n = inbox->n;
        memcpy(more->bytes, inbox->bytes, inbox->n);
    }
    inbox_free(worker, inbox);
    return more;
}

void inbox_free(struct worker *worker, struct inbox *inbox)
{
    if (!inbox)
        return;
    if (inbox->cap == WORKER_INBOX)
        pool_give(&worker->inboxes, inbox);
    else
        free(inbox);
}

struct outbox *outbox_new(struct worker *worker, size_t room)
{
    struct outbox *outbox = take(&worker->outboxes, sizeof *outbox, room, WORKER_OUTBOX);

    if (!outbox)
        return NULL;
    outbox->n = 0;
    outbox->cap = room <= WORKER_OUTBOX ? WORKER_OUTBOX : room;
    return outbox;
}

void outbox_free(struct worker *worker, struct outbox *outbox)
{
    if (!outbox)
        return;
    if (outbox->cap == WORKER_OUTBOX)
        pool_give(&worker->outboxes, outbox);
    else
        free(outbox);
}
