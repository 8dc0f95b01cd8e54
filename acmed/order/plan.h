/* Decides what to do next about one certificate: ask the CA when to renew (ARI), order, or
 * wait.
 *
 * All decisions are made here. They are pure: the caller passes state, clock and randomness, so
 * that a test can run through a year within a second. order/issue.c carries them out. acmed
 * only. Times are milliseconds since 1970. */
#ifndef ACMED_ORDER_PLAN_H
#define ACMED_ORDER_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/cert/cert_state.h"
#include "acmed/order/renew.h"

/* The live certificate. */
struct plan_live {
    uint32_t generation;
    bool from_ca; /* false: self-signed, or none */
    bool covers;  /* all configured names */
    bool can_ask; /* it has an ARI id */
    struct renew_life life;
};

enum plan_step { PLAN_WAIT, PLAN_ASK, PLAN_ORDER };

enum {
    PLAN_AWAY_MS = 10 * 60 * 1000, /* after a longer gap, acmed was not running */
    /* A certificate that was just renewed is not due again before lifetime / PLAN_PACE_PARTS,
     * whatever the CA suggests and the clock says. Otherwise a window in the past, or a clock
     * that is ahead, would cause endless renewals. */
    PLAN_PACE_PARTS = 10,
    PLAN_URGENT_PARTS = 7, /* with less of its lifetime left, our limits do not hold it */
    PLAN_NEWS_MS = 60 * 60 * 1000, /* how long a failure is reported as current */
    PLAN_SET_BACK_MS = 1000,       /* a clock that is slowed down is not set back */
    PLAN_CLOCK_MS = 5 * 60 * 1000, /* tolerated difference between our clock and the CA's */
};

/* Whether acmed was not running between two looks: at a start (seen 0), after the machine was
 * suspended, or when a clock that was far behind is corrected. */
bool plan_was_away(uint64_t seen, uint64_t now);

/* How far our clock was set back between two looks; 0: not. boot: the clock since the boot
 * (clock_boot_ms()), which nobody sets. */
uint64_t plan_set_back_by(uint64_t seen, uint64_t seen_boot, uint64_t now, uint64_t boot);

/* Our clock was set back by this. What was issued while it was ahead would seem newer than it
 * is, and the interval that is due between two renewals could last until it has expired. So the
 * time of issue is set back, too. It is not judged by the certificate's dates alone, because
 * under a clock that stays wrong that would order without end. */
void plan_set_back(struct cert_state *state, const struct plan_live *live, uint64_t by_ms);

/* acmed runs again, with the state that it or its predecessor left. Renewals that came due
 * meanwhile are spread over time. Not for an order that is already open. */
void plan_start(struct cert_state *state, const struct plan_live *live, uint64_t now,
                uint64_t random);

/* *until: when to look again at the latest. For PLAN_WAIT, plan_order_at() gives the time of
 * the next order if nothing changes. Resets the state when another generation is live. */
enum plan_step plan_next(struct cert_state *state, const struct plan_live *live, uint64_t now,
                         uint64_t random, uint64_t *until);

/* When it is to be ordered as things are; in the past, or 0: now. Log, command line and status
 * page show it as "next try". */
uint64_t plan_order_at(const struct cert_state *state, const struct plan_live *live,
                       uint64_t now);

/* Whether that time is known. Not until plan_next() has seen the live generation. */
bool plan_knows(const struct cert_state *state, const struct plan_live *live);

/* Whether nothing has to be ordered: the certificate is good and not due, no order is open, and
 * none has failed since it was issued. Unlike the state, this takes the live generation into
 * account even before plan_next() has seen it, as just after it was issued. */
bool plan_rests(const struct cert_state *state, const struct plan_live *live, uint64_t now);

/* Whether the open order (state.begun) is the only thing to do. It was started for a reason,
 * for example at the operator's request, and is continued; but if it is lost, no other one
 * replaces it. */
bool plan_resumes(const struct cert_state *state, const struct plan_live *live, uint64_t now);
/* Such an order is given up. */
void plan_dropped(struct cert_state *state, uint64_t now);

/* Whether state.problem is no longer current: the certificate is good and not due, nothing is
 * in progress, and the failure is older than PLAN_NEWS_MS. The next try comes when the
 * certificate is due, whatever the result of the last one. */
bool plan_is_past(const struct cert_state *state, const struct plan_live *live, uint64_t now);

/* The result of a try. plan_failed(): the order failed, and the CA wants at least
 * retry_after_ms of delay. plan_postpone(): a limit such as the rate log says to wait; not
 * counted as a failure. */
void plan_failed(struct cert_state *state, const struct plan_live *live,
                 uint64_t retry_after_ms, const char *problem, uint64_t now, uint64_t random);
void plan_postpone(struct cert_state *state, uint64_t wait_ms, const char *problem,
                   uint64_t now);
/* Due only by our clock (plan_clock_wait()). If it is no longer due later, the clock was
 * corrected, and both wait and problem are dropped. */
void plan_hold_by_clock(struct cert_state *state, uint64_t wait_ms, const char *problem,
                        uint64_t now);
/* After plan_failed(), when the CA could not be reached. As long as there has never been a
 * certificate, the first tries are closer together. */
void plan_unreached(struct cert_state *state, const struct plan_live *live, uint64_t now,
                    uint64_t random);
/* Before plan_failed(), when the CA responds again after this many failures in a row to reach
 * it. As those tries were close together, they do not make the next wait longer. */
void plan_reached(struct cert_state *state, const struct plan_live *live, uint32_t unreached);
/* An alternative is left to try: the next try comes in wait_ms at the latest. */
void plan_hurry(struct cert_state *state, uint64_t wait_ms, uint64_t now);
void plan_issued(struct cert_state *state, uint64_t now);

/* Caps a wait imposed by one of our limits or by the CA: never so long that the live
 * certificate would expire before another try. */
uint64_t plan_limit_wait(const struct plan_live *live, uint64_t wait_ms, uint64_t now);

/* Whether so little of its lifetime is left that everything but the order itself is skipped. */
bool plan_urgent(const struct plan_live *live, uint64_t now);

/* Called when the CA has reported its time; clock_off_ms: its clock minus ours. If the
 * certificate is due only by our clock, returns how long to wait instead of ordering; else 0.
 * With less than a tenth of its lifetime left, it waits only if the certificate's own dates, at
 * the time of issue, showed that our clock was ahead; otherwise the CA's clock may be the wrong
 * one. */
uint64_t plan_clock_wait(const struct cert_state *state, const struct plan_live *live,
                         int64_t clock_off_ms, uint64_t now);

/* When it is due by a correct clock: renew_at, but not later than the certificate's dates
 * allow, since the minimum interval between renewals was computed with our clock. */
uint64_t plan_due_by_dates(const struct cert_state *state, const struct plan_live *live);

/* plan_responded(): the CA sent a window, valid or not. plan_no_response(): it did not
 * respond. */
void plan_responded(struct cert_state *state, const struct plan_live *live,
                    const struct renew_window *window, uint64_t retry_after_ms, uint64_t now,
                    uint64_t random);
void plan_no_response(struct cert_state *state, uint64_t retry_after_ms, uint64_t now,
                      uint64_t random);

#endif
