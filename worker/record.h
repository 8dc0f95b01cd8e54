/* What is left of an exchange: counters in the table, a record among the last ones of
 * its backend, and a line in the access log. Worker only. */
#ifndef WORKER_RECORD_H
#define WORKER_RECORD_H

#include <stdint.h>

struct exchange;
struct peer;
struct worker;

/* Called once, at the end of each exchange, while its request still stands. */
void record_exchange(const struct exchange *x);

/* An attempt at x->backend has failed, and another one is about to be chosen. */
void record_moved(const struct exchange *x);

/* A request that never became an exchange: its head could not be read. */
void record_refused(struct worker *worker, const struct peer *peer, uint16_t status,
                    const char *detail);

#endif
