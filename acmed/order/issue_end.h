/* How a run ends without a certificate, and when the next try comes. Used by order/issue.c and
 * order/issue_start.c only. */
#ifndef ACMED_ORDER_ISSUE_END_H
#define ACMED_ORDER_ISSUE_END_H

#include "acmed/order/issue.h"

void issue_end_run(struct issue *is);

enum issue_failure {
    ISSUE_FAILURE,
    ISSUE_FAILURE_KIND,     /* another challenge kind is left to try */
    ISSUE_FAILURE_REACHING, /* the CA was unreachable */
};

/* The try failed: ends the run and records when the next one comes. problem: plain words, of
 * any length. */
enum issue_news issue_fail_as(struct issue *is, const struct issue_live *live,
                              uint64_t retry_after_ms, const char *problem,
                              enum issue_failure how);
/* The same, as ISSUE_FAILURE. */
enum issue_news issue_fail(struct issue *is, const struct issue_live *live,
                           uint64_t retry_after_ms, const char *problem);

/* The store cannot be read or written, of which the CA knows nothing: no failure, and the next
 * try comes soon. Logged once. */
enum {
    ISSUE_STORE_MS = 10000,       /* nobody else was asked */
    ISSUE_STORE_ASKED_MS = 60000, /* the CA was */
};
enum issue_news issue_no_store(struct issue *is, const struct issue_live *live,
                               const char *problem, uint64_t wait_ms);

/* Gives up the open order; no new one is due. why: what is wrong with it. */
enum issue_news issue_drop(struct issue *is, const struct issue_live *live, const char *why);

/* No try now, since the renewal is due only by our clock, and the CA's clock contradicts it. */
enum issue_news issue_held_by_clock(struct issue *is, const struct issue_live *live,
                                    uint64_t wait_ms);

#endif
