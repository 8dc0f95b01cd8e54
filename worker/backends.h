/* The worker's view of pools and backends: what may be chosen, how loaded it
 * is over all workers, who waits for a place. Worker only.
 *
 * The verdicts come from the table (healthd's and the supervisor's rows) and
 * are copied here at each ring of the doorbell; choosing reads only copies and
 * the workers' counters. */
#ifndef WORKER_BACKENDS_H
#define WORKER_BACKENDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/str.h"
#include "shm/table.h"
#include "worker/balance.h"

struct conf_backend;
struct conf_pool;
struct exchange;
struct upstream;
struct worker;

/* Exchanges that wait, the oldest first. */
struct waiters {
    struct exchange *first, *last;
    uint32_t n;
    bool stuck; /* backends_wake() tried the first one in vain */
};

struct backend_view {
    const struct conf_backend *conf;
    struct pool_view *pool;
    struct str authority;        /* "host:port" as configured */
    uint32_t id;                 /* names it in tags (worker/http/affinity.h) */
    int slot;                    /* in the table */
    struct worker_backend *cell; /* our counters of it */
    struct health_row health;    /* last good copy */
    uint8_t admin;               /* enum admin_state: admission_state() of the last good copy */
    uint32_t addresses;          /* how often health.address has changed */
    socklen_t address_len;       /* of health.address; 0: none known */
    uint64_t slow_until_ms;      /* the end of its slow start; 0: none */
    uint64_t avoid_until_ms;     /* we just failed to connect: others first */
    uint32_t race_ms;      /* on trial: a request waits there for so long alone; 0: as ever */
    struct upstream *idle; /* kept connections, the last used first */
    uint32_t nidle;
    struct upstream *pinned; /* idle, each for one client's connection (worker/pins.h) */
    uint32_t npinned;
    struct exchange *running;   /* list: what we have at it */
    struct upstream *overtaken; /* list: attempts whose exchange went on without them */
    struct waiters waiters;     /* those whose session is here */
    uint32_t failed_in_row;     /* what our cell says */
    uint8_t blame;              /* 0 to BLAME_MOST (worker/blame.h) */
    bool blamed;                /* it errs where others do not */
    struct log_gate blame_gate; /* how often the log hears of that */
    bool blame_told;            /* it did, and hears of its end */
    bool cut;                   /* its drain's time is over */
    bool expels;                /* the last refresh found that */
};

struct pool_view {
    struct worker *worker;
    const struct conf_pool *conf;
    struct backend_view *backends; /* [nbackends], a run of worker->backends */
    uint32_t nbackends;
    struct balance *balance; /* [nbackends]: input and state of the choice */
    bool capped;             /* some backend has max_in_flight */
    uint64_t outage_ms;      /* since when no backend is up and ready; 0: one is */
    bool waking;             /* backends_wake() is at work */
    uint8_t in_vain;         /* requests in a row that were asked again for nothing */
    uint64_t in_vain_ms;     /* when the last of them was */
    uint32_t ntrials;        /* backends with health.trial */
    struct waiters waiters;  /* for a place anywhere in the pool */
    struct waiters retriers; /* for a place in the budget of retries (worker/retry_budget.h) */
    uint32_t nwaiting;       /* these, and those of its backends */
};

/* Allocates and fills both arrays of the worker. 0 or -1 (no memory). */
int backends_init(struct worker *worker);

/* Copies the verdicts anew and acts on changes: closes idle connections of what
 * is down, lets waiting exchanges try again. */
void backends_refresh(struct worker *worker);

enum backends_choice {
    BACKENDS_CHOSEN,
    BACKENDS_TRIES, /* chosen too, with the place for the one that tries (worker/fail_open.h) */
    BACKENDS_FULL,  /* all that may serve are at their cap */
    BACKENDS_NONE,  /* nothing to choose from (all tried, or none has an address) */
    BACKENDS_WAIT,  /* no verdict yet: worth waiting for the first one */
};

/* Chooses for an exchange and takes a place at it (in_flight counts it). tried:
 * bit per index in the pool, not to be chosen again. home: where its session is
 * (backends_is_home() holds): that one or none; NULL: any. */
enum backends_choice backends_choose(struct worker *worker, struct pool_view *pool,
                                     struct backend_view *home,
                                     uint64_t tried[TABLE_BACKENDS / 64],
                                     struct backend_view **chosen);

/* Does it (still) serve the sessions that it has? Drained ones do; one that is down
 * only when there is nothing better. */
bool backends_is_home(const struct backend_view *backend);

/* Is there a well instance in the pool that was not tried yet (bits as in
 * backends_choose())? */
bool backends_has_healthy(const struct pool_view *pool, const uint64_t *tried);

/* Do others wait already for what an exchange with that home (or none) wants? */
bool backends_others_wait(const struct pool_view *pool, const struct backend_view *home);

/* The backend of a pool with that number in tags; NULL: it has none. */
struct backend_view *backends_by_id(const struct pool_view *pool, uint32_t id);

/* Gives the place back and wakes who has waited longest, in any worker. quietly:
 * wakes nobody (who waits looks again soon), for a caller that is in the middle of an
 * answer's bytes. */
void backends_leave(struct worker *worker, struct backend_view *backend);
void backends_leave_quietly(struct worker *worker, struct backend_view *backend);

/* Queue of a pool, of its retries, or of x->home. join: false = full. */
bool backends_queue_join(struct worker *worker, struct pool_view *pool, struct exchange *x);
void backends_queue_leave(struct worker *worker, struct pool_view *pool, struct exchange *x);
/* It gets no slot: the queue was full, or its time in there is over. Counted, and told. */
void backends_queue_refused(const struct exchange *x, bool timed_out);

/* Lets the waiting try again, the oldest first, until no place is left for any. Who
 * waits for one instance holds up nobody who can do with another. */
void backends_wake(struct worker *worker, struct pool_view *pool);

/* We saw a fault of the backend: avoid it for a moment, tell healthd. failed: a hard
 * one (no connection, reset, no answer or nonsense, a cut body), which is counted. */
void backends_complain(struct worker *worker, struct backend_view *backend);
void backends_failed(struct worker *worker, struct backend_view *backend);
void backends_completed(struct backend_view *backend);

/* Compares our cells with what we really run, and writes those again that differ: how many. */
uint32_t backends_repair(struct worker *worker);
uint32_t backends_queue_repair(struct worker *worker, struct pool_view *pool);

#endif
