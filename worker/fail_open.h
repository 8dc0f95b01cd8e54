/* When every backend of a pool that may serve is down by verdict (pools.fail_open). Worker
 * only.
 *
 * Sending everybody there would let each client wait for a hung backend until its deadline;
 * sending nobody would trust checks that may be wrong. So one request at a time, over all
 * workers, tries the most promising backend, and the others get 503 at once. A good response
 * opens that backend to everybody for FAIL_OPEN_MS, in every worker; each further one renews
 * that, until healthd says that it is up, or it fails. */
#ifndef WORKER_FAIL_OPEN_H
#define WORKER_FAIL_OPEN_H

#include <stdbool.h>
#include <stdint.h>

struct backend_view;
struct exchange;
struct health_row;
struct pool_view;
struct worker;

enum { FAIL_OPEN_MS = 3000 }; /* how long a good response speaks for the backend */

/* The most promising has the highest: its checks pass (it was ejected), or it answers checks
 * badly, or refuses, which costs a client no time; last is one that does not answer. avoided:
 * we have just failed there. Pure. */
uint32_t fail_open_rank(const struct health_row *health, bool avoided);

/* Has it answered well within FAIL_OPEN_MS, though it is down by verdict? */
bool fail_open_is_open(struct worker *worker, const struct backend_view *backend);

/* The only place for a try in this pool, over all workers. */
bool fail_open_acquire(struct worker *worker, const struct pool_view *pool);
/* Gives it back, if the exchange has it: when a response begins, or the attempt ends. */
void fail_open_release(struct exchange *x);

/* A response began, with this status: opens a backend that is down by verdict. */
void fail_open_responded(struct exchange *x, unsigned status);
/* We saw a fault of the backend: it is open no more, as far as we know. */
void fail_open_failed(struct backend_view *backend);

#endif
