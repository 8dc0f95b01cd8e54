#include "worker/conn/pace.h"

void pace_wait(struct pace *p, uint64_t now_ms)
{
    if (!p->since_ms)
        p->since_ms = now_ms;
}

/* Milliseconds of the current wait. */
static uint64_t waiting(const struct pace *p, uint64_t now_ms)
{
    return p->since_ms && now_ms > p->since_ms ? now_ms - p->since_ms : 0;
}

void pace_got(struct pace *p, uint64_t now_ms, uint64_t bytes, uint32_t rate)
{
    int64_t most = -(int64_t)PACE_CREDIT_MS * rate;

    /* No overflow: no message has 2^53 bytes, no wait lasts 2^31 seconds. */
    p->behind += (int64_t)(waiting(p, now_ms) * rate) - (int64_t)(bytes * 1000);
    if (p->behind < most)
        p->behind = most;
    p->waited_ms += waiting(p, now_ms);
    p->since_ms = 0;
}

uint64_t pace_waited(const struct pace *p, uint64_t now_ms)
{
    return p->waited_ms + waiting(p, now_ms);
}

uint32_t pace_left(const struct pace *p, uint64_t now_ms, uint32_t grace_ms, uint32_t rate)
{
    int64_t may;

    if (!rate)
        return UINT32_MAX;
    may = (int64_t)grace_ms * rate - p->behind - (int64_t)(waiting(p, now_ms) * rate);
    if (may <= 0)
        return 0;
    may = (may + rate - 1) / rate;
    return may < UINT32_MAX ? (uint32_t)may : UINT32_MAX;
}
