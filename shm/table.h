/* The table: one POSIX shared-memory object through which all processes of one pasgate see each
 * other.
 *
 * Rules. Fixed capacities, no pointers, no locks. Every row has exactly one writer, named
 * beside it; rows are grouped by writer on page boundaries, so that table_seal() can make all
 * other pages read-only in each process. Rows of several fields carry a sequence counter
 * (shm/seq.h): fill them with X_publish(), take a copy with X_read(). Counters are single
 * atomics, stored by their one writer with plain additions (count_add). The supervisor never
 * uses anything from a row that a child writes as an index, pid or pointer.
 *
 * Text is always NUL-terminated within its array; X_read() and history_read() make sure of that
 * in their copy, whatever the writer did. Times are milliseconds: `_ms` monotonic
 * (base/clock.h), `_wall_ms` since 1970. */
#ifndef SHM_TABLE_H
#define SHM_TABLE_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/handshake.h"
#include "shm/seq.h"

enum {
    TABLE_MAGIC = 0x50415347, /* "PASG" */
    TABLE_VERSION = 24,       /* of this layout; a reader refuses any other */
    TABLE_PAGE = 4096,
    TABLE_POOLS = 256,                  /* CONF_MAX_POOLS: one for each backend */
    TABLE_BACKENDS = 256,               /* 200 backends and room for renamed ones */
    TABLE_WORKERS = 64,                 /* rows: running workers and draining old ones */
    TABLE_CHILDREN = TABLE_WORKERS + 6, /* then healthd, acmed, restarter: two each */
    TABLE_CERTS = 1024,                 /* CONF_MAX_CERTS */
    TABLE_CHALLENGES = 1024,            /* at one time, see table_reserve_certs() */
    TABLE_HISTORY = 32,                 /* transitions kept per backend and actor */
    TABLE_NAME = 64,                    /* bytes of a name with its NUL */
    TABLE_REASON = 160,                 /* bytes of a reason with its NUL */
    TABLE_ERROR = 704,        /* bytes of an error with its NUL: our text and the CA's */
    TABLE_NOTES = 4,          /* findings kept about a certificate */
    TABLE_NOTE = 448,         /* bytes of a finding with its NUL; may quote the CA */
    CERT_DIR_SIZE = 256,      /* bytes of a certificate's directory with its NUL */
    CERT_KEY_SIZE = 16,       /* bytes of a kind of key with its NUL */
    TABLE_HANDLES = 1024,     /* APSV connections that each worker remembers */
    TABLE_LATENCY = 24,       /* buckets: 2^i microseconds, the last one open */
    TABLE_INCIDENT = 32,      /* bytes of an incident's id with its NUL */
    TABLE_SESSION_WORDS = 16, /* of 64 bits: linear counting of up to some 2000 sessions */
    TABLE_RECENT = 16384,     /* exchanges that each worker remembers, over all backends */
};

#define TABLE_PAGED _Alignas(TABLE_PAGE)

enum kind {
    KIND_SUPERVISOR,
    KIND_WORKER,
    KIND_HEALTHD,
    KIND_ACMED,
    KIND_RESTARTER,
    KIND_COUNT
};

enum health_state {
    HEALTH_UNKNOWN, /* not probed yet: no traffic */
    HEALTH_UP,
    HEALTH_DEGRADED,  /* healthy, but slow or unlike the others: less traffic, never ejected */
    HEALTH_SUSPECT,   /* first failures: serves where no other can, probed every second */
    HEALTH_PROBATION, /* requests failed or got no response, checks pass: single safe ones */
    HEALTH_EJECTED,   /* the same, found guilty: nothing until eject_until_ms */
    HEALTH_DOWN,      /* checks fail, or it is being restarted */
    HEALTH_STATES
};

/* Does it take requests, as far as its state goes? */
static inline bool health_serves(uint8_t state)
{
    return state >= HEALTH_UP && state <= HEALTH_PROBATION;
}

/* Is it out: judged, and not to be used while another backend serves? */
static inline bool health_is_out(uint8_t state)
{
    return state == HEALTH_EJECTED || state == HEALTH_DOWN;
}

/* Why it is DEGRADED, or on PROBATION. */
enum health_cause {
    CAUSE_NONE,
    CAUSE_SATURATED, /* a check timed out while responses arrived */
    CAUSE_SCORE,     /* low score of the HealthScanner */
    /* Unlike the other backends of its pool (healthd/outlier/score.h): */
    CAUSE_5XX,
    CAUSE_4XX,
    CAUSE_SLOW,
    /* on probation: */
    CAUSE_FAILED,  /* requests failed; its sessions stay */
    CAUSE_SILENT,  /* requests wait there, possibly long ones; its sessions stay */
    CAUSE_EJECTED, /* after an ejection: its sessions have moved by now */
};

