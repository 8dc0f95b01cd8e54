/* When to try again after a failure with a CA.
 *
 * Delays come from a table, indexed by a counter that saturates. Nothing is shifted or
 * multiplied, so nothing can overflow to "at once" after a month of failures (as in
 * CVE-2025-55753). cert/cert_state.h keeps counter and time on disk, so that a restart does not
 * reset them. Pure; acmed only. Milliseconds. */
#ifndef ACMED_ORDER_BACKOFF_H
#define ACMED_ORDER_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BACKOFF_DAY_MS = 24 * 3600 * 1000, /* longest delay that we choose */
    BACKOFF_LEAST_MS = 1000,       /* shortest delay, however short-lived a certificate is */
    BACKOFF_JITTER_PERMILLE = 100, /* in both directions */
    BACKOFF_TRIES_IN_LIFE = 24, /* a delay is at most lifetime / 24: a certificate of six days
                                   needs more tries than one per day */
    BACKOFF_OBEYED_MS = BACKOFF_DAY_MS, /* cap for a Retry-After: a CA that says "in ten years"
                                           is asked daily */
};

/* The delay while the CA cannot be reached and there has never been a certificate: tries come
 * 5, 15, 30 s, 1, 2, 3, 5, 10, 20 and 35 minutes after the first one, then every half hour.
 * acmed is never idle for longer than the outage has lasted. */
uint64_t backoff_first_ms(uint32_t failures, uint64_t random);

/* The longest delay that we choose for a certificate of this lifetime; 0: unknown. */
uint64_t backoff_longest_ms(uint64_t lifetime_ms);

/* Counts one more failure; never wraps. */
uint32_t backoff_count(uint32_t failures);

/* How long to wait after the given number of failures in a row (1, 2, ...). lifetime_ms: of the
 * certificate, 0: unknown. retry_after_ms: the minimum that the CA asked for, 0: none. random:
 * any number. */
uint64_t backoff_delay_ms(uint32_t failures, uint64_t lifetime_ms, uint64_t retry_after_ms,
                          uint64_t random);

/* Whether the wait is over. A wait longer than any that we choose comes from a clock that was
 * set back, and counts as over. */
bool backoff_over(uint64_t next_wall_ms, uint64_t now_wall_ms);

#endif
