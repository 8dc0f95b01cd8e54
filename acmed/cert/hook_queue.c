#include "acmed/cert/hook_queue.h"

#include <stddef.h>
#include <string.h>

void hook_queue_deployed(struct hook_queue *q, const char *event)
{
    if (!q->deployed || strcmp(event, "issued") == 0)
        q->deployed = event;
    q->trouble = NULL;
}

void hook_queue_trouble(struct hook_queue *q, const char *event)
{
    q->trouble = event;
}

const char *hook_queue_next(const struct hook_queue *q, uint64_t now_ms)
{
    if (!q->deployed)
        return q->trouble;
    return now_ms < q->retry_ms ? NULL : q->deployed;
}

void hook_queue_called(struct hook_queue *q, const char *event, bool started, uint64_t now_ms)
{
    if (event != q->deployed) {
        q->trouble = NULL;
        return;
    }
    if (started)
        q->deployed = NULL;
    q->retry_ms = started ? 0 : now_ms + HOOK_QUEUE_RETRY_MS;
}

void hook_queue_lost(struct hook_queue *q, const char *event, uint64_t now_ms)
{
    const char *trouble = q->trouble; /* came after the call */

    hook_queue_deployed(q, event);
    q->trouble = trouble;
    q->retry_ms = now_ms + HOOK_QUEUE_LOST_MS;
}