enum { HEALTH_SATURATED_PERMILLE = 250, HEALTH_UNLIKE_PERMILLE = 50 }; /* weights meanwhile */

enum admin_state {
    ADMIN_READY,
    ADMIN_DRAIN,
    ADMIN_MAINT,
    ADMIN_STATES,
    ADMIN_DRAINED = ADMIN_STATES, /* in histories only: the drain has ended */
};

enum drain_end {
    DRAIN_GOES_ON,
    DRAIN_EMPTY, /* nothing is in flight and no session is live */
    DRAIN_CUT,   /* the time is over: remaining requests are cut */
};

enum recovery_state {
    RECOVERY_NONE,
    RECOVERY_DRAINING,
    RECOVERY_RESTARTING,
    RECOVERY_VERIFYING,
    RECOVERY_SLOWSTART,
    RECOVERY_HOLD,
    RECOVERY_STATES
};

enum child_state {
    CHILD_EMPTY,
    CHILD_STARTING, /* forked, not ready yet */
    CHILD_RUNNING,
    CHILD_DRAINING, /* an old generation, or stopping: no new work */
    CHILD_BACKOFF,  /* died; comes back at next_start_ms */
    CHILD_HELD,     /* exit code 78 (cannot work with this configuration): until a reload */
    CHILD_STATES
};

/* Printable names, lower case: "up", "draining", "worker". */
const char *kind_name(enum kind kind);
const char *health_state_name(enum health_state state);
const char *admin_state_name(enum admin_state state);
const char *recovery_state_name(enum recovery_state state);
const char *child_state_name(enum child_state state);

/* ---- supervisor ------------------------------------------------------- */

enum saved {
    SAVED_OK,
    SAVED_NOWHERE, /* no store is configured */
    SAVED_NOT,     /* the store is not writable; retried (ADMIN_OVERRIDES_RETRY_MS) */
};

struct header_row {                    /* writer: supervisor */
    uint32_t config_generation;        /* 1 at the first start */
    uint32_t nbackends;                /* all used slots are below this number */
    uint32_t reloads, reload_failures; /* went live; failed, so that the old one stayed */
    uint64_t started_wall_ms, started_ms;
    uint64_t reload_wall_ms;         /* time of the last attempt; 0: none yet */
    uint64_t reload_ok;              /* 1: the last attempt succeeded */
    char reload_error[TABLE_REASON]; /* first error of the last attempt */
    uint32_t reload_nerrors;
    uint32_t stopping;  /* 1: no new work */
    uint32_t reloading; /* 1: the new generation is starting */
    uint32_t saves;     /* attempts to save the admin overrides */
    uint32_t saved;     /* enum saved: result of the last save */
    pid_t pid;
    char version[32];
    char config_file[256];
};

struct header {
    uint32_t magic, version, size; /* set once, before any other process can look */
    _Atomic uint64_t heartbeat_ms; /* supervisor: every second */
    struct seq seq;
    struct header_row row;
};

/* A supervisor without a heartbeat for this long counts as stopped. Longer than a reload can
 * make it wait for the examination of a configuration (supervisor/examine.h). */
enum { TABLE_SILENT_MS = 10000 };
/* Seconds since the supervisor's last heartbeat, if it is silent; 0: it is not. */
unsigned header_silent_s(const struct header *header);

struct backend_row {    /* writer: supervisor; a name keeps its slot across reloads */
    uint8_t used;       /* 0: the slot is free */
    uint8_t configured; /* 0: no longer configured; kept for old workers */
    char name[TABLE_NAME], pool[TABLE_NAME];
    char host[256];
    uint16_t port;
    uint16_t weight;
    uint32_t max_in_flight; /* 0: no cap */
    uint32_t generation;    /* last configuration generation that named it */
    uint64_t identity;      /* hash of name, host and port; if it changes, counts start anew */
    /* Settings of its pool, for processes that have only the table. */
    uint32_t session_idle_ms, slow_start_ms; /* slow_start_ms 0: none */
};

struct backend {
    struct seq seq;
    struct backend_row row;
};

