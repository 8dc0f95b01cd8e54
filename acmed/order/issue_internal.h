/* What order/issue.c (life, events, the operator) and order/issue_start.c (which CA, preflight,
 * the first steps of an order) share. No other file. */
#ifndef ACMED_ORDER_ISSUE_INTERNAL_H
#define ACMED_ORDER_ISSUE_INTERNAL_H

#include "acmed/order/issue.h"

static inline struct ca *issue_ca(const struct issue *is)
{
    return &is->issuer->ca[is->ca];
}

/* ---- order/issue.c */

void issue_end_run(struct issue *is);
void issue_save_state(struct issue *is);
bool issue_open_dir(struct issue *is);
struct rate_log_names issue_names(const struct issue *is);

/* One more finding for the row; of too many, it takes the place of the last one. */
void issue_note(struct issue *is, const char *text);

/* The try is over: writes down when the next one comes. text: in plain words, of any length. */
enum issue_news issue_fail(struct issue *is, const struct issue_live *live,
                           uint64_t retry_after_ms, const char *text);

/* The open order is given up, and no other one is due. why: what is the matter with it. */
enum issue_news issue_drop(struct issue *is, const struct issue_live *live, const char *why);

/* No try now, since only our clock, which the CA's contradicts, says that it is due. */
enum issue_news issue_held_by_clock(struct issue *is, const struct issue_live *live,
                                    uint64_t wait_ms);

/* ---- order/issue_start.c */

/* What the ladder may choose from. */
struct order_options issue_ways(const struct issue *is);

/* Begins a try: chooses the CA, goes on with an order, or looks at the names first. */
enum issue_news issue_start(struct issue *is, const struct issue_live *live);

/* The preflight is over: orders, or holds it back. */
enum issue_news issue_after_preflight(struct issue *is, const struct issue_live *live,
                                      const struct job_event *event);

/* false with errno. */
bool issue_start_job(struct issue *is, enum job_kind kind, const struct issue_live *live);

/* What is under way, or comes next, as the status shows it. */
void issue_says(struct issue *is);

#endif
