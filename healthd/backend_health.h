/* One backend under watch: its verdict, its next probe, its row of the table.
 *
 * healthd only. The structs that it points to are the heritage's and live as
 * long as the process. Times are monotonic milliseconds. */
#ifndef HEALTHD_BACKEND_HEALTH_H
#define HEALTHD_BACKEND_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "healthd/check/prober.h"
#include "healthd/health_fsm.h"
#include "healthd/outlier/eject.h"
#include "healthd/outlier/observed.h"
#include "healthd/outlier/stall.h"
#include "healthd/schedule.h"

struct conf_backend;
struct conf_pool;

struct backend_health {
    const struct conf_backend *backend;
    const struct conf_pool *pool;
    struct table *table;
    int slot;
    struct health_fsm verdict;
    struct health_row row; /* what was published last */
    bool newcomer;         /* a backend that a reload brought */
    bool alone;            /* nobody else of its pool serves (outlier_alone()) */

    /* the next probe */
    bool running;         /* a probe is under way */
    bool judged;          /* this process has probed it at least once */
    bool trouble;         /* workers saw some since the last probe ended */
    bool urgent;          /* probe again as soon as this one has ended */
    bool stale;           /* the one under way is about what was before a restart */
    enum outcome outcome; /* of the last one */
    uint64_t due_ms;      /* of the next probe */
    uint64_t started_ms;  /* of the last one */
    uint64_t passed_ms;   /* start of the last one that passed */

    /* what workers saw */
    struct observed seen;             /* sums at the last look for trouble */
    struct observed at_start, at_end; /* of the last probe */
    uint64_t bad_ms, good_ms;         /* when they saw only failures last; when an answer */
    uint64_t errors_in_row;           /* answers of 5xx since any other */
    bool errors_meant;                /* a check passed meanwhile: they are the application's */
    struct stall stall;
    struct eject eject;

    /* ejection (healthd/outlier/outlier.h) */
    bool failing;     /* requests that failed made it suspect, and checks that pass
                       * do not prove that they do not any more */
    uint64_t doubted; /* so many of those that wait silently were reason for a trial already */
    bool stalled;     /* the last one was because it answered nothing */
    bool told;        /* why it is not ejected was told */
    uint64_t mellow_ms; /* since when it has been well: an ejection less for each max_time */
    uint64_t trial_ms;  /* since when it is on trial */
    uint64_t tried_ms;  /* when a request was seen on trial last, or it began */
    struct observed before;   /* that trial: sums */
    uint64_t overtaken, mute; /* sums when it answered last, or the trial began */

    /* restarts (healthd/restart_request.h) */
    uint8_t override, heal; /* enum admin_state, enum heal_state: what the supervisor wants */
    bool was_up;            /* ever, so far as history tells */
    uint64_t asked_ms;      /* when a restart was asked for last; 0: not yet */
};

/* Begins: takes over the row of the same backend as the predecessor left it,
 * or starts at UNKNOWN. Publishes. reloaded: the service runs already. */
void backend_health_init(struct backend_health *target, struct table *table, int slot,
                         const struct conf_backend *backend, const struct conf_pool *pool,
                         bool reloaded, uint64_t due_ms);

/* A probe starts now. */
void backend_health_started(struct backend_health *target, const struct observed_live *live,
                            uint64_t now_ms);

/* It has ended: judges, publishes and sets the time of the next one. target->alone is to be
 * that of now. true: the workers must hear of it (another state, or another address). */
bool backend_health_ended(struct backend_health *target, const struct observed_live *live,
                          const struct probe_result *result, struct schedule *schedule,
                          uint64_t now_ms);

/* Looks at what the workers saw since the last look; brings the next probe
 * forward where something failed. few: how many unanswered requests are no chance
 * (stall_needed()). true: as above. */
bool backend_health_look(struct backend_health *target, const struct observed_live *live,
                         uint64_t few, struct observed *added, uint64_t now_ms);

/* Sets the state by hand: to history, log and table. `text` is the reason. */
void backend_health_force(struct backend_health *target, enum health_state state,
                          const char *text, uint64_t now_ms);

/* Do checks pass again after requests had failed? Then only requests can prove that it is
 * well: backend_health_try() lets them, if it may. true: as above. */
bool backend_health_may_try(const struct backend_health *target, uint64_t now_ms);
bool backend_health_try(struct backend_health *target, uint64_t now_ms);

/* Puts one on trial since requests wait there silently, told by `text`: it stays UP, or
 * SUSPECT, meanwhile. */
void backend_health_doubt(struct backend_health *target, const char *text, uint64_t now_ms);

/* The time of an ejection is over: it goes on trial if its checks pass. true: as above. */
bool backend_health_release(struct backend_health *target, uint64_t now_ms);

/* Publishes the row after a change of what is not its state. */
void backend_health_publish(struct backend_health *target);

/* Does it serve, as far as health goes? Is it well: UP or SATURATED, and wanted? */
bool backend_health_serves(const struct backend_health *target);
bool backend_health_is_healthy(const struct backend_health *target);

/* Is it put aside for failing while its checks pass? Its time may be over. */
static inline bool target_ejected(const struct backend_health *target)
{
    return target->row.eject_until_ms != 0;
}

/* Is something going on that has to be looked at often? */
bool backend_health_lively(const struct backend_health *target);

/* A slot that this configuration does not name: nothing is known of it. */
void backend_health_forget(struct table *table, int slot);

#endif
