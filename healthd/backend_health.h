/* One backend that healthd watches: its verdict, its next probe, its row of the table.
 *
 * healthd only. The structs that it points to belong to the heritage and live as long as the
 * process. Times are monotonic milliseconds. */
#ifndef HEALTHD_BACKEND_HEALTH_H
#define HEALTHD_BACKEND_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "healthd/check/prober.h"
#include "healthd/health_fsm.h"
#include "healthd/outlier/eject.h"
#include "healthd/outlier/observed.h"
#include "healthd/outlier/score.h"
#include "healthd/outlier/stall.h"
#include "healthd/schedule.h"

enum {
    BACKEND_HEALTH_SLOW_MS = 1000
}; /* no quicker response is slow, whatever the pool does */

struct conf_backend;
struct conf_pool;

struct backend_health {
    const struct conf_backend *backend;
    const struct conf_pool *pool;
    struct table *table;
    int slot;
    struct health_fsm verdict;
    struct health_row row; /* as last published */
    bool newcomer;         /* added by a reload */
    bool alone;            /* no other backend of its pool serves (outlier_alone()) */

    /* the next probe */
    bool running;         /* a probe is under way */
    bool judged;          /* this process has probed it at least once */
    bool trouble;         /* workers saw trouble since the last probe ended */
    bool urgent;          /* probe again as soon as this one has ended */
    bool stale;           /* the running one began before a restart */
    enum outcome outcome; /* of the last probe */
    uint64_t due_ms;      /* of the next probe */
    uint64_t started_ms;  /* of the last probe */
    uint64_t passed_ms;   /* start of the last probe that passed */

    /* what workers saw */
    struct observed seen;             /* sums when last compared */
    struct observed at_start, at_end; /* of the last probe */
    uint64_t bad_ms, good_ms;         /* when workers last saw: failures only; a response */
    struct stall stall;
    struct eject eject;
    struct score score;

    /* ejection (healthd/outlier/outlier.h) */
    bool failing; /* failed requests made it SUSPECT; passing checks do not disprove that */
    uint64_t tried_waiting; /* number of silent requests that already led to a probation */
    bool stalled;           /* the last ejection was because of silence */
    bool told;              /* logged already why it is not ejected */
    bool quiet;            /* on probation because of silence, and only the debug log says so */
    uint64_t decay_ms;     /* healthy since then: one ejection is taken back per max_time */
    uint64_t probation_ms; /* start of probation, or its last fault */
    uint64_t tried_ms;     /* when a probation request was last seen, or probation began */
    struct observed before;                  /* sums at probation_ms */
    uint64_t detached, probation_unanswered; /* sums at its last response, or at probation_ms */

    /* restarts (healthd/restart_request.h) */
    uint8_t override, heal; /* enum admin_state, enum recovery_state: set by the supervisor */
    bool was_up;            /* ever, as far as the history shows */
    uint64_t asked_ms;      /* last request for a restart; 0: none yet */
};

/* Takes over the row of the same backend as the predecessor left it, or starts at UNKNOWN;
 * publishes it. reloaded: the service already runs. */
void backend_health_init(struct backend_health *target, struct table *table, int slot,
                         const struct conf_backend *backend, const struct conf_pool *pool,
                         bool reloaded, uint64_t due_ms);

/* A probe starts now. */
void backend_health_started(struct backend_health *target, const struct observed_live *live,
                            uint64_t now_ms);

/* The probe has ended: judges, publishes and schedules the next one. target->alone must be up
 * to date. true: workers must be rung (another state, or another address). */
bool backend_health_ended(struct backend_health *target, const struct observed_live *live,
                          const struct probe_result *result, struct schedule *schedule,
                          uint64_t now_ms);

/* Evaluates what the workers saw since the last call; brings the next probe forward if
 * something failed. min_waiting: how many unanswered requests are no coincidence
 * (stall_min_waiting()). true: as above. */
bool backend_health_look(struct backend_health *target, const struct observed_live *live,
                         uint64_t min_waiting, struct observed *added, uint64_t now_ms);

/* Sets the state unconditionally, in history, log and table. `text` is the reason. */
void backend_health_force(struct backend_health *target, enum health_state state,
                          const char *text, uint64_t now_ms);

/* Its responses have become unlike those of other backends, or like them again; `text` says
 * so. */
void backend_health_compare(struct backend_health *target, const char *text, uint64_t now_ms);

/* Do checks pass again after requests had failed? Then only requests can prove that the backend
 * is healthy. */
bool backend_health_may_try(const struct backend_health *target, uint64_t now_ms);

/* Starts probation for that cause; `text` is the reason. */
void backend_health_try(struct backend_health *target, enum health_cause cause,
                        const char *text, uint64_t now_ms);

/* Ends an ejection whose time is over: probation begins if checks pass. true: as above. */
bool backend_health_release(struct backend_health *target, uint64_t now_ms);

/* Publishes the row after a change of something other than its state. */
void backend_health_publish(struct backend_health *target);

/* serves: it takes requests, as far as its state goes. is_healthy: it is UP or DEGRADED, and
 * neither an operator nor a restart keeps it out. */
bool backend_health_serves(const struct backend_health *target);
bool backend_health_is_healthy(const struct backend_health *target);

/* Does it have to be looked at often, because something is going on? */
bool backend_health_lively(const struct backend_health *target);

/* For a slot that this configuration does not name: resets its row. */
void backend_health_forget(struct table *table, int slot);

#endif
