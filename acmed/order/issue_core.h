/* The lowest part of ordering a certificate: its names and options, its directory, its row.
 * Used by the other order/issue*.c only. From below: issue_core.h, issue_dns.h (records of
 * dns-01), issue_end.h (how a run ends), issue_start.h (choice of CA, preflight, first steps of
 * an order), issue.h (lifecycle, events, operator; also declares what cert/ needs of this
 * file). */
#ifndef ACMED_ORDER_ISSUE_CORE_H
#define ACMED_ORDER_ISSUE_CORE_H

#include "acmed/order/issue.h"

struct conf_acme;

static inline struct ca *issue_ca(const struct issue *is)
{
    return &is->ca_set->ca[is->ca];
}

const struct conf_acme *issue_acme(const struct issue *is);
struct rate_log_names issue_names(const struct issue *is);

/* Opens the directory, again if it was deleted. false with errno. */
bool issue_open_dir(struct issue *is);
/* A failure is logged. */
void issue_save_state(struct issue *is);

/* What the fallback can choose from. */
struct order_options issue_options(const struct issue *is);

/* Sets is->doing: what is running or comes next, as the status shows it. */
void issue_says(struct issue *is);
/* Adds a finding to the row; when there are too many, it replaces the last one. */
void issue_note(struct issue *is, const char *text);

#endif
