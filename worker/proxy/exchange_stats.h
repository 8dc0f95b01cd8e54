/* What remains of an exchange: counters in the table, an entry among the last exchanges of its
 * backend, and a line in the access log. Worker only. */
#ifndef WORKER_EXCHANGE_STATS_H
#define WORKER_EXCHANGE_STATS_H

#include <stddef.h>
#include <stdint.h>

struct exchange;
struct peer;
struct headers_own_info;
struct worker;

/* The gauge and the counter of exchanges. Those of status listeners are counted separately. */
void exchange_stats_begin(const struct exchange *x);
void exchange_stats_end(const struct exchange *x);

/* Called once, at the end of each exchange, while its request is still valid. */
void exchange_stats_count(const struct exchange *x);

/* An attempt at x->backend has failed, and another one is about to be chosen. */
void exchange_stats_moved(const struct exchange *x);

/* A request that never became an exchange: its head could not be parsed, or it got no memory.
 * info: of the response, which was made. in: bytes received;
 * out: bytes of our response; body: the part of these that is its body. */
void exchange_stats_refused(struct worker *worker, const struct peer *peer,
                            const struct headers_own_info *info, const char *detail, size_t in,
                            size_t out, size_t body);

#endif
