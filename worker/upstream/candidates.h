/* What each backend of a pool is worth to the next exchange: its class, its weight, its load.
 *
 * Classes and weights change with verdicts, overrides and faults, not with requests. They are
 * computed when candidates_changed() was said, and while time alone changes one (slow start,
 * the second after a failed connect). The loads are read once in a millisecond, which reads the
 * cells of all workers for all backends; in between only our own changes are added. Worker
 * only. */
#ifndef WORKER_CANDIDATES_H
#define WORKER_CANDIDATES_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/upstream/backends.h"

struct worker;

/* Allocates what a pool needs for it; its backends are there. 0 or -1 (no memory). */
int candidates_init(struct pool_view *pool);

/* Something that the class or weight of a backend of the pool depends on has changed. */
static inline void candidates_changed(struct pool_view *pool)
{
    pool->renew_ms = 0;
}

/* How well it may be chosen by now, for exchanges without a session. */
enum balance_class candidates_class_of(const struct backend_view *backend, uint64_t now_ms);

/* Computes classes and weights, and reads the loads, if it is time. Then pool->weighted says
 * that all backends that serve are good and none has a reduced weight, so that
 * balance_weighted() may choose among the good ones; pool->even that these also weigh the same
 * and have the same cap, so that balance_even() may. */
void candidates_look(struct worker *worker, struct pool_view *pool);

/* Reads the loads unless they were read in this turn of the loop: before a request has to wait,
 * because all backends seem to be at their cap. true: they may have changed. */
bool candidates_reread(struct worker *worker, struct pool_view *pool);

/* Makes pool->balance[] the input of balance_least() and balance_round(), for an exchange that
 * has tried the backends of these bits. true: one that serves was left out because it is at its
 * cap. After candidates_look(). */
bool candidates_fill(struct pool_view *pool, const uint64_t *tried);

#endif
