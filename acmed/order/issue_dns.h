/* dns-01 of a certificate that is being ordered: its records are published and taken away by
 * the operator's hook, one call at a time. A record that is published stays as long as its
 * order can be gone on with, so that the next try need not begin with the first name again;
 * when the names are proved or the order is gone, all are taken away. order/issue.c only, but
 * for issue_dns_look(). */
#ifndef ACMED_ORDER_ISSUE_DNS_H
#define ACMED_ORDER_ISSUE_DNS_H

#include <stdint.h>

#include "acmed/order/issue.h"
#include "acmed/order/job.h"

/* JOB_DNS_PUT: the run goes on, or fails, when the hook has published it. */
void issue_dns_put(struct issue *issue, const struct job_event *event);

/* Looks after the hook, and calls it for what comes next. At each look, run or no run. */
void issue_dns_look(struct issue *issue, uint64_t now_ms);
/* To be polled for input; -1: none runs. */
int issue_dns_fd(const struct issue *issue);

/* How long a run may take longer because of dns-01: the hook is called for one name after the
 * other, and may use all its time for each. */
uint64_t issue_dns_run_ms(size_t n_names, uint64_t dns_wait_ms);

/* None of the records is of use any more. */
void issue_dns_all_go(struct issue *issue);

/* The run ends: nobody waits for a record to be published. */
void issue_dns_end_run(struct issue *issue);

/* Why the hook did not publish what this run needs, for people; "": that was not it. */
const char *issue_dns_says(const struct issue *issue);

#endif
