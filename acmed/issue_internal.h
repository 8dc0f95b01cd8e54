/* What issue.c (life, events, the operator) and issue_start.c (which CA, preflight, the first
 * steps of an order) share. No other file. */
#ifndef ACMED_ISSUE_INTERNAL_H
#define ACMED_ISSUE_INTERNAL_H

#include "acmed/issue.h"

static inline struct ca *issue_ca(const struct issue *is)
{
    return &is->issuer->ca[is->ca];
}

/* ---- issue.c */

void issue_end_run(struct issue *is);
void issue_save_state(struct issue *is);
bool issue_open_folder(struct issue *is);
struct ledger_names issue_names(const struct issue *is);

/* The try is over: writes down when the next one comes. text: in plain words, of any length. */
enum issue_news issue_fail(struct issue *is, const struct issue_live *live,
                           uint64_t retry_after_ms, const char *text);

/* ---- issue_start.c */

/* What the ladder may choose from. */
struct ladder_ways issue_ways(const struct issue *is);

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
