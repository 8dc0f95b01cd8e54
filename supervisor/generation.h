/* A generation: one reading of the configuration and what belongs to it. Each child runs one;
 * several exist side by side while old workers drain.
 *
 * Supervisor only. Reference counted: the supervisor holds one reference on the current
 * generation and one on the trial, each child's row holds one on its own. The last unref frees
 * it. */
#ifndef SUPERVISOR_GENERATION_H
#define SUPERVISOR_GENERATION_H

#include <stdint.h>

#include "base/conf/conf.h"
#include "shm/table.h"
#include "supervisor/listeners.h"
#include "supervisor/privilege.h"
#include "supervisor/slots.h"

struct generation {
    uint32_t number; /* 1 at the first start */
    uint32_t refs;
    uint32_t workers; /* number of worker slots */
    struct conf *conf;
    struct identity identity;
    uint16_t backend_slot[CONF_MAX_BACKENDS]; /* [conf index] -> slot in the table */
    bool slots_taken;
    struct listener_set listeners;
    int access_fd;
    struct row_room room;  /* of each of its workers' rows (room.h) */
    struct slots *slots;   /* where they are released */
    struct listeners *all; /* where its listeners are released */
};

/* Builds one from a configuration, and owns that from then on, even when it fails. NULL, and at
 * least one more error in errs, when something cannot be acquired. */
struct generation *generation_new(struct conf *conf, uint32_t number, struct slots *slots,
                                  struct listeners *all, struct conf_errors *errs);

struct generation *generation_ref(struct generation *generation);
void generation_unref(struct generation *generation); /* takes NULL */

/* Reopens the access log (USR1). -1 with errno: the old one stays. */
int generation_reopen_access(struct generation *generation);

#endif
