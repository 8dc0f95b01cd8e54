/* What healthd compares the backends of a pool by (healthd/outlier/score.h): of requests whose
 * backend was chosen freely, how many got 5xx, 4xx, or took long. Worker only, in its own
 * cells.
 *
 * Those of a session are left out: they are always at one backend, so that what they get may be
 * due to them. So are second attempts: requests that failed elsewhere may well fail again. */
#ifndef WORKER_MEASURED_H
#define WORKER_MEASURED_H

#include <stdint.h>

struct backend_view;
struct exchange;

enum {
    MEASURED_RING_MS = 50
}; /* healthd is rung for bad ones at most this often, per backend */

/* Its backend has responded completely, or the response is refused. */
void measured_response(struct exchange *x);

/* Once a second: those at the backend that already take longer than healthd allows
 * (health.slow_ms) are counted now: they may go on for hours. */
void measured_look(const struct backend_view *backend);

#endif
