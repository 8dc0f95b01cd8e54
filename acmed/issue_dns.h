/* dns-01 of a certificate that is being ordered: its records are published and taken away by
 * the operator's hook. issue.c only. */
#ifndef ACMED_ISSUE_DNS_H
#define ACMED_ISSUE_DNS_H

#include <stdint.h>

#include "acmed/issue.h"
#include "acmed/job.h"

/* JOB_DNS_PUT: starts the hook; the run goes on, or fails, when it has ended. */
void issue_dns_put(struct issue *issue, const struct job_event *event);
void issue_dns_look(struct issue *issue, uint64_t now_ms);

/* JOB_DNS_DROP: nobody waits for it. To be looked after at each look. */
void issue_dns_drop(struct issue *issue, const struct job_event *event);
void issue_dns_drops(struct issue *issue, uint64_t now_ms);

#endif
