/* How slow a client may be: it has a grace period, and after that a minimum rate applies. Only
 * the time during which we wait for the client counts, so that a slow backend costs it nothing.
 * A faster client earns credit for a pause, but never more than PACE_CREDIT_MS: otherwise a
 * burst at the beginning would pay for minutes in which a slot or memory is held for an
 * occasional byte. Pure; worker only. Times are milliseconds of one clock, never 0; rates are
 * bytes per second, 0: no minimum. A zeroed struct is a message of which nothing has arrived
 * yet. */
#ifndef WORKER_PACE_H
#define WORKER_PACE_H

#include <stdint.h>

enum { PACE_CREDIT_MS = 10000 };

struct pace {
    uint64_t since_ms;  /* when the current wait for the client began; 0: we are not waiting */
    uint64_t waited_ms; /* total of the earlier waits */
    int64_t behind;     /* shortfall against the minimum, in 1/1000 byte; < 0: ahead of it */
};

/* We wait for the client from now on; no effect if we do already. */
void pace_wait(struct pace *pace, uint64_t now_ms);

/* The client sent, or took, this many more bytes: the wait ends. */
void pace_got(struct pace *pace, uint64_t now_ms, uint64_t bytes, uint32_t rate);

/* Milliseconds that we have waited for the client, in all. */
uint64_t pace_waited(const struct pace *pace, uint64_t now_ms);

/* Milliseconds until the client is too slow if nothing more arrives; 0: it is too slow now;
 * UINT32_MAX: rate is 0. */
uint32_t pace_left(const struct pace *pace, uint64_t now_ms, uint32_t grace_ms, uint32_t rate);

#endif
