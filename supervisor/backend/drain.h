/* Progress and end of drains. A backend drains when its admin row says so (admission_drains()):
 * by an override of the operator or the configuration, or as the first phase of a recovery.
 * Whoever begins a drain sets the row's state and since, calls drain_begin() on it, publishes
 * it, and calls drains_watch(). The tick does the rest: it keeps deadline_ms up to date, and
 * when the drain ends it sets drained, adds to the history, logs, and rings the workers'
 * doorbells. A drain ends once; the row says so until another override is set.
 *
 * It may be taken back at any time by setting another state. */
#ifndef SUPERVISOR_BACKEND_DRAIN_H
#define SUPERVISOR_BACKEND_DRAIN_H

#include <stdint.h>

#include "shm/table.h"

struct supervisor;

enum {
    DRAIN_TICK_MS = 250, /* between two checks while any drain runs; longer than workers need to
                            see its begin, so the first check comes after one tick */
    DRAIN_REASON = TABLE_REASON,
};

/* ---- pure */

struct drain_view {
    uint64_t now_ms;
    uint64_t since_ms;       /* of the override, or of the recovery phase */
    uint64_t blind_until_ms; /* sessions from before a restart are unknown until then */
    uint32_t timeout_ms;     /* 0: no timeout */
    uint32_t in_flight;
    uint32_t sessions; /* or SESSIONS_UNCOUNTED */
};

/* When it is cut; 0: never. */
uint64_t drain_deadline(const struct drain_view *view);

/* Does the drain go on? When it ends, out is set to the reason. */
enum drain_end drain_decide(const struct drain_view *view, char out[DRAIN_REASON]);

/* ---- the supervisor's rows */

/* For a row whose drain begins, or ends by being taken back, with its new state and since
 * already set. The caller publishes the row afterwards: with its deadline, so that nobody reads
 * that there is none. */
void drain_begin(const struct supervisor *sup, int slot, struct admin_row *row);

/* Starts checking drains, from the next tick on. Also after a start that found some. */
void drains_watch(struct supervisor *sup);

#endif
