/* Restarts as healthd sees them: it keeps a backend DOWN while the supervisor restarts it, and
 * asks for a restart if a backend stays unhealthy. The supervisor decides.
 *
 * healthd only. Times are monotonic milliseconds. */
#ifndef HEALTHD_RESTART_REQUEST_H
#define HEALTHD_RESTART_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "healthd/backend_health.h"

enum {
    RESTART_REQUEST_AGAIN_MS = 10000, /* between two requests for the same backend */
    RESTART_REQUEST_BOOT = 10,        /* times as long for a backend that was never UP */
};

/* Takes over what the supervisor wants of the backend. */
void restart_request_follow(struct backend_health *target, uint64_t now_ms);

/* Should a restart be requested now, and why? Then it counts as requested. Never for a backend
 * that an operator drains or maintains. */
bool restart_request_wanted(struct backend_health *target, uint64_t now_ms,
                            char why[TABLE_REASON]);

#endif