struct admin_row {       /* writer: supervisor */
    uint8_t override;    /* enum admin_state */
    uint8_t heal;        /* enum recovery_state */
    uint8_t by_operator; /* 1: set by an operator; 0: by the configuration */
    uint8_t drained;     /* enum drain_end; while override is DRAIN or heal DRAINING */
    uint32_t attempts;   /* restarts in the last hour */
    uint32_t requests;   /* restart requests of operators, replied to so far */
    uint64_t since_wall_ms, since_ms; /* of the override */
    uint64_t deadline_ms;             /* of a drain; 0: none */
    uint64_t next_try_ms;             /* no restart before this time; 0: no wait */
    uint64_t recovery_since_wall_ms, recovery_since_ms;
    char who[TABLE_NAME];
    char reason[TABLE_REASON];          /* of the override */
    char recovery_reason[TABLE_REASON]; /* of the heal state */
    char reply[TABLE_REASON];           /* to the last request: why refused; "" = accepted */
    char incident[TABLE_INCIDENT];      /* of the last restart; "" = none */
};

struct admin {
    struct seq seq;
    struct admin_row row;
};

struct child_row {        /* writer: supervisor; row i < TABLE_WORKERS belongs to worker[i] */
    uint8_t kind, state;  /* enum kind, enum child_state */
    uint16_t slot;        /* of the listeners; workers only */
    pid_t pid;            /* for display and for waiting only */
    uint32_t generation;  /* of the configuration that it runs */
    uint32_t restarts;    /* of this slot since the service started */
    uint32_t incarnation; /* number of the process in this row, counted up */
    uint64_t started_wall_ms, next_start_ms;
    int32_t last_exit; /* wait status; -1: none yet */
};

struct child {
    struct seq seq;
    struct child_row row;
};

/* A ring of transitions with one writer; two per backend (health, admin). */
struct transition {
    uint64_t wall_ms;
    uint8_t from, to; /* states of the writer's kind */
    uint8_t heal;     /* 1: from and to are enum recovery_state (supervisor's ring) */
    char actor[24];   /* "healthd", "operator", "config" */
    char reason[TABLE_REASON];
};

struct history {
    struct seq seq;
    uint32_t count; /* ever written; the newest is at (count-1) % TABLE_HISTORY */
    struct transition ring[TABLE_HISTORY];
};

/* The counters of a worker's cell and row as plain numbers, for sums over several workers. */
struct cell_counters {
    uint64_t completed, connects, connect_errors, resets, timeouts, cut;
    uint64_t gateway_errors, server_errors, retries, hedges, detached, probation_unanswered;
    uint64_t bytes_in, bytes_out;
    uint64_t queue_full, queue_timeouts;
    uint64_t measured, measured_5xx, measured_4xx, measured_slow;
    uint64_t latency[TABLE_LATENCY];
};

struct row_counters {
    uint64_t connections_total, connections_refused, connections_reused, exchanges_total;
    uint64_t bytes_in, bytes_out, handshakes, handshakes_resumed, handshake_errors;
    uint64_t bad_requests, own_errors, status_requests;
    uint64_t log_lost, access_lost;
    uint64_t slow_bodies, slow_readers, memory_refused, heads_dropped;
    uint64_t status[6];
    uint64_t handshake_failures[HANDSHAKE_FAILURES];
};

/* Counters of workers that have ended (shm/counters.h). There are two copies, and `epoch`
 * selects the one in force, so that a reader never waits. */
struct retired_sums {
    uint32_t incarnation[TABLE_WORKERS]; /* per row: the last one included in these sums */
    struct row_counters all;
    struct cell_counters be[TABLE_BACKENDS]; /* modulo 2^64: counters_clear() subtracts */
};

struct retired { /* writer: supervisor */
    _Atomic uint32_t epoch;
    struct retired_sums sums[2]; /* [epoch % 2] */
};

/* ---- healthd ---------------------------------------------------------- */

