/* The worker's view of pools and backends: which may be chosen, how loaded each is over
 * all workers, which requests wait for a slot. Worker only.
 *
 * The verdicts come from the table (healthd's and the supervisor's rows) and are copied
 * at each ring of the doorbell. Choosing reads only these copies and the workers' counters. */
#ifndef WORKER_BACKENDS_H
#define WORKER_BACKENDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/str.h"
#include "shm/table.h"
#include "worker/tls/client.h"
#include "worker/upstream/balance.h"
#include "worker/upstream/silence.h"
#include "worker/upstream/wait_queue.h"

struct attempt;
struct conf_backend;
struct conf_pool;
struct detached;
struct upstream;
struct worker;

struct backend_view {
    const struct conf_backend *conf;
    struct pool_view *pool;
    struct str authority;        /* "host:port" as configured */
    uint32_t id;                 /* identifies it in tags (worker/http/affinity.h) */
    int slot;                    /* in the table */
    struct worker_backend *cell; /* our counters of it */
    struct health_row health;    /* last good copy */
    uint32_t health_n, admin_n;  /* seq_number() of these copies; 0: none yet */
    uint8_t admin;               /* enum admin_state: admission_state() of the last good copy */
    uint32_t addresses;          /* number of changes of health.address */
    socklen_t address_len;       /* of health.address; 0: none known */
    uint64_t slow_until_ms;      /* the end of its slow start; 0: none */
    uint64_t avoid_until_ms;     /* after a failed connect: others first */
    uint32_t probation_hedge_ms; /* on probation: hedge delay that it was seen to need; 0: the
                                    default */
    uint32_t hedge_ms;           /* silence after which its requests are hedged; 0: never */
    uint64_t asked_us, confirmed_us; /* of its silence (worker/upstream/silence.h) */
    struct upstream *idle;           /* kept connections, last used first */
    uint32_t nidle;
    /* idle, each for one client's connection (worker/upstream/pins.h) */
    struct upstream *pinned;
    uint32_t npinned;
    /* Of worker/proxy/, opaque here: this worker's attempts at it, the next one of
     * exchange_next_running() (NULL: no walk), and detached ones (detached.h). */
    struct attempt *running, *walk;
    struct detached *detached;
    struct waiters waiters; /* requests whose session is here */
    /* Slots here that were released, of which those that wait do not know yet; if there are
     * any, it is in worker->freed_first. */
    uint32_t nfreed;
    struct backend_view *freed_next;
    uint32_t failed_in_row; /* as in our cell */
    uint64_t rung_ms;       /* when healthd was last rung for it (worker/proxy/measured.h) */
    bool cut;               /* its drain has timed out */
    bool by_operator;       /* drain, maint: an operator did it, no restart */
    bool evicts;            /* the last refresh found that: its exchanges are to be evicted */
    struct silence_record record, before; /* its times to the first byte in this period and
                                             the one before (worker/upstream/silence.h) */
    uint64_t latency_seen[TABLE_LATENCY]; /* our cell's, when they were last recorded */
    struct tls_peer tls;                  /* if the pool uses TLS */
    struct log_gate tls_gate;             /* of handshakes that fail */
};

