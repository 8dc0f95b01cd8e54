/* When to try again after a failure with a CA.
 *
 * Delays come from a table, by a counter that saturates: nothing is shifted or
 * multiplied, so nothing can overflow to "at once" after a month of failures
 * (CVE-2025-55753 was that). Counter and time are kept on disk by cert/cert_state.h,
 * so that a restart does not begin anew. Pure; acmed only. Milliseconds. */
#ifndef ACMED_ORDER_BACKOFF_H
#define ACMED_ORDER_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BACKOFF_DAY_MS = 24 * 3600 * 1000,  /* longest delay of ours */
    BACKOFF_LEAST_MS = 1000,            /* shortest one, however short-lived a certificate is */
    BACKOFF_JITTER_PERMILLE = 100,      /* both ways */
    BACKOFF_TRIES_IN_LIFE = 24,         /* a delay is at most lifetime / 24: a certificate of
                                           six days needs more tries than one a day */
    BACKOFF_OBEYED_MS = BACKOFF_DAY_MS, /* of a Retry-After: a CA that says "in ten years" is
                                           asked daily */
};

/* The same where the CA could not be reached, and there has never been a certificate: 5, 15, 30
 * s, 1, 2, 3, 5, 10, 20 and 35 minutes after the first try, then every half an hour. It is
 * never idle for longer than the outage has lasted. */
uint64_t backoff_first_ms(uint32_t failures, uint64_t random);

/* The longest delay of ours for a certificate of this lifetime; 0: unknown. */
uint64_t backoff_longest_ms(uint64_t lifetime_ms);

/* One more failure: never wraps. */
uint32_t backoff_count(uint32_t failures);

/* How long to wait after the failures-th failure in a row (1, 2, ...). lifetime_ms: of the
 * certificate, 0 unknown. retry_after_ms: what the CA asked for at least, 0 nothing. random:
 * any number. */
uint64_t backoff_delay_ms(uint32_t failures, uint64_t lifetime_ms, uint64_t retry_after_ms,
                          uint64_t random);

/* Is it time? A wait that is longer than any that we could have meant comes from a clock that
 * was set back, and is over. */
bool backoff_over(uint64_t next_wall_ms, uint64_t now_wall_ms);

#endif