struct health_row { /* writer: healthd */
    uint8_t state;  /* enum health_state */
    uint8_t has_address;
    uint8_t ejections;        /* in a row: each lasts twice as long as the previous one */
    uint8_t silent;           /* 1: the last probe got no response in time */
    uint8_t hedge_all;        /* CAUSE_SILENT: hedge the requests that wait there, too */
    uint8_t cause;            /* enum health_cause: why it is in this state */
    uint16_t weight_permille; /* of its configured weight, slow start left out */
    uint16_t rise, fall;      /* consecutive passes and failures so far */
    uint32_t score_permille;  /* HealthScanner; 1000 if unknown */
    uint32_t slow_ms;         /* a response that takes longer is slow, for this pool */
    uint32_t hang_timeout_ms; /* on probation: how long a request may wait for a first byte */
    uint64_t identity;        /* of the backend_row that this row describes */
    uint64_t since_ms, since_wall_ms;
    uint64_t eject_until_ms; /* while EJECTED: it ends then at the earliest */
    uint64_t risen_ms;       /* start of slow start (was DOWN, is new, or unproved); 0: none */
    uint64_t probe_wall_ms;  /* start of the last probe; 0: none yet */
    uint32_t probe_us;       /* duration of the last probe */
    uint32_t probe_ok;
    uint64_t probes, failures;
    struct sockaddr_storage address; /* where to connect: the address that passed last */
    char reason[TABLE_REASON];       /* of the state */
    char probe_text[TABLE_REASON];   /* of the last probe */
};

struct health {
    struct seq seq;
    struct health_row row;
};

/* ---- acmed ------------------------------------------------------------ */

/* Result of a worker's self-test of a candidate: a handshake with itself for each name. */
enum cert_proof {
    CERT_PROOF_NONE,
    CERT_PROOF_GOOD,
    CERT_PROOF_LOAD,      /* it could not be loaded */
    CERT_PROOF_HANDSHAKE, /* no handshake succeeded */
    CERT_PROOF_LEAF,      /* another leaf was sent, or one for another key */
    CERT_PROOF_NAMES,     /* not valid for all names */
    CERT_PROOF_DATES,     /* not valid now */
    CERT_PROOF_CHAIN,     /* the chain is inconsistent */
};

/* What note[0] is about. */
enum cert_trouble {
    CERT_HINT,    /* a hint: the certificate is fine */
    CERT_CLOCK,   /* the clock must be set */
    CERT_ACCOUNT, /* the account's key is unusable */
    CERT_STORE,   /* the store is unusable */
};

enum cert_source { CERT_NONE, CERT_SELF_SIGNED, CERT_FILE, CERT_ACME };

enum { CERT_REPLIES = 4 }; /* commands about one certificate at once */

enum cert_reply_state {
    CERT_REPLY_FREE,
    CERT_REPLY_OPERATES, /* the CA, or the test of the older pair, is awaited */
    CERT_REPLY_ORDERS,   /* the new certificate is awaited */
    CERT_REPLY_REFUSED,  /* or it failed: text tells why */
    CERT_REPLY_DONE, /* the certificate that is live is another one, or text tells why not */
};

/* The result of one command about a certificate, for the process that gave it. */
struct cert_reply {
    uint64_t not_after_wall_ms; /* of the generation that was live at its end */
    int32_t pid;                /* who asked */
    uint32_t number;            /* of the request, counted as in cert_row.requests */
    uint32_t request, state;    /* enum cert_request, cert_reply_state */
    uint32_t before;            /* generation that was live when it was accepted */
    uint32_t generation;        /* and at its end */
    char text[TABLE_ERROR];
};

/* The key and chain of a generation are in the store, as
 * certs/<name>/<generation>/{fullchain,key}.pem */
struct cert_row {      /* writer: acmed; index = index in the config */
    uint8_t source;    /* enum cert_source */
    uint8_t busy;      /* 1: an order is in progress */
    uint8_t wanted;    /* enum cert_source: what the configuration asks for */
    uint8_t trouble;   /* enum cert_trouble: what note[0] is about */
    uint8_t key_known; /* 1: not revoked itself: another one with its key was (keyCompromise) */
    uint8_t unused;
    uint16_t prover;     /* row of the worker that is to self-test the candidate */
    uint32_t generation; /* live: what workers load; 0: none yet */
    uint32_t candidate;  /* to be tested before it goes live; 0: none */
    uint32_t requests;   /* requests of the operator, replied to so far */
    uint32_t failures;   /* failed orders in a row */
    uint64_t not_before_wall_ms, not_after_wall_ms;
    uint64_t next_try_wall_ms;
    uint64_t revoked_wall_ms; /* the live one or its key was revoked; 0: no */
    char name[CERT_DIR_SIZE]; /* the first name; the directory in the store */
    char issuer[128];
    char key[CERT_KEY_SIZE]; /* of the live one: "P-256", "RSA 2048"; "" = none */
    char error[TABLE_ERROR]; /* of the last attempt; "" = none */
    char reply[TABLE_ERROR]; /* why the operation just failed that a request has started; "" */
    struct cert_reply replies[CERT_REPLIES];
    char doing[64];                     /* what is in progress, or the next attempt; "" */
    char note[TABLE_NOTES][TABLE_NOTE]; /* findings, the worst first; "" = no more */
};

