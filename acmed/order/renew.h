/* When to renew a certificate.
 *
 * By the window that the CA suggests (ARI, RFC 9773): a random time in it,
 * chosen once and kept (cert/cert_state.h). Else at a third of the lifetime before
 * its end, at half of it for one that lives less than 10 days, and a little
 * earlier at random, so that certificates made together part. That second
 * moment is a backstop, too: no suggestion puts a renewal off beyond it.
 *
 * Pure: no clock of its own, no randomness of its own. acmed only. Times are
 * milliseconds since 1970, 0 for none. */
#ifndef ACMED_ORDER_RENEW_H
#define ACMED_ORDER_RENEW_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RENEW_SHORT_DAYS = 10,   /* a certificate that lives less is renewed at half time */
    RENEW_SPREAD_PARTS = 50, /* up to 1/50 of the lifetime earlier, at random */
    RENEW_ARI_LEAST_MS = 60 * 1000,
    RENEW_ARI_MOST_MS = 24 * 3600 * 1000,
    RENEW_ARI_DEFAULT_MS = 6 * 3600 * 1000,
    RENEW_START_SPREAD_MS = 3600 * 1000, /* of what is overdue when acmed starts */
};

struct renew_life {
    uint64_t not_before, not_after;
};

struct renew_window {
    uint64_t start, end;
};

/* How long it lives in all; 0 when its dates make no sense. */
uint64_t renew_lifetime(const struct renew_life *life);

/* The latest moment to renew at, whatever the CA suggests. */
uint64_t renew_backstop(const struct renew_life *life);

/* Has more than half of the time for renewals gone, which begins with the backstop? */
bool renew_expiring(const struct renew_life *life, uint64_t now);

/* Is this an answer (RFC 9773 section 4.2: end after start)? */
bool renew_window_good(const struct renew_window *window);

/* Chooses the time to renew at: in the window if it is good, and never after the backstop. To
 * be kept, and chosen anew only when the window or the certificate is another one. */
uint64_t renew_choose(const struct renew_life *life, const struct renew_window *window,
                      uint64_t random);

/* How long to wait before the CA is asked for its window again. retry_after_ms: what it said,
 * 0 nothing. failures: tries in a row that brought no answer; 0 when it answered. */
uint64_t renew_ask_after(uint64_t retry_after_ms, uint32_t failures, uint64_t random);

/* The longest that renew_start_delay() gives for a certificate of this lifetime. */
uint64_t renew_longest_delay(uint64_t lifetime_ms);

/* Stays off what everybody does at a start: how long a renewal that is overdue by then waits.
 * 0 when it is urgent, because less than a twelfth of the lifetime is left. */
uint64_t renew_start_delay(const struct renew_life *life, uint64_t now, uint64_t random);

#endif
