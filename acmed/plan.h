/* What to do next about one certificate: ask the CA when to renew (ARI), order, or wait.
 *
 * All decisions are here, and pure: the state goes in and comes out, clock and randomness are
 * the caller's, so that a year passes in a test within a second. issue.c carries them out.
 * acmed only. Times are milliseconds since 1970. */
#ifndef ACMED_PLAN_H
#define ACMED_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/cert_state.h"
#include "acmed/renew.h"

/* What serves now. */
struct plan_live {
    uint32_t generation;
    bool from_ca; /* else self-signed, or nothing */
    bool covers;  /* all names of the configuration */
    bool can_ask; /* it has a name in ARI */
    struct renew_life life;
};

enum plan_step { PLAN_WAIT, PLAN_ASK, PLAN_ORDER };

enum {
    PLAN_AWAY_MS = 10 * 60 * 1000, /* no look comes so late by itself */
};

/* Was nobody there between two looks? At a start (seen 0); after a suspended machine woke up;
 * when a clock that was far back is set right. */
bool plan_was_away(uint64_t seen, uint64_t now);

/* acmed is there again, with what its predecessor or itself left. What came due while nobody
 * was there is not ordered with all the others. Not for what was being ordered already. */
void plan_start(struct cert_state *state, const struct plan_live *live, uint64_t now,
                uint64_t random);

/* wanted: the operator wants a new one now. *until: when to look again at the latest; of
 * PLAN_WAIT, when the next order comes if nothing changes is plan_order_at(). Marks the state
 * anew when another generation is live. */
enum plan_step plan_next(struct cert_state *state, const struct plan_live *live, bool wanted,
                         uint64_t now, uint64_t random, uint64_t *until);

/* When it is to be ordered as things are; 0: now. */
uint64_t plan_order_at(const struct cert_state *state, const struct plan_live *live);

/* What came of it. The order failed: the CA wants retry_after_ms of peace at least. The ledger
 * says wait: counts as no failure. */
void plan_failed(struct cert_state *state, const struct plan_live *live,
                 uint64_t retry_after_ms, const char *problem, uint64_t now, uint64_t random);
void plan_postpone(struct cert_state *state, uint64_t wait_ms, const char *problem,
                   uint64_t now);
/* Something else is left to try: the next try may come in wait_ms already. */
void plan_hurry(struct cert_state *state, uint64_t wait_ms, uint64_t now);
void plan_issued(struct cert_state *state);

/* The CA answered with a window (or with one that is none), or did not answer. */
void plan_answered(struct cert_state *state, const struct plan_live *live,
                   const struct renew_window *window, uint64_t retry_after_ms, uint64_t now,
                   uint64_t random);
void plan_no_answer(struct cert_state *state, uint64_t retry_after_ms, uint64_t now,
                    uint64_t random);

#endif