struct cert {
    struct seq seq;
    struct cert_row row;
};

struct challenge_row { /* writer: acmed */
    uint8_t kind;      /* 0: free, 1: http-01, 2: tls-alpn-01 */
    char token[132];
    char key_authorization[260];
    char name[256];
    uint64_t expires_ms;
};

struct challenge {
    struct seq seq;
    struct challenge_row row;
};

/* ---- workers ---------------------------------------------------------- */

struct worker_backend {             /* writer: the worker of the row; its cell of one backend */
    _Atomic uint32_t failed_in_row; /* hard failures since one completed */
    /* our probation requests to it (worker/proxy/retry_budget.h) */
    _Atomic uint32_t probation_requests;
    _Atomic uint32_t session_epoch; /* of `session` below; outlives the worker, too */
    /* Updated about once a second. An exchange is unanswered when the backend has its whole
     * request and has sent no first byte (or accepts no connection, or no more of the request).
     * oldest_ms: since when the oldest one waits; 0: none. unanswered: how many there are;
     * those of one session count once. */
    _Atomic uint64_t oldest_ms;
    _Atomic uint64_t unanswered;
    _Atomic uint64_t idle; /* kept connections */
    /* When the oldest exchange that waits for this backend joined the queue; 0: none. */
    _Atomic uint64_t waiting_since_ms;
    /* While it is DOWN or EJECTED: time of its last good response; 0: none
     * (worker/upstream/fail_open.h). */
    _Atomic uint64_t opened_ms;
    /* Of the requests that it responded to: when the latest was sent; 0: none. Microseconds
     * (worker/upstream/silence.h). */
    _Atomic uint64_t served_us;
    /* Counters from here on: they only rise (struct cell_counters). */
    _Atomic uint64_t completed;
    _Atomic uint64_t connects, connect_errors, resets, timeouts,
        cut;                         /* cut: ended in mid-body */
    _Atomic uint64_t gateway_errors; /* 502, 503, 504 sent by the backend itself */
    _Atomic uint64_t server_errors;  /* other 5xx: may be business errors of the application */
    _Atomic uint64_t retries;        /* exchanges that left it for another backend */
    /* exchanges that were sent to another backend, too (worker/proxy/hedge.h) */
    _Atomic uint64_t hedges;
    /* Attempts that others overtook while it sent nothing: on probation, or hedged for silence.
     */
    _Atomic uint64_t detached;
    /* of these, those without any byte (worker/proxy/detached.h) */
    _Atomic uint64_t probation_unanswered;
    _Atomic uint64_t bytes_in, bytes_out; /* from and to the backend */
    /* Exchanges that never got a slot: the queue was full, or queue.timeout was over. Useful as
     * sums over a pool: counted at its first backend if any backend would have done. */
    _Atomic uint64_t queue_full, queue_timeouts;
    /* Responses that can be compared with those of other backends, and the bad ones of them
     * (worker/proxy/measured.h). */
    _Atomic uint64_t measured, measured_5xx, measured_4xx, measured_slow;
    _Atomic uint64_t latency[TABLE_LATENCY]; /* to the first byte */
};

/* Which backend an APSV connection belongs to (shm/apsv_map.h). Outlives the worker that learnt
 * it: the next process of the row continues to use it. */
struct worker_handle {
    _Atomic uint64_t key;  /* hash of the connection handle; 0: free, or being written */
    _Atomic uint64_t home; /* the backend's number, and when it was last seen */
};

/* One exchange that ended, or left a backend for another (shm/exchange_ring.h). A text that
 * fills its array has no NUL. */
struct recent_row {
    uint64_t end_wall_ms;
    uint32_t total_us, first_byte_us; /* 0: no byte; UINT32_MAX: that, or more */
    uint16_t status, backend_status;  /* to the client, from the backend; 0: none */
    uint8_t attempts;                 /* number of this attempt */
    uint8_t reserved;
    uint16_t slot; /* of the backend: rings move when their share changes */
    char id[32];   /* X-Request-Id */
    char method[16];
    char end[8], phase[12]; /* as in the access log; end "moved": to another backend */
    char path[60];          /* start of the path; no parameters, no query: no secrets */
};

struct recent {
    struct seq seq;
    struct recent_row row;
};

struct recent_ring {           /* of one backend: a share of `recent` */
    _Atomic uint64_t identity; /* of the backend_row that it belongs to */
    _Atomic uint64_t count;    /* ever written */
};

