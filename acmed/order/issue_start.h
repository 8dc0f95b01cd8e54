/* How a try begins: choice of CA, preflight, first steps of an order. Used by order/issue.c
 * only. */
#ifndef ACMED_ORDER_ISSUE_START_H
#define ACMED_ORDER_ISSUE_START_H

#include "acmed/order/issue.h"

/* Begins a try: chooses the CA, then resumes an order, starts a preflight, or orders. */
enum issue_news issue_start(struct issue *is, const struct issue_live *live);

/* Before a try, or when none is due: what was wrong with the store may be over. */
void issue_look_at_store(struct issue *is);

/* The preflight is over: orders, or holds the order back. */
enum issue_news issue_after_preflight(struct issue *is, const struct issue_live *live,
                                      const struct job_event *event);

/* false with errno. */
bool issue_start_job(struct issue *is, enum job_kind kind, const struct issue_live *live);

#endif
