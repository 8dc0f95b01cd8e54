#include "worker/proxy/collecting.h"

#include "base/conf/conf.h"
#include "base/container.h"
#include "worker/core/buffers.h"
#include "worker/core/core.h"
#include "worker/proxy/exchange.h"

enum { COLLECTING_LOOKS = 8 /* of the oldest ones: the slowest of them is ended */ };

static bool collecting_too_much(const struct worker *worker)
{
    return worker->collecting_bytes > worker->conf->limits.memory / 2;
}

void collecting_wait(struct exchange *x)
{
    struct worker *worker = x->worker;
    size_t held = x->request_buffer->cap + WORKER_HEAD_BUFFER;

    worker->collecting_bytes += held - x->collects;
    x->collects = held;
    if (!x->collecting.next) { /* in the order in which they began */
        x->collecting.prev = worker->collecting.prev;
        x->collecting.next = &worker->collecting;
        x->collecting.prev->next = x->collecting.next->prev = &x->collecting;
    }
    x->held_back = true;
    while (collecting_too_much(worker) && worker->end_slow_body(worker))
        ;
    x->held_back = false;
}

void collecting_hold(struct exchange *x)
{
    x->held_back = true;
}

void collecting_leave(struct exchange *x)
{
    if (!x->collecting.next)
        return;
    x->collecting.prev->next = x->collecting.next;
    x->collecting.next->prev = x->collecting.prev;
    x->collecting.prev = x->collecting.next = NULL;
    x->worker->collecting_bytes -= x->collects;
    x->collects = 0;
}

/* Bytes of its body per second, since its head was complete. */
static uint64_t collecting_rate(const struct exchange *x)
{
    uint64_t us = x->worker->loop.now_us - x->at.parsed;

    return x->bytes_in * 1000000 / (us + 1);
}

/* The oldest ones have had the most time, and a new one none: a client that sends a few bytes
 * now and then cannot keep its place by that. */
struct exchange *collecting_slowest(const struct worker *worker)
{
    const struct loop_link *list = &worker->collecting, *at = list->next;
    struct exchange *slowest = NULL;

    for (int looks = 0; looks < COLLECTING_LOOKS && at != list; at = at->next) {
        struct exchange *x =
            container_of((struct loop_link *)(uintptr_t)at, struct exchange, collecting);

        if (x->held_back)
            continue;
        looks++;
        if (!slowest || collecting_rate(x) < collecting_rate(slowest))
            slowest = x;
    }
    return slowest;
}