struct worker_row { /* writer: the worker of the row */
    TABLE_PAGED _Atomic uint64_t heartbeat_ms;
    _Atomic uint32_t incarnation; /* of the child row; cells count only while they are equal */
    _Atomic uint32_t config_generation;
    _Atomic uint32_t cert_loaded[TABLE_CERTS]; /* generation of each; 0: none */
    _Atomic uint64_t cert_proof[TABLE_CERTS];  /* struct cert_finding (shm/certs.h) */
    _Atomic uint32_t verdicts_seen;            /* how often the doorbell was served */
    _Atomic uint64_t connections, exchanges;   /* open; in progress */
    _Atomic uint64_t connections_limit;        /* for clients: limits.connections, or fewer */
    _Atomic uint64_t paused_ms; /* when accepting last paused for lack of connections */
    /* When limits.memory last refused a buffer, and when a slow body, or a connection without a
     * complete request, last made room for others. */
    _Atomic uint64_t memory_full_ms, bodies_full_ms, heads_full_ms;
    /* In bytes, updated once a second. buffer_bytes: in buffers of connections; response_bytes:
     * of these, responses to clients that read slowly. */
    _Atomic uint64_t buffer_bytes, response_bytes;
    /* Counters from here on: they only rise (struct row_counters). */
    _Atomic uint64_t connections_total, exchanges_total;
    /* refused: how often accepting paused; reused: idle connections closed to make room. */
    _Atomic uint64_t connections_refused, connections_reused;
    _Atomic uint64_t bytes_in, bytes_out; /* from and to clients: plaintext, heads included */
    _Atomic uint64_t handshakes, handshakes_resumed, handshake_errors;
    _Atomic uint64_t bad_requests, own_errors; /* refused; responses of our own with 5xx */
    _Atomic uint64_t log_lost, access_lost;    /* lost log lines; updated once a second */
    _Atomic uint64_t status_requests;          /* at status listeners: counted nowhere else */
    /* Clients that sent a body, or read a response, too slowly; buffers refused because of
     * limits.memory or limits.response_memory. */
    _Atomic uint64_t slow_bodies, slow_readers, memory_refused;
    _Atomic uint64_t heads_dropped; /* connections without a complete request that made room */
    _Atomic uint64_t status[6];     /* responses by class: [2] = 2xx */
    _Atomic uint64_t handshake_failures[HANDSHAKE_FAILURES]; /* handshake_errors by reason */
    /* Per pool: when the oldest exchange that waits for any slot of it joined; 0: none. */
    _Atomic uint64_t waiting_since_ms[TABLE_POOLS];
    /* Per pool: exchanges at a second backend, or about to go there (shm/cap.h). */
    _Atomic uint32_t retrying[TABLE_POOLS];
    /* Per pool: requests that try a DOWN backend while all are DOWN
     * (worker/upstream/fail_open.h). */
    _Atomic uint32_t opening[TABLE_POOLS];
    /* Per pool: requests forwarded before their bodies, for "Expect: 100-continue"
     * (shm/cap.h). */
    _Atomic uint32_t expecting[TABLE_POOLS];
    /* Per backend, and not in its cell: a choice reads them for all backends of a pool.
     * in_flight: exchanges sent or being sent to it; the cap counts these. queued: those that
     * wait for a slot of this backend; queued_any: pool's first backend only: those that wait
     * for any. */
    /* Their sum, and above it the same bits inverted, so that a wrong value shows: no cell of
     * in_flight counts for more (shm/cap.c). */
    _Atomic uint64_t in_flight_all;
    _Atomic uint32_t in_flight[TABLE_BACKENDS];
    _Atomic uint32_t queued[TABLE_BACKENDS], queued_any[TABLE_BACKENDS];
    struct worker_backend be[TABLE_BACKENDS];
    struct worker_handle handle[TABLE_HANDLES];
    /* The last exchanges, for diagnostics of an unhealthy backend. They outlive the worker. */
    _Atomic uint32_t exchange_ring_share; /* records of each backend's ring; 0: none yet */
    struct recent_ring recent_ring[TABLE_BACKENDS];
    /* What follows is optional: with little shared memory, only a beginning of it is reserved
     * (struct row_room).
     *
     * Sessions seen at each backend in this epoch and the previous one: bits by hash
     * (shm/sessions.h). They outlive the worker that saw them. The n-th words of all backends
     * come together, so that a row with more of them has the first ones where they were. */
    _Atomic uint64_t session[TABLE_SESSION_WORDS][TABLE_BACKENDS][2];
    struct recent recent[TABLE_RECENT];
};

