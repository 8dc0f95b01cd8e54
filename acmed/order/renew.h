/* When to renew a certificate.
 *
 * At a random time in the window that the CA suggests (ARI, RFC 9773), chosen once and kept
 * (cert/cert_state.h). Without a window: a third of the lifetime before its end, or half of it
 * for a lifetime of less than 10 days, and a little earlier at random, so that certificates
 * made together are spread out. That time is also a backstop: no suggestion delays a renewal
 * beyond it.
 *
 * Pure: no clock and no randomness of its own. acmed only. Times are milliseconds since 1970,
 * 0: none. */
#ifndef ACMED_ORDER_RENEW_H
#define ACMED_ORDER_RENEW_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RENEW_SHORT_DAYS = 10, /* a shorter-lived certificate is renewed at half of its lifetime */
    RENEW_SPREAD_PARTS = 50, /* up to 1/50 of the lifetime earlier, at random */
    RENEW_ARI_LEAST_MS = 60 * 1000,
    RENEW_ARI_MOST_MS = 24 * 3600 * 1000,
    RENEW_ARI_DEFAULT_MS = 6 * 3600 * 1000,
    RENEW_START_SPREAD_MS = 3600 * 1000, /* for renewals that are overdue when acmed starts */
};

struct renew_life {
    uint64_t not_before, not_after;
};

struct renew_window {
    uint64_t start, end;
};

/* The lifetime; 0 when the dates make no sense. */
uint64_t renew_lifetime(const struct renew_life *life);

/* The latest time to renew, whatever the CA suggests. */
uint64_t renew_backstop(const struct renew_life *life);

/* Whether more than half of the time between backstop and expiry has passed. */
bool renew_expiring(const struct renew_life *life, uint64_t now);

/* Whether the window is valid (RFC 9773 section 4.2: end after start). */
bool renew_window_good(const struct renew_window *window);

/* Chooses the time to renew: in the window if it is valid, and never after the backstop. The
 * caller keeps it, and chooses again only when window or certificate change. */
uint64_t renew_choose(const struct renew_life *life, const struct renew_window *window,
                      uint64_t random);

/* How long to wait before asking the CA for its window again. retry_after_ms: what it sent; 0:
 * nothing. failures: tries in a row without a response; 0: it responded. */
uint64_t renew_ask_after(uint64_t retry_after_ms, uint32_t failures, uint64_t random);

/* The longest that renew_start_delay() gives for a certificate of this lifetime. */
uint64_t renew_longest_delay(uint64_t lifetime_ms);

/* How long to delay a renewal that is overdue when acmed starts, so that not all come at once.
 * 0 when it is urgent: less than a twelfth of the lifetime is left. */
uint64_t renew_start_delay(const struct renew_life *life, uint64_t now, uint64_t random);

#endif
