/* A drain's progress and end. A drain runs at each backend whose admin row says so
 * (admission_drains()): by a wish of the operator or the configuration, or as the first phase
 * of the heal machine. Whoever begins one sets the row's state and since, calls
 * drain_begin() on it, publishes it, and calls drains_watch(). The rest is the tick's: it
 * keeps deadline_ms, and when the drain ends, drained; then the history, the log and the
 * workers' bells have it. It ends once; the row says so until another wish is set.
 *
 * It may be taken back at any moment by setting another state. */
#ifndef SUPERVISOR_BACKEND_DRAIN_H
#define SUPERVISOR_BACKEND_DRAIN_H

#include <stdint.h>

#include "shm/table.h"

struct supervisor;

enum {
    DRAIN_TICK_MS = 250, /* between two looks while any drain runs; more than workers need
                            to have seen its begin, so the first look comes after one */
    DRAIN_REASON = TABLE_REASON,
};

/* ---- pure */

struct drain_view {
    uint64_t now_ms;
    uint64_t since_ms;       /* of the wish, or of the heal phase */
    uint64_t blind_until_ms; /* sessions from before a restart are not known until then */
    uint32_t timeout_ms;     /* 0: none */
    uint32_t in_flight, sessions;
};

/* When it is cut; 0: never. */
uint64_t drain_deadline(const struct drain_view *view);

/* Does it go on, and if not, why: out is set when it ends. */
enum drain_end drain_decide(const struct drain_view *view, char out[DRAIN_REASON]);

/* ---- the supervisor's */

/* A row whose drain begins, or ends by being taken back, with its new state and since. The
 * caller publishes it: with its deadline, so that nobody reads that there is none. */
void drain_begin(const struct supervisor *sup, int slot, struct admin_row *row);

/* Has the drains looked after, from one tick on. Also after a start that found some. */
void drains_watch(struct supervisor *sup);

#endif
