/* Shared by order/issue.c (lifecycle, events, operator) and order/issue_start.c (choice of CA,
 * preflight, first steps of an order). No other file. */
#ifndef ACMED_ORDER_ISSUE_INTERNAL_H
#define ACMED_ORDER_ISSUE_INTERNAL_H

#include "acmed/order/issue.h"

static inline struct ca *issue_ca(const struct issue *is)
{
    return &is->ca_set->ca[is->ca];
}

/* ---- order/issue.c */

void issue_end_run(struct issue *is);
void issue_save_state(struct issue *is);
bool issue_open_dir(struct issue *is);
struct rate_log_names issue_names(const struct issue *is);

/* Adds a finding to the row; when there are too many, it replaces the last one. */
void issue_note(struct issue *is, const char *text);

/* The try failed: records when the next one comes. text: plain words, of any length. */
enum issue_news issue_fail(struct issue *is, const struct issue_live *live,
                           uint64_t retry_after_ms, const char *text);

/* Gives up the open order; no new one is due. why: what is wrong with it. */
enum issue_news issue_drop(struct issue *is, const struct issue_live *live, const char *why);

/* No try now, since the renewal is due only by our clock, and the CA's clock contradicts it. */
enum issue_news issue_held_by_clock(struct issue *is, const struct issue_live *live,
                                    uint64_t wait_ms);

/* ---- order/issue_start.c */

/* What the fallback can choose from. */
struct order_options issue_ways(const struct issue *is);

/* Begins a try: chooses the CA, then resumes an order, starts a preflight, or orders. */
enum issue_news issue_start(struct issue *is, const struct issue_live *live);

/* The preflight is over: orders, or holds the order back. */
enum issue_news issue_after_preflight(struct issue *is, const struct issue_live *live,
                                      const struct job_event *event);

/* false with errno. */
bool issue_start_job(struct issue *is, enum job_kind kind, const struct issue_live *live);

/* Sets is->doing: what is running or comes next, as the status shows it. */
void issue_says(struct issue *is);

#endif
