/* Restarts, as healthd sees them: it holds a backend down while the supervisor has it
 * restarted, and asks for a restart when one stays ill. The supervisor decides.
 *
 * healthd only. Times are monotonic milliseconds. */
#ifndef HEALTHD_RESTART_REQUEST_H
#define HEALTHD_RESTART_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "healthd/backend_health.h"

enum {
    HEAL_ASK_MS = 10000, /* from one request to the next of the same backend */
    HEAL_BOOT = 10,      /* times as long as else, for one that was never up */
};

/* Takes in what the supervisor wants of the backend. true: the workers must hear of it. */
bool restart_request_follow(struct backend_health *target, uint64_t now_ms);

/* Is a restart to be asked for now, and why? It is then taken as asked. Never for one that an
 * operator drains or maintains. */
bool restart_request_wanted(struct backend_health *target, uint64_t now_ms,
                            char why[TABLE_REASON]);

#endif
