/* What the parts of healing share: backend/recovery.c (states, the restarter), recovery_facts.c
 * (what is known), backend/recovery_request.c (who asks, and the answer). Private to these. */
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
    struct recovery_fsm heal;
    bool force;
    bool wanted;                 /* healthd asked for it, and it is still down */
    bool dry_told;               /* that it would be restarted, in this outage */
    uint64_t since_ms;           /* of the state */
    uint64_t deadline_ms;        /* of the state; 0: none */
    char override[TABLE_REASON]; /* why healthd asks */
    char told[TABLE_REASON];     /* why healthd's ask was refused last */
    char reason[TABLE_REASON];   /* of the restart under way */
    char incident[TABLE_INCIDENT];
};

struct recovery_table {
    struct supervisor *sup;
    struct loop_timer timer;
    struct recovery slot[TABLE_BACKENDS];
    int acting;    /* slot that has the restarter, or is about to; RECOVERY_NOBODY */
    bool launched; /* it runs */
    uint32_t seen[TABLE_WORKERS]; /* verdicts_seen before the acting one was taken out */
    char dir[HERITAGE_DIR];       /* of its evidence */
    char text[TABLE_REASON];      /* what the restarter told last */
    uint32_t ntexts, incidents;
};

/* ---- recovery_facts.c: what is known */

struct recovery *recovery_of(const struct supervisor *sup, int slot);
/* NULL: the current configuration does not name it. */
const struct conf_backend *recovery_backend(const struct supervisor *sup, int slot);
const struct conf_pool *recovery_pool(const struct supervisor *sup,
                                      const struct conf_backend *b);
/* healthd's row, as far as it is about this backend; else HEALTH_UNKNOWN. */
struct health_row recovery_health(const struct supervisor *sup, int slot);
struct recovery_facts recovery_facts(const struct supervisor *sup, int slot,
                                     const struct conf_backend *b, bool by_operator,
                                     bool force);
bool recovery_is_healthy(uint8_t health);
/* Not in its place: draining, restarting, verifying. */
bool recovery_is_busy(uint8_t state);
/* A text of a child, for people: printable ASCII only. */
void recovery_clean(char out[TABLE_REASON], const char *text);

/* ---- backend/recovery.c */

/* Takes one event; reason: what it is about, for people. */
void recovery_event(struct supervisor *sup, int slot, enum recovery_event what,
                    const char *actor, const char *reason);
/* Fills the heal fields of the row and publishes it. */
void recovery_publish(struct supervisor *sup, int slot, struct admin_row *row);
/* Publishes a state, now or again, and tells history, log, workers and healthd. */
void recovery_tell(struct supervisor *sup, int slot, uint8_t from, const char *actor,
                   const char *reason, bool drains);

#endif
