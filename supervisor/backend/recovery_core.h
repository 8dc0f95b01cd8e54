/* What the parts of recovery share: recovery.c (states, the restarter), recovery_facts.c (what
 * is known), recovery_request.c (requests and their replies). Private to these. */
#ifndef SUPERVISOR_BACKEND_RECOVERY_CORE_H
#define SUPERVISOR_BACKEND_RECOVERY_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "shm/heritage.h"
#include "supervisor/backend/recovery_fsm.h"

struct conf_backend;
struct conf_pool;
struct supervisor;

enum { RECOVERY_NOBODY = -1 /* no slot */ };

struct recovery {
    struct recovery_fsm fsm;
    bool force;
    bool wanted;          /* healthd asked for a restart, and the backend is still down */
    bool dry_told;        /* a dry run was logged for this outage */
    uint64_t since_ms;    /* of the state */
    uint64_t deadline_ms; /* of the state; 0: none */
    char wanted_reason[TABLE_REASON]; /* why healthd asks for it */
    char told[TABLE_REASON];          /* why healthd's request was refused last */
    char reason[TABLE_REASON];        /* of the restart under way */
    char incident[TABLE_INCIDENT];
};

struct recovery_table {
    struct supervisor *sup;
    struct loop_timer timer;
    struct recovery slot[TABLE_BACKENDS];
    int acting; /* the slot that the restarter works on, or is about to; or RECOVERY_NOBODY */
    bool launched;                /* the restarter was launched */
    uint32_t seen[TABLE_WORKERS]; /* verdicts_seen of each worker before the acting backend was
                                     taken out */
    char dir[HERITAGE_DIR];       /* of its diagnostics */
    char text[TABLE_REASON];      /* what the restarter said last */
    uint32_t ntexts, incidents;
};

/* ---- recovery_facts.c: what is known */

struct recovery *recovery_of(const struct supervisor *sup, int slot);
/* NULL: the current configuration does not have it. */
const struct conf_backend *recovery_backend(const struct supervisor *sup, int slot);
const struct conf_pool *recovery_pool(const struct supervisor *sup,
                                      const struct conf_backend *b);
/* healthd's row if it is about this backend; else HEALTH_UNKNOWN. */
struct health_row recovery_health(const struct supervisor *sup, int slot);
struct recovery_facts recovery_facts(const struct supervisor *sup, int slot,
                                     const struct conf_backend *b, bool by_operator,
                                     bool force);
bool recovery_is_healthy(uint8_t health);
/* Draining, restarting or verifying. */
bool recovery_is_busy(uint8_t state);
/* Copies a child's text for people: printable ASCII only. */
void recovery_clean(char out[TABLE_REASON], const char *text);

/* ---- backend/recovery.c */

/* Feeds one event to the state machine; reason: for people. */
void recovery_event(struct supervisor *sup, int slot, enum recovery_event what,
                    const char *actor, const char *reason);
/* Fills the recovery fields of the row and publishes it. */
void recovery_publish(struct supervisor *sup, int slot, struct admin_row *row);
/* Publishes a state, new or unchanged, adds to the history, logs, and rings workers and
 * healthd. */
void recovery_tell(struct supervisor *sup, int slot, uint8_t from, const char *actor,
                   const char *reason, bool drains);

#endif
