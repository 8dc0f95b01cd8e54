/* dns-01 for a certificate that is being ordered: the operator's hook publishes and removes the
 * TXT records, one call at a time. A published record stays as long as its order can be
 * resumed, so that the next try need not publish all names again. All are removed when the
 * names are proved or the order is gone. Used by
 * order/issue*.c; cert/ and acmed.c call only issue_dns_look(), issue_dns_fd() and
 * issue_dns_all_go(). */
#ifndef ACMED_ORDER_ISSUE_DNS_H
#define ACMED_ORDER_ISSUE_DNS_H

#include <stdint.h>

#include "acmed/order/issue.h"
#include "acmed/order/job.h"

/* JOB_DNS_PUT: the run continues, or fails, when the hook has finished. */
void issue_dns_put(struct issue *issue, const struct job_event *event);

/* Checks the hook and starts its next call. Called at each look, with or without a run. */
void issue_dns_look(struct issue *issue, uint64_t now_ms);
/* To poll for input; -1: no hook is running. */
int issue_dns_fd(const struct issue *issue);

/* How much longer a run may take because of dns-01: the hook is called for one name after the
 * other, and each call may use its full time. */
uint64_t issue_dns_run_ms(size_t n_names, uint64_t dns_wait_ms);

/* Marks all records for removal. */
void issue_dns_all_go(struct issue *issue);

/* acmed ends in good order: ends the running call, which counts as cut. Before the run ends. */
void issue_dns_release(struct issue *issue);

/* The run ends: it no longer waits for a record. */
void issue_dns_end_run(struct issue *issue);

/* Why the hook did not publish a record that this run needs, in plain words; "": the hook did
 * not fail. */
const char *issue_dns_says(const struct issue *issue);

#endif
