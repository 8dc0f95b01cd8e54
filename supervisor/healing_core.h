/* What the parts of healing share: healing.c (states, the restarter), healing_facts.c (what
 * is known), healing_ask.c (who asks, and the answer). Private to these. */
#ifndef SUPERVISOR_HEALING_CORE_H
#define SUPERVISOR_HEALING_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "shm/heritage.h"
#include "supervisor/heal.h"

struct conf_backend;
struct conf_pool;
struct supervisor;

enum { HEALING_NOBODY = -1 /* no slot */ };

struct healing {
    struct heal heal;
    bool force;
    bool wanted;               /* healthd asked for it, and it is still down */
    bool dry_told;             /* that it would be restarted, in this outage */
    uint64_t since_ms;         /* of the state */
    uint64_t deadline_ms;      /* of the state; 0: none */
    char wish[TABLE_REASON];   /* why healthd asks */
    char told[TABLE_REASON];   /* why healthd's ask was refused last */
    char reason[TABLE_REASON]; /* of the restart under way */
    char incident[TABLE_INCIDENT];
};

struct healer {
    struct supervisor *sup;
    struct loop_timer timer;
    struct healing slot[TABLE_BACKENDS];
    int acting;    /* slot that has the restarter, or is about to; HEALING_NOBODY */
    bool launched; /* it runs */
    uint32_t seen[TABLE_WORKERS]; /* verdicts_seen before the acting one was taken out */
    char folder[HERITAGE_FOLDER]; /* of its evidence */
    char text[TABLE_REASON];      /* what the restarter told last */
    uint32_t ntexts, incidents;
};

/* ---- healing_facts.c: what is known */

struct healing *healing_of(const struct supervisor *sup, int slot);
/* NULL: the current configuration does not name it. */
const struct conf_backend *healing_backend(const struct supervisor *sup, int slot);
const struct conf_pool *healing_pool(const struct supervisor *sup,
                                     const struct conf_backend *b);
/* healthd's row, as far as it is about this backend; else HEALTH_UNKNOWN. */
struct health_row healing_health(const struct supervisor *sup, int slot);
struct heal_facts healing_facts(const struct supervisor *sup, int slot,
                                const struct conf_backend *b, bool by_operator, bool force);
bool healing_is_well(uint8_t health);
/* Not in its place: draining, restarting, verifying. */
bool healing_is_busy(uint8_t state);
/* A text of a child, for people: printable ASCII only. */
void healing_clean(char out[TABLE_REASON], const char *text);

/* ---- healing.c */

/* Takes one event; reason: what it is about, for people. */
void healing_event(struct supervisor *sup, int slot, enum heal_event what, const char *actor,
                   const char *reason);
/* Fills the heal fields of the row and publishes it. */
void healing_publish(struct supervisor *sup, int slot, struct admin_row *row);
/* Publishes a state, now or again, and tells history, log, workers and healthd. */
void healing_tell(struct supervisor *sup, int slot, uint8_t from, const char *actor,
                  const char *reason, bool drains);

#endif