struct table {
    TABLE_PAGED struct header header;             /* supervisor */
    struct backend backend[TABLE_BACKENDS];       /* supervisor */
    struct admin admin[TABLE_BACKENDS];           /* supervisor */
    struct child child[TABLE_CHILDREN];           /* supervisor */
    struct history admin_history[TABLE_BACKENDS]; /* supervisor */
    struct retired retired;                       /* supervisor */
    _Atomic uint64_t supervisor_log_lost;         /* supervisor: lost log lines */
    /* supervisor: usable rows of cert and challenge (table_reserve_certs()). */
    _Atomic uint32_t cert_rows, challenge_rows;
    /* supervisor: usable parts of each worker row's session[] and recent[]
     * (table_reserve_row()). Readers go by this, not by what the worker wrote. */
    _Atomic uint32_t session_words[TABLE_WORKERS], recent_rows[TABLE_WORKERS];
    TABLE_PAGED struct health health[TABLE_BACKENDS]; /* healthd */
    struct history health_history[TABLE_BACKENDS];    /* healthd */
    _Atomic uint64_t healthd_heartbeat_ms;            /* healthd */
    _Atomic uint64_t healthd_log_lost;                /* healthd */
    TABLE_PAGED _Atomic uint64_t acmed_heartbeat_ms;  /* acmed */
    _Atomic uint64_t acmed_log_lost;                  /* acmed */
    _Atomic uint32_t cert_epoch; /* acmed: raised at each change of cert[] */
    /* acmed: the hash by which the challenge of that row is found (shm/challenges.h); 0:
     * free. */
    _Atomic uint32_t challenge_key[TABLE_CHALLENGES];
    struct cert cert[TABLE_CERTS];                /* acmed */
    struct challenge challenge[TABLE_CHALLENGES]; /* acmed */
    struct worker_row worker[TABLE_WORKERS];      /* worker i writes row i */
};

/* Makes the object anew (shm/object.h) and maps it writable. name: "/pasgate-..." for shm_open.
 * Supervisor only. NULL with errno.
 *
 * A page of shared memory for which the host has no room is a SIGBUS for whoever touches it
 * first. So pages are reserved, where a lack of room is an error: here, all below `cert`
 * (TABLE_FIXED bytes); for certificates and their challenges as many rows as the configuration
 * needs, by table_reserve_certs(); for each worker row before its first process, by
 * table_reserve_row(). No process reads a row that was never reserved: see table_certs(),
 * table_row_used(). */
struct object;
struct table *table_create(struct object *object, const char *name);

enum { TABLE_FIXED = offsetof(struct table, cert) };

/* Supervisor: makes at least this many rows of cert[] and challenge[] usable; a later call
 * never takes any away. 0; -1 with errno: ENOSPC or ENOMEM. */
int table_reserve_certs(struct table *table, uint32_t certs, uint32_t challenges);
/* Bytes that table_reserve_certs() would still take. */
size_t table_certs_missing(uint32_t certs, uint32_t challenges);
/* Supervisor, once a second: writes the numbers of usable rows, words and records again, in
 * case of a stray write. */
void table_repair_certs(struct table *table);

/* What of a worker row is optional. */
struct row_room {
    uint32_t session_words; /* of each set of sessions; 0, or a power of two */
    uint32_t records;       /* of recent[]; 0 unless all words are there */
};

/* Takes one step towards less: first half of the records, then half of the words. false: there
 * is nothing left to take. */
bool table_room_shrink(struct row_room *room);

/* Bytes of a worker row with that room, in whole pages. */
size_t table_row_size(struct row_room room);

/* Supervisor: bytes that table_reserve_row() would still take. */
size_t table_row_missing(int row, struct row_room room);
/* Makes at least that much of a worker row usable, in the table that table_create() made; not
 * while the row has a process. 0; -1 with errno: ENOSPC or ENOMEM. What is reserved stays
 * reserved until the end. */
int table_reserve_row(int row, struct row_room room);
/* Free bytes where the object is; UINT64_MAX: no known limit. */
uint64_t table_room(void);

/* Maps the table of an object that is open for reading: `pasgate status`. NULL with errno;
 * EPROTO when it has another layout version. */
const struct table *table_map(int fd);
void table_close(const struct table *table);

