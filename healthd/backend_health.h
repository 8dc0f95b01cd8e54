/* One backend that healthd watches: its state, its next probe, its row of the table.
 *
 * What leads from state to state is decided elsewhere: by what is seen of the backend itself
 * (healthd/judge.h), and of its neighbours (healthd/outlier/outlier.h). All changes go through
 * backend_health_turn(). healthd only. The structs that it points to belong to the heritage and
 * live as long as the process. Times are monotonic milliseconds. */
#ifndef HEALTHD_BACKEND_HEALTH_H
#define HEALTHD_BACKEND_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "healthd/check/prober.h"
#include "healthd/outlier/evidence.h"
#include "healthd/outlier/score.h"

enum {
    BACKEND_HEALTH_SLOW_MS = 1000, /* no quicker response is slow, whatever the pool does */
    BACKEND_HEALTH_PENALTY = 2, /* doublings at most: with rise 2 and a second between, 8 s */
    BACKEND_HEALTH_PENALTY_TTL = 10, /* passes while UP, after which trouble is the first */
};

struct conf_backend;
struct conf_pool;

struct probation {               /* what was seen since it began */
    uint64_t began_ms, tried_ms; /* tried_ms: there was a request */
    uint64_t hard, good;         /* hard failures; what proves that it is healthy */
    /* since its last response: requests that others answered first; without any byte here */
    uint64_t detached, unanswered;
};

struct backend_health {
    const struct conf_backend *backend;
    struct pool_health *pool;
    struct table *table;
    int slot;
    struct health_row row; /* as published next */
    bool news;             /* it has what workers must be rung for */

    bool newcomer;       /* added by a reload */
    bool quiet;          /* only the debug log tells of this probation */
    uint8_t penalty;     /* doublings of the required passes */
    uint8_t penalty_ttl; /* passes while UP until trouble counts as the first */
    uint64_t kept_ms;    /* it was last kept, because no other could take its place */
    uint64_t decay_ms;   /* healthy since then: one ejection is taken back per max_time */
    struct probation probation;

    /* what workers saw */
    struct evidence seen;
    struct score score;
    uint64_t bad_ms; /* failures only */

    /* the next probe */
    bool running;                  /* a probe is under way */
    bool judged;                   /* this process has probed it at least once */
    bool trouble;                  /* workers saw trouble since the last probe ended */
    bool urgent;                   /* probe again as soon as this one has ended */
    bool stale;                    /* the running one began before a restart */
    enum outcome outcome;          /* of the last probe */
    uint64_t due_ms;               /* of the next probe */
    uint64_t started_ms, ended_ms; /* of the last probe */
    uint64_t passed_ms;            /* start of the last probe that passed */

    /* restarts (healthd/restart_request.h) */
    uint8_t override, heal; /* enum admin_state, enum recovery_state: set by the supervisor */
    uint64_t asked_ms;      /* last request for a restart; 0: none yet */
};

struct pool_health {
    const struct conf_pool *conf;
    struct backend_health *target; /* [n] */
    uint32_t n;
    /* Times to the first byte, older ones count half; and all up to renewed_ms. */
    uint64_t latency[TABLE_LATENCY], counted[TABLE_LATENCY], renewed_ms;
    uint64_t min_waiting; /* evidence_min_waiting(), for this pool */
};

/* Takes over the row of the same backend as the predecessor left it, or starts at UNKNOWN;
 * publishes it. reloaded: the service already runs. */
void backend_health_init(struct backend_health *target, struct table *table, int slot,
                         const struct conf_backend *backend, struct pool_health *pool,
                         bool reloaded, uint64_t now_ms);

/* Enters a state, told in history and log; format gives the reason. Where it already is in that
 * state only the reason changes, except that each reason to be DEGRADED is told. */
__attribute__((format(printf, 5, 6))) void
backend_health_turn(struct backend_health *target, enum health_state state,
                    enum health_cause cause, uint64_t now_ms, const char *format, ...);

/* Publishes the row. true: workers must be rung. */
bool backend_health_publish(struct backend_health *target);

/* Was it to be ejected just now, and kept because no other could take its place? */
bool backend_health_is_kept(const struct backend_health *target, uint64_t now_ms);

static inline bool backend_health_is_up(uint8_t state)
{
    return state == HEALTH_UP || state == HEALTH_DEGRADED;
}

/* serves: it takes requests, as far as its state goes. is_healthy: it is UP or DEGRADED, and
 * neither an operator nor a restart keeps it out. lively: to be looked at often, because
 * something is going on. */
bool backend_health_serves(const struct backend_health *target);
bool backend_health_is_healthy(const struct backend_health *target);
bool backend_health_is_lively(const struct backend_health *target);

/* For a slot that this configuration does not name: resets its row. */
void backend_health_forget(struct table *table, int slot);

#endif