struct pool_view {
    struct worker *worker;
    const struct conf_pool *conf;
    struct backend_view *backends; /* [nbackends], a run of worker->backends */
    uint32_t nbackends;
    struct balance *balance; /* [nbackends]: input and state of the choice */
    uint32_t *in_flight; /* [nbackends]: over all workers, when last read, and our changes */
    uint16_t *slots;     /* [nbackends]: of its backends */
    bool slots_run;      /* each is one higher than the one before */
    uint64_t renew_ms;   /* when classes and weights are computed again; 0: changed */
    uint32_t turn;       /* whose turn it is among equals of an even pool */
    bool weighted, even; /* how to choose (candidates_look()) */
    uint64_t loads_ms;   /* when in_flight was read, */
    uint64_t loads_turn; /* and in which turn of the loop; 0: it is to be read */
    bool due;            /* those that wait are to try again (wait_queue_run()) */
    uint64_t look_ms;    /* when those that wait look whether a slot is free */
    struct backend_view *offered; /* whose slot those that wait are offered now; or NULL */
    bool capped;                  /* some backend has max_in_flight */
    uint64_t outage_ms; /* since when no backend is up and ready; 0: some backend is */
    const char *outage; /* what follows from it, as it was logged */
    const char *out; /* every backend was taken out, by whom; NULL: one may be tried at least */
    const char *outage_out;        /* the same, as it was logged */
    bool closed;                   /* the worker ends: those that wait get no slot any more */
    bool uses_tls;                 /* pools.tls (worker/upstream/upstream_tls.h) */
    struct ssl_ctx_st *tls_policy; /* NULL: it could not be made */
    uint8_t retries_useless;       /* in a row (worker/proxy/retry_budget.h) */
    uint64_t retries_useless_ms;   /* when the last of them failed */
    uint32_t nprobation;           /* backends on probation (HEALTH_PROBATION) */
    struct waiters waiters;        /* for a slot at any backend of the pool */
    struct waiters retriers;       /* for the retry budget (worker/proxy/retry_budget.h) */
    uint32_t nwaiting;             /* these two, and the waiters of its backends */
    uint32_t nsession_waiting;     /* the waiters of its backends */
    /* The next request that may be hedged goes there; NULL: none. */
    struct backend_view *asked;
    uint64_t asked_us;  /* since when */
    uint64_t period_ms; /* when the period of its backends' records began */
};

/* Allocates and fills both arrays of the worker. 0 or -1 (no memory). refresh_backends()
 * (worker/proxy/refresh.h) has to follow. */
int backends_init(struct worker *worker);

enum backends_choice {
    BACKENDS_CHOSEN,
    BACKENDS_TRIES, /* chosen, and it is the one request that tries
                       (worker/upstream/fail_open.h) */
    BACKENDS_FULL,  /* all backends that may serve are at their cap */
    BACKENDS_NONE,  /* nothing to choose from (all tried, or none has an address) */
    BACKENDS_WAIT,  /* no verdict yet: waiting for the first one is useful */
};

/* Chooses a backend for an exchange and acquires a slot there (in_flight counts it). tried: one
 * bit per index in the pool, not to be chosen again. affinity: the affinity target
 * (backends_serves_sessions() holds), which is chosen or none; NULL: any. A slot that a
 * session's request waits for is left to that. */
enum backends_choice backends_choose(struct worker *worker, struct pool_view *pool,
                                     struct backend_view *affinity,
                                     const uint64_t tried[TABLE_BACKENDS / 64],
                                     struct backend_view **chosen);
/* The same for one that waits in a queue, when it is its turn: it has waited longest. */
enum backends_choice backends_choose_queued(struct worker *worker, struct pool_view *pool,
                                            struct backend_view *affinity,
                                            const uint64_t tried[TABLE_BACKENDS / 64],
                                            struct backend_view **chosen);

/* Acquires a slot at the backend that is to be asked whether it responds
 * (worker/upstream/silence.h). NULL: none is to be, or it may not be chosen. */
struct backend_view *backends_choose_asked(struct worker *worker, struct pool_view *pool,
                                           const uint64_t *tried);

/* Does it (still) serve its sessions? A drained backend does; one that is down does only when
 * there is no healthy one. */
bool backends_serves_sessions(const struct backend_view *backend);

/* Is there a healthy backend in the pool that was not tried yet (bits as in
 * backends_choose())? */
bool backends_has_healthy(const struct pool_view *pool, const uint64_t *tried);

/* Is there a healthy backend in its pool other than this one? */
bool backends_has_better(const struct backend_view *backend);

/* The backend of a pool with that id in tags; NULL: none. */
struct backend_view *backends_by_id(const struct pool_view *pool, uint32_t id);

/* Releases a slot. One that waits for it gets it after this event
 * (worker/upstream/wait_queue.h).
 */
void backends_release_slot(struct worker *worker, struct backend_view *backend);

/* Reports a fault of the backend: it is avoided for a moment, and healthd is told. failed: a
 * hard fault (no connection, reset, no response or an invalid one, a cut body), which is
 * counted. */
void backends_complain(struct worker *worker, struct backend_view *backend);
void backends_failed(struct worker *worker, struct backend_view *backend);
void backends_completed(struct backend_view *backend);

/* Compares our cells with the real state and rewrites those that differ; returns their
 * number. */
uint32_t backends_repair(struct worker *worker);

#endif
