/* /metrics: Prometheus text format 0.0.4. Part of status/page.h; pure over the table. */
#ifndef WORKER_STATUS_METRICS_H
#define WORKER_STATUS_METRICS_H

#include <sys/types.h>

struct table;

/* Like status_page_render(). */
ssize_t status_metrics(const struct table *, char *out, size_t cap);

#endif
