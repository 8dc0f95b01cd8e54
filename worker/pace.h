/* How slow a client may be: it has a time of grace, and then a minimum rate. Only the time
 * counts in which it is waited for, so that a backend that is slow costs it nothing. Who is
 * faster has credit for a pause, but never more than PACE_CREDIT_MS: a burst at the begin
 * would otherwise pay for minutes in which a slot or memory is held for a byte now and then.
 * Pure; worker only. Times are milliseconds of one clock, never 0; rates are bytes per second,
 * 0: any will do; a struct of zeros is a message of which nothing has come. */
#ifndef WORKER_PACE_H
#define WORKER_PACE_H

#include <stdint.h>

enum { PACE_CREDIT_MS = 10000 };

struct pace {
    uint64_t since_ms;  /* it is being waited for since; 0: it is not */
    uint64_t waited_ms; /* before that */
    int64_t behind;     /* the minimum, in thousandths of a byte; < 0: ahead of it */
};

/* It is waited for from now on, or still. */
void pace_wait(struct pace *pace, uint64_t now_ms);

/* It has sent, or taken, so many more bytes: it is not waited for any more. */
void pace_got(struct pace *pace, uint64_t now_ms, uint64_t bytes, uint32_t rate);

/* Milliseconds for which it has been waited for, in all. */
uint64_t pace_waited(const struct pace *pace, uint64_t now_ms);

/* Milliseconds until it is too slow, if nothing more comes; 0: it is; UINT32_MAX: rate is 0. */
uint32_t pace_left(const struct pace *pace, uint64_t now_ms, uint32_t grace_ms, uint32_t rate);

#endif
