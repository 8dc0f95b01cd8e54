/* Attempts that tried an instance (worker/retry_budget.h) and that another instance overtook:
 * the client has its answer, and these are left to wait for the first byte of theirs. For only
 * so it shows whether the instance is slow, or hangs. Worker only.
 *
 *   a byte        it is slow: an answer as any other one, and the next request that tries
 *                 it is given more time before it is raced
 *   the end       a failure as any other one
 *   patience      over, as healthd had set it, and three times that which the other instance
 *                 needed: `mute` in its cell counts it. The same request there and here,
 *                 so it was no long one.
 *   neither       where the other instance needed so long that this would take too long
 *
 * Each keeps its place at the backend, and that among those which try it, until then; what
 * comes of its answer is not looked at. They hold up neither the end of a worker nor a drain,
 * but for that place. */
#ifndef WORKER_OVERTAKEN_H
#define WORKER_OVERTAKEN_H

#include <stdbool.h>
#include <stdint.h>

struct attempt;
struct backend_view;
struct upstream;

enum {
    OVERTAKEN_TIMES = 3,        /* so many times longer than elsewhere: no long request */
    OVERTAKEN_LIMIT_MS = 15000, /* longer than this a place for trials is held by none */
    OVERTAKEN_RACE_MS = 5000,   /* more time is given to none: clients wait meanwhile */
};

/* Is it of that kind: on trial, at an instance that is still, and worth waiting for?
 * elsewhere_us: from choosing the other instance to the first byte there. */
bool overtaken_takes(const struct attempt *attempt, uint64_t elsewhere_us);

/* Takes over its connection and its places; `overtaken` in the cell counts it, and healthd is
 * told. */
void overtaken_begin(const struct attempt *attempt, uint64_t elsewhere_us);

/* From worker/upstream.c: there is something to read, or the end. May free the connection. */
void overtaken_ready(struct upstream *upstream);

/* How many a backend has; *oldest_ms: since when the first of them waits, 0: none. */
uint64_t overtaken_waiting(const struct backend_view *backend, uint64_t *oldest_ms);

/* Gives all of them up. */
void overtaken_close(struct backend_view *backend);

#endif
