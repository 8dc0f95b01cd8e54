/* What to do next about one certificate: ask the CA when to renew (ARI), order, or wait.
 *
 * All decisions are here, and pure: the state goes in and comes out, clock and randomness are
 * the caller's, so that a year passes in a test within a second. order/issue.c carries them
 * out. acmed only. Times are milliseconds since 1970. */
#ifndef ACMED_ORDER_PLAN_H
#define ACMED_ORDER_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/cert/cert_state.h"
#include "acmed/order/renew.h"

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
    /* One that was just renewed is not due again before lifetime / PLAN_PACE_PARTS, whatever
     * the CA suggests and the clock says: else a window in the past, or a clock that is ahead,
     * renews without end. */
    PLAN_PACE_PARTS = 10,
    PLAN_URGENT_PARTS = 7,         /* with less of its life left, no limit of ours holds it */
    PLAN_NEWS_MS = 60 * 60 * 1000, /* a failure is told as one of now for so long */
    PLAN_CLOCK_MS = 5 * 60 * 1000, /* our clock and the CA's may differ by so much */
};

/* Was nobody there between two looks? At a start (seen 0); after a suspended machine woke up;
 * when a clock that was far back is set right. */
bool plan_was_away(uint64_t seen, uint64_t now);

/* acmed is there again, with what its predecessor or itself left. What came due while nobody
 * was there is not ordered with all the others. Not for what was being ordered already. */
void plan_start(struct cert_state *state, const struct plan_live *live, uint64_t now,
                uint64_t random);

/* *until: when to look again at the latest; of PLAN_WAIT, when the next order comes if nothing
 * changes is plan_order_at(). Marks the state anew when another generation is live. */
enum plan_step plan_next(struct cert_state *state, const struct plan_live *live, uint64_t now,
                         uint64_t random, uint64_t *until);

/* When it is to be ordered as things are; in the past, or 0: now. This is the "next try" that
 * log, command line and page tell. */
uint64_t plan_order_at(const struct cert_state *state, const struct plan_live *live,
                       uint64_t now);

/* Is that known? Not while another generation has gone live that was not looked at yet. */
bool plan_knows(const struct cert_state *state, const struct plan_live *live);

/* Is the open order (state.begun) all that is to be done? It was begun for a reason, as when
 * the operator wanted it, and is gone on with; but no other one is made in its place. */
bool plan_resumes(const struct cert_state *state, const struct plan_live *live, uint64_t now);
/* Such an order is given up. */
void plan_dropped(struct cert_state *state, uint64_t now);

/* Is state.problem of the past? The certificate is good and not due, and nothing is under way:
 * the next try comes when it is, whatever became of the last one. For an hour it is news. */
bool plan_is_past(const struct cert_state *state, const struct plan_live *live, uint64_t now);

/* What came of it. The order failed: the CA wants retry_after_ms of peace at least. The ledger
 * says wait: counts as no failure. */
void plan_failed(struct cert_state *state, const struct plan_live *live,
                 uint64_t retry_after_ms, const char *problem, uint64_t now, uint64_t random);
void plan_postpone(struct cert_state *state, uint64_t wait_ms, const char *problem,
                   uint64_t now);
/* Due by our clock only (plan_clock_wait()). When it is not due any more, the clock was set
 * right: then neither counts. */
void plan_hold_by_clock(struct cert_state *state, uint64_t wait_ms, const char *problem,
                        uint64_t now);
/* After plan_failed(): it failed because the CA could not be reached. As long as there has
 * never been a certificate the tries are closer to each other at first. */
void plan_unreached(struct cert_state *state, const struct plan_live *live, uint64_t now,
                    uint64_t random);
/* Before plan_failed(): the CA answers again, after so many failures in a row to reach it. As
 * these were close to each other, they do not make the next wait longer. */
void plan_reached(struct cert_state *state, const struct plan_live *live, uint32_t unreached);
/* Something else is left to try: the next try may come in wait_ms already. */
void plan_hurry(struct cert_state *state, uint64_t wait_ms, uint64_t now);
void plan_issued(struct cert_state *state, uint64_t now);

/* Something says to wait for wait_ms: a limit of ours, or the CA. How long to wait really:
 * never so long that the live certificate would expire before another try. */
uint64_t plan_limit_wait(const struct plan_live *live, uint64_t wait_ms, uint64_t now);

/* Has it so little of its life left that nothing but the order itself is worth a try? */
bool plan_urgent(const struct plan_live *live, uint64_t now);

/* The CA has just told its time; clock_off_ms: its clock less ours. Is the certificate due by
 * our clock only? Then there is no order: how long to wait before the next look, else 0. Held
 * so is a certificate of which less than a tenth is left only where its own dates, when it was
 * issued, showed the same clock to be ahead: else the CA's clock may be the wrong one. */
uint64_t plan_clock_wait(const struct cert_state *state, const struct plan_live *live,
                         int64_t clock_off_ms, uint64_t now);

/* When it is due by a clock that is right: renew_at, as far as the certificate's own dates
 * allow, since the pace was reckoned by ours. */
uint64_t plan_due_by_dates(const struct cert_state *state, const struct plan_live *live);

/* The CA answered with a window (or with one that is none), or did not answer. */
void plan_responded(struct cert_state *state, const struct plan_live *live,
                    const struct renew_window *window, uint64_t retry_after_ms, uint64_t now,
                    uint64_t random);
void plan_no_response(struct cert_state *state, uint64_t retry_after_ms, uint64_t now,
                      uint64_t random);

#endif
