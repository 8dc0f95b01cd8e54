/* A token bucket, told the other way round: events fill it, time empties it at a rate, and it
 * is full at a burst. Pure; times are milliseconds of one clock. A zeroed one is empty. */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
    uint64_t at_ms; /* when it was last emptied */
    uint64_t level; /* in 1/1000 events */
};

/* Takes out what has left it since the last call; rate: 1/1000 events per millisecond, which is
 * events per second. */
static inline void bucket_leak(struct bucket *b, uint64_t now_ms, uint64_t rate)
{
    uint64_t ms = now_ms > b->at_ms ? now_ms - b->at_ms : 0;

    b->at_ms = now_ms;
    /* No overflow: whoever has waited that long has an empty one. */
    if (ms > b->level || ms * rate >= b->level)
        b->level = 0;
    else
        b->level -= ms * rate;
}

/* In 1/1000 events; negative: takes out. */
static inline void bucket_put(struct bucket *b, int64_t n)
{
    if (n < 0 && (uint64_t)-n > b->level)
        b->level = 0;
    else
        b->level += (uint64_t)n;
}

/* Does one more event fit into a burst of so many? */
static inline bool bucket_fits(const struct bucket *b, uint64_t burst)
{
    return b->level + 1000 <= burst * 1000;
}

/* Seconds until it does, rounded up; at least 1. rate > 0 */
static inline uint32_t bucket_wait_s(const struct bucket *b, uint64_t burst, uint64_t rate)
{
    uint64_t over = b->level + 1000 > burst * 1000 ? b->level + 1000 - burst * 1000 : 0;
    uint64_t s = (over + rate * 1000 - 1) / (rate * 1000);

    return s < 1 ? 1 : s > 3600 ? 3600 : (uint32_t)s;
}

#endif
