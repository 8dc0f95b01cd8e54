/* A generation: one reading of the configuration and what belongs to it. Each
 * child runs one; several live side by side while old workers drain.
 *
 * Supervisor only. Counted references: one by the supervisor while it is the
 * current one or the one on trial, one by each child's row; the last one to
 * let go frees it. */
#ifndef SUPERVISOR_GENERATION_H
#define SUPERVISOR_GENERATION_H

#include <stdint.h>

#include "base/conf/conf.h"
#include "supervisor/listeners.h"
#include "supervisor/privilege.h"
#include "supervisor/slots.h"

struct generation {
    uint32_t number; /* 1 at the first start */
    uint32_t refs;
    uint32_t workers; /* slots */
    struct conf *conf;
    struct identity identity;
    uint16_t backend_slot[CONF_MAX_BACKENDS]; /* [conf index] -> slot in the table */
    bool slots_taken;
    struct listener_set listeners;
    int access_fd;
    uint32_t recent_room;  /* records that its workers' rings may have (room.h) */
    struct slots *slots;   /* where to give them back */
    struct listeners *all; /* the same */
};

/* Builds one from a configuration, which it owns from then on, also when it
 * fails. NULL and at least one more error when something is not to be had. */
struct generation *generation_new(struct conf *conf, uint32_t number, struct slots *slots,
                                  struct listeners *all, struct conf_errors *errs);

struct generation *generation_ref(struct generation *generation);
void generation_unref(struct generation *generation); /* takes NULL */

/* Opens the access log again (USR1). -1 with errno: the old one stays. */
int generation_reopen_access(struct generation *generation);

#endif