/* Writes the name of the object for a pidfile path ("/pasgate-" and a hash), so that several
 * services on one host do not collide. */
enum { TABLE_OBJECT_NAME = 40 };
char *table_object_name(char out[TABLE_OBJECT_NAME], const char *pidfile);

/* Makes every page that this process must not write read-only. row: of a worker. Called once in
 * each child, before it talks to a peer. 0, or -1 with errno. */
int table_seal(struct table *table, enum kind kind, int row);

/* read: false: half-written, keep the last copy. Texts of the copy end within their arrays.
 * publish: for the only writer; keeps a copy, so that rows_repair() finds stray writes. own:
 * that copy (before the first publish the row itself), from which a writer reads its own
 * row. */
#define TABLE_ROW(thing)                                                  \
    bool thing##_read(const struct thing *, struct thing##_row *to);      \
    void thing##_publish(struct thing *, const struct thing##_row *from); \
    const struct thing##_row *thing##_own(const struct thing *);

TABLE_ROW(header)
TABLE_ROW(backend)
TABLE_ROW(admin)
TABLE_ROW(child)
TABLE_ROW(health)
TABLE_ROW(cert)
TABLE_ROW(challenge)

/* Supervisor, with a new table: rows_repair() then also covers its rows that were never
 * published, where a stray write would look like a backend or process that does not exist. */
void rows_keep(struct table *table);
/* Compares all rows that this process has published with its copies, and rewrites those that
 * differ; returns how many. *kind: the kind of the first of them ("health"). Once a second. */
uint32_t rows_repair(const char **kind);
/* Forgets the copies, in a child after fork: they belong to its parent. */
void rows_forget(void);

void history_add(struct history *history, uint8_t from, uint8_t to, const char *actor,
                 const char *reason);
void history_add_recovery(struct history *history, enum recovery_state from,
                          enum recovery_state to, const char *actor, const char *reason);
/* Copies the ring, oldest first; returns how many. Also 0 when it is half-written. */
int history_read(const struct history *history, struct transition out[TABLE_HISTORY]);
/* Copies only the transitions after *seen, and updates *seen. UINT32_MAX: only sets it. */
int history_read_new(const struct history *history, uint32_t *seen,
                     struct transition out[TABLE_HISTORY]);

/* Clears a worker row for a new process, except APSV handles, sessions and last exchanges, and
 * claims it under its incarnation. Called by that worker; its cells count from then on. */
void worker_row_reset(struct worker_row *row, uint32_t incarnation, uint32_t nbackends);

/* Counters with one writer: no locked instruction is needed. */
static inline void count_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void count_sub(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) - n,
                          memory_order_relaxed);
}

static inline uint64_t count_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)counter, memory_order_relaxed);
}

/* Has row r ever had a process? The pages of other rows do not exist. */
static inline bool table_row_used(const struct table *table, int r)
{
    return __atomic_load_n(&table->child[r].row.incarnation, __ATOMIC_ACQUIRE) != 0;
}

/* Number of rows of cert[] and of challenge[] that may be read. */
static inline uint32_t table_certs(const struct table *table)
{
    uint32_t n = atomic_load((_Atomic uint32_t *)(uintptr_t)&table->cert_rows);

    return n < TABLE_CERTS ? n : TABLE_CERTS;
}

static inline uint32_t table_challenges(const struct table *table)
{
    uint32_t n = atomic_load((_Atomic uint32_t *)(uintptr_t)&table->challenge_rows);

    return n < TABLE_CHALLENGES ? n : TABLE_CHALLENGES;
}

/* Words of row r's sets of sessions that may be used: 0, or a power of two. */
static inline uint32_t table_session_words(const struct table *table, int r)
{
    uint32_t n = atomic_load((_Atomic uint32_t *)(uintptr_t)&table->session_words[r]);

    return n < TABLE_SESSION_WORDS ? n : TABLE_SESSION_WORDS;
}

/* Is row r the row of a live worker (starting, running or draining), whose cells therefore
 * count? The cells of a dead worker do not. */
bool worker_row_live(const struct table *table, int r);

/* Load of a backend slot: the sum over all live workers. */
uint32_t backend_in_flight(const struct table *table, int slot);
uint32_t backend_queued(const struct table *table, int slot);

/* The bucket of a latency: floor(log2(us)); the last bucket is open. */
static inline int latency_bucket(uint64_t us)
{
    int b = us ? 63 - __builtin_clzll(us) : 0;

    return b < TABLE_LATENCY ? b : TABLE_LATENCY - 1;
}

#endif
