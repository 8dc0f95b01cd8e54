/* The table: one POSIX shared-memory object through which all processes of
 * one pasgate see each other.
 *
 * Rules. Fixed capacities, no pointers, no locks. Every row has exactly one
 * writer, named beside it; rows are grouped by writer on page boundaries, so
 * that table_seal() can make all other pages read-only in each process. Rows
 * of several fields carry a sequence counter (shm/seq.h): fill them with
 * X_publish(), take a copy with X_read(). Counters are single atomics, stored
 * by their one writer with plain additions (count_add). The supervisor never
 * uses anything from a row that a child writes as an index, pid or pointer.
 *
 * Text is always NUL-terminated within its array; X_read() and history_read() make
 * sure of that in their copy, whatever the writer did. Times are milliseconds: `_ms` monotonic
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
    TABLE_VERSION = 15,       /* of this layout: another one is not read */
    TABLE_PAGE = 4096,
    TABLE_POOLS = 256,                  /* CONF_MAX_POOLS: one for each backend */
    TABLE_BACKENDS = 256,               /* 200 instances and room for renamed ones */
    TABLE_WORKERS = 64,                 /* rows: running workers and draining old ones */
    TABLE_CHILDREN = TABLE_WORKERS + 6, /* then healthd, acmed, restarter, old+new */
    TABLE_CERTS = 1024,                 /* CONF_MAX_CERTS */
    TABLE_CHALLENGES = 1024,            /* at a time, see table_reserve_certs() */
    TABLE_HISTORY = 32,                 /* transitions kept per backend and actor */
    TABLE_NAME = 64,                    /* bytes of a name with its NUL */
    TABLE_REASON = 160,                 /* bytes of a reason with its NUL */
    TABLE_ERROR = 704,        /* of what a CA says, in our words and its own, with its NUL */
    TABLE_NOTES = 4,          /* findings about a certificate that are kept */
    TABLE_NOTE = 448,         /* bytes of one: what a CA says may be in it, too */
    CERT_DIR_SIZE = 256,      /* bytes of a certificate's folder with its NUL */
    CERT_KEY_SIZE = 16,       /* of a kind of key */
    TABLE_ADDRESSES = 1,      /* resolved addresses of a backend */
    TABLE_HANDLES = 1024,     /* APSV connections that each worker remembers */
    TABLE_LATENCY = 24,       /* buckets: 2^i microseconds, the last one open */
    TABLE_INCIDENT = 32,      /* bytes of an incident's id with its NUL */
    TABLE_SESSION_WORDS = 16, /* of 64 bits: a linear count of up to some 2000 sessions */
    TABLE_RECENT = 16384,     /* exchanges that each worker remembers, of all backends */
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
    HEALTH_SATURATED, /* well, but slow: less traffic, never ejected */
    HEALTH_SUSPECT,   /* signs of illness: still serves, probed every second */
    HEALTH_DOWN,
    HEALTH_STATES
};

/* One that fails requests, or answers none, while its checks pass is tried with single safe
 * requests. */
enum health_trial {
    TRIAL_NONE,
    TRIAL_EJECTED, /* after an ejection: its sessions are elsewhere by now */
    TRIAL_SUSPECT, /* requests failed: before it is UP again; its sessions stay */
    TRIAL_SILENT,  /* requests wait there, which may be long ones; its sessions stay */
};

enum admin_state {
    ADMIN_READY,
    ADMIN_DRAIN,
    ADMIN_MAINT,
    ADMIN_STATES,
    ADMIN_DRAINED = ADMIN_STATES, /* in histories only: a drain that has ended */
};

/* How far a drain has come. */
enum drain_end {
    DRAIN_GOES_ON,
    DRAIN_EMPTY, /* nothing is in flight and no session is live */
    DRAIN_CUT,   /* its time is over: what is left there is cut */
};

enum heal_state {
    HEAL_NONE,
    HEAL_DRAINING,
    HEAL_RESTARTING,
    HEAL_VERIFYING,
    HEAL_SLOWSTART,
    HEAL_HOLD,
    HEAL_STATES
};

enum child_state {
    CHILD_EMPTY,
    CHILD_STARTING, /* forked, not ready yet */
    CHILD_RUNNING,
    CHILD_DRAINING, /* an old generation, or stopping: no new work */
    CHILD_BACKOFF,  /* died; comes back at next_start_ms */
    CHILD_HELD,     /* said with exit code 78 that it cannot work so: until a reload */
    CHILD_STATES
};

/* Printable names, lower case: "up", "draining", "worker". */
const char *kind_name(enum kind kind);
const char *health_state_name(enum health_state state);
const char *admin_state_name(enum admin_state state);
const char *heal_state_name(enum heal_state state);
const char *child_state_name(enum child_state state);

/* ---- supervisor ------------------------------------------------------- */

enum saved {
    SAVED_OK,
    SAVED_NOWHERE, /* the configuration has no store */
    SAVED_NOT,     /* the store cannot be written; tried every second until it can */
};

struct header_row {                    /* writer: supervisor */
    uint32_t config_generation;        /* 1 at the first start */
    uint32_t nbackends;                /* slots in use are below this number */
    uint32_t reloads, reload_failures; /* that went live; that kept the old */
    uint64_t started_wall_ms, started_ms;
    uint64_t reload_wall_ms;         /* of the last try; 0: none yet */
    uint64_t reload_ok;              /* 1: the last one succeeded */
    char reload_error[TABLE_REASON]; /* its first error */
    uint32_t reload_nerrors;
    uint32_t stopping;  /* 1: no new work */
    uint32_t reloading; /* 1: the new generation is starting */
    uint32_t saves;     /* of the file of what operators wish, tried so far */
    uint32_t saved;     /* enum saved, of the last one */
    pid_t pid;
    char version[32];
    char config_file[256];
};

struct header {
    uint32_t magic, version, size; /* set once, before anyone else can look */
    _Atomic uint64_t heartbeat_ms; /* supervisor, every second */
    struct seq seq;
    struct header_row row;
};

/* A supervisor that has not beaten for so long is stopped: more than a reload has it wait for
 * what is examined (supervisor/examine.h). */
enum { TABLE_SILENT_MS = 10000 };
/* Seconds since the supervisor's last heartbeat, when it is silent; 0: it is well. */
unsigned header_silent_s(const struct header *header);

struct backend_row {    /* writer: supervisor; slots are stable across reloads by name */
    uint8_t used;       /* 0: the slot is free */
    uint8_t configured; /* 0: gone from the config; kept for old workers */
    char name[TABLE_NAME], pool[TABLE_NAME];
    char host[256];
    uint16_t port;
    uint16_t weight;
    uint32_t max_in_flight; /* 0: no cap */
    uint32_t generation;    /* of the config that last named it */
    uint64_t identity;      /* hash of name, host and port: another one is a fresh start */
    /* Of its pool, for who has only the table. */
    uint32_t session_idle_ms, slow_start_ms; /* slow_start_ms 0: none */
};

struct backend {
    struct seq seq;
    struct backend_row row;
};

struct admin_row {                    /* writer: supervisor */
    uint8_t override;                 /* enum admin_state */
    uint8_t heal;                     /* enum heal_state */
    uint8_t by_operator;              /* 1: a signal set it; 0: the config */
    uint8_t drained;                  /* enum drain_end; while wish is DRAIN or heal DRAINING */
    uint32_t attempts;                /* restarts in the last hour */
    uint32_t requests;                /* of restarts by operators, answered so far */
    uint64_t since_wall_ms, since_ms; /* of the wish */
    uint64_t deadline_ms;             /* of a drain; 0: none */
    uint64_t next_try_ms;             /* no restart before; 0: none is held back */
    uint64_t heal_since_wall_ms, heal_since_ms;
    char who[TABLE_NAME];
    char reason[TABLE_REASON];      /* of the wish */
    char heal_reason[TABLE_REASON]; /* of the heal state */
    char reply[TABLE_REASON];       /* to the last request: why not; "" = it is under way */
    char incident[TABLE_INCIDENT];  /* of the last restart; "" = none */
};

struct admin {
    struct seq seq;
    struct admin_row row;
};

struct child_row {        /* writer: supervisor; row i < TABLE_WORKERS belongs to worker[i] */
    uint8_t kind, state;  /* enum kind, enum child_state */
    uint16_t slot;        /* of the listeners; workers only */
    pid_t pid;            /* for people and for waiting only */
    uint32_t generation;  /* of the config that it runs */
    uint32_t restarts;    /* of this slot since the service started */
    uint32_t incarnation; /* counts each process that had this row */
    uint64_t started_wall_ms, next_start_ms;
    int32_t last_exit; /* wait status; -1: none yet */
};

struct child {
    struct seq seq;
    struct child_row row;
};

/* A ring of transitions, one writer each: two per backend (health, admin). */
struct transition {
    uint64_t wall_ms;
    uint8_t from, to; /* states of the writer's kind */
    uint8_t heal;     /* 1: they are enum heal_state; in the supervisor's ring */
    char actor[24];   /* "healthd", "operator", "config" */
    char reason[TABLE_REASON];
};

struct history {
    struct seq seq;
    uint32_t count; /* ever written; the last one is at (count-1) % TABLE_HISTORY */
    struct transition ring[TABLE_HISTORY];
};

/* What a worker's cell and row count, as plain numbers: sums over several. */
struct cell_counters {
    uint64_t completed, connects, connect_errors, resets, timeouts, cut;
    uint64_t gateway_errors, server_errors, retries, overtaken, mute, bytes_in, bytes_out;
    uint64_t queue_full, queue_timeouts;
    uint64_t latency[TABLE_LATENCY];
};

struct row_counters {
    uint64_t connections_total, connections_refused, connections_reused, exchanges_total;
    uint64_t bytes_in, bytes_out, handshakes, handshakes_resumed, handshake_errors;
    uint64_t bad_requests, own_errors, status_requests;
    uint64_t log_lost, access_lost;
    uint64_t slow_bodies, slow_readers, memory_refused;
    uint64_t status[6];
    uint64_t handshake_failures[HANDSHAKE_FAILURES];
};

/* What workers had counted that are no more (shm/counters.h). Two copies, of which
 * the one of the epoch is in force: a reader never waits. */
struct retired_sums {
    uint32_t incarnation[TABLE_WORKERS]; /* the last of each row that is in these sums */
    struct row_counters all;
    struct cell_counters be[TABLE_BACKENDS]; /* modulo 2^64: may hold what is taken off */
};

struct retired { /* writer: supervisor */
    _Atomic uint32_t epoch;
    struct retired_sums sums[2]; /* [epoch % 2] */
};

/* ---- healthd ---------------------------------------------------------- */

struct health_row { /* writer: healthd */
    uint8_t state;  /* enum health_state */
    uint8_t has_address;
    uint8_t trial;           /* enum health_trial; while SUSPECT or UP */
    uint8_t ejections;       /* in a row: each lasts twice as long as the one before */
    uint8_t silent;          /* 1: the last probe got no response in time */
    uint8_t rescue;          /* TRIAL_SILENT: what waits there is raced elsewhere, too */
    uint16_t rise, fall;     /* consecutive passes and failures so far */
    uint32_t score_permille; /* HealthScanner; 1000 when unknown */
    uint32_t patience_ms;    /* on trial: how long a request may wait there for a first byte */
    uint64_t identity;       /* of the backend_row that this is about */
    uint64_t since_ms, since_wall_ms;
    uint64_t eject_until_ms; /* 0: not ejected; DOWN until then whatever probes say */
    uint64_t risen_ms;       /* when it came in from DOWN or as new: slow start; 0: none */
    uint64_t probe_wall_ms;  /* the last probe's start; 0: none yet */
    uint32_t probe_us;       /* how long it took */
    uint32_t probe_ok;
    uint64_t probes, failures;
    struct sockaddr_storage address; /* where to connect: the address that was proved */
    char reason[TABLE_REASON];       /* of the state */
    char probe_text[TABLE_REASON];   /* of the last probe */
};

struct health {
    struct seq seq;
    struct health_row row;
};

/* ---- acmed ------------------------------------------------------------ */

/* What a worker found that used a candidate in a handshake with itself, for each name. */
enum cert_proof {
    CERT_PROOF_NONE,
    CERT_PROOF_GOOD,
    CERT_PROOF_LOAD,      /* it could not be loaded */
    CERT_PROOF_HANDSHAKE, /* no handshake with it */
    CERT_PROOF_LEAF,      /* another leaf came, or one for another key */
    CERT_PROOF_NAMES,     /* not for all names */
    CERT_PROOF_DATES,     /* not valid now */
    CERT_PROOF_CHAIN,     /* the chain does not fit together */
};

/* What note[0] is about. */
enum cert_trouble {
    CERT_HINT,    /* nothing that makes it less than well */
    CERT_CLOCK,   /* the clock has to be set right */
    CERT_ACCOUNT, /* its key is of no use */
    CERT_STORE,   /* the store cannot be used */
};

enum cert_source { CERT_NONE, CERT_SELF_SIGNED, CERT_FILE, CERT_ACME };

/* The key and chain of a generation stand in the store, as
 * certs/<name>/<generation>/{fullchain,key}.pem */
struct cert_row {        /* writer: acmed; index = index in the config */
    uint8_t source;      /* enum cert_source */
    uint8_t busy;        /* 1: it is being ordered */
    uint8_t wanted;      /* enum cert_source: what the configuration asks for */
    uint8_t trouble;     /* enum cert_trouble */
    uint16_t prover;     /* row of the worker that is to prove the candidate */
    uint32_t generation; /* live: what workers load; 0: none yet */
    uint32_t candidate;  /* to be proved before it is live; 0: none */
    uint32_t requests;   /* of the operator, answered so far */
    uint32_t failures;   /* of orders, in a row */
    uint64_t not_before_wall_ms, not_after_wall_ms;
    uint64_t next_try_wall_ms;
    uint64_t revoked_wall_ms; /* the live one was, or its key given up; 0: not so */
    char name[CERT_DIR_SIZE]; /* the first name; the store's folder */
    char issuer[128];
    char key[CERT_KEY_SIZE]; /* of the live one: "P-256", "RSA 2048"; "" = none */
    char error[TABLE_ERROR]; /* of the last try; "" = none */
    char reply[TABLE_ERROR]; /* to the last request: why not; "" = it is done, or under way */
    char doing[64];          /* what is under way, or what the next try will be; "" */
    char note[TABLE_NOTES][TABLE_NOTE]; /* what was found, the worst first; "" = no more */
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

struct worker_backend {         /* writer: the worker of the row; cell of one backend */
    _Atomic uint32_t in_flight; /* exchanges sent or being sent to it: the cap counts these */
    _Atomic uint32_t queued;    /* exchanges that wait for a slot of this very backend */
    _Atomic uint32_t
        queued_any; /* at the pool's first backend: that wait for any of the pool */
    _Atomic uint32_t failed_in_row; /* refused, reset, empty, cut: since one was completed */
    _Atomic uint32_t trials;        /* exchanges of ours that try it (worker/retry_budget.h) */
    _Atomic uint32_t blamed;        /* 1: it errs where others do not (worker/blame.h) */
    /* Sessions seen in this epoch and the one before it: bits by hash (shm/sessions.h). They
     * outlive the worker that saw them. */
    _Atomic uint32_t session_epoch;
    _Atomic uint64_t session[2][TABLE_SESSION_WORDS];
    /* Looked up about once a second: since when the oldest waits for the backend, which has
     * its whole request and has sent no first byte (or takes no connection, or no more of
     * the request), 0: none; and how many there are, those of one session counted once. */
    _Atomic uint64_t oldest_ms;
    _Atomic uint64_t unanswered;
    _Atomic uint64_t idle; /* kept connections */
    /* When the oldest that waits for this very one joined the queue; 0: none. */
    _Atomic uint64_t waiting_since_ms;
    /* While it is down by verdict: its last good response; 0: none (worker/fail_open.h). */
    _Atomic uint64_t opened_ms;
    /* Counters, from here on: only ever rising (struct cell_counters). */
    _Atomic uint64_t completed;
    _Atomic uint64_t connects, connect_errors, resets, timeouts,
        cut;                              /* cut: ended in mid-body */
    _Atomic uint64_t gateway_errors;      /* 502, 503, 504 that the backend itself answered */
    _Atomic uint64_t server_errors;       /* other 5xx: the application's business */
    _Atomic uint64_t retries;             /* exchanges that left it for another instance */
    _Atomic uint64_t overtaken;           /* on trial: another instance answered first */
    _Atomic uint64_t mute;                /* and no byte came of these (worker/overtaken.h) */
    _Atomic uint64_t bytes_in, bytes_out; /* from and to the backend */
    /* Never got a slot: the queue was full, or queue.timeout over. Of use as sums over a pool:
     * at its first backend, where any would have done. */
    _Atomic uint64_t queue_full, queue_timeouts;
    _Atomic uint64_t latency[TABLE_LATENCY]; /* to the first byte */
};

/* Which instance an APSV connection belongs to (shm/apsv_map.h). Outlives the worker
 * that learnt it: the next one of the row goes on with it. */
struct worker_handle {
    _Atomic uint64_t key;  /* hash of the connection handle; 0: free, or being written */
    _Atomic uint64_t home; /* the instance's number, and when it was last seen */
};

/* One exchange that ended, or left a backend for another (shm/exchange_ring.h). Texts that
 * fill their array have no NUL. */
struct recent_row {
    uint64_t end_wall_ms;
    uint32_t total_us, first_byte_us; /* 0: no byte came; UINT32_MAX: that, or more */
    uint16_t status, backend_status;  /* sent to the client, got from the backend; 0: none */
    uint8_t attempts;                 /* which one this was */
    uint8_t reserved;
    uint16_t slot; /* of the backend: rings move when their share changes */
    char id[32];   /* X-Request-Id */
    char method[16];
    char end[8], phase[12]; /* as in the access log; end "moved": to another backend */
    char path[60];          /* begin of it, without parameters and query: no secrets */
};

struct recent {
    struct seq seq;
    struct recent_row row;
};

struct recent_ring {           /* of one backend: a share of `recent` */
    _Atomic uint64_t identity; /* of the backend_row that it is about */
    _Atomic uint64_t count;    /* ever written */
};

struct worker_row { /* writer: the worker of the row */
    TABLE_PAGED _Atomic uint64_t heartbeat_ms;
    _Atomic uint32_t incarnation; /* of the child row; cells count only when equal */
    _Atomic uint32_t config_generation;
    _Atomic uint32_t cert_loaded[TABLE_CERTS]; /* generation of each, 0 = none */
    _Atomic uint64_t cert_proof[TABLE_CERTS];  /* struct cert_finding (shm/certs.h) */
    _Atomic uint32_t verdicts_seen;            /* times that the doorbell was served */
    _Atomic uint64_t connections, exchanges;   /* open, running */
    _Atomic uint64_t connections_limit;        /* of clients: limits.connections, or fewer */
    _Atomic uint64_t paused_ms; /* when accepting paused last, for want of connections */
    /* Bytes, once a second: in buffers of connections; of these, responses whose clients are
     * slow to read. */
    _Atomic uint64_t buffer_bytes, response_bytes;
    /* Counters, only ever rising (struct row_counters). */
    _Atomic uint64_t connections_total, exchanges_total;
    /* Pauses of accepting; idle connections closed instead, for new ones. */
    _Atomic uint64_t connections_refused, connections_reused;
    _Atomic uint64_t bytes_in, bytes_out; /* from and to clients: plaintext, heads included */
    _Atomic uint64_t handshakes, handshakes_resumed, handshake_errors;
    _Atomic uint64_t bad_requests, own_errors; /* refused; answered by ourselves with 5xx */
    _Atomic uint64_t log_lost, access_lost;    /* lines that nobody took; once a second */
    _Atomic uint64_t status_requests; /* at status listeners: counted here and nowhere else */
    /* Clients that sent a body, or read a response, too slowly; buffers that limits.memory or
     * limits.response_memory had no room for. */
    _Atomic uint64_t slow_bodies, slow_readers, memory_refused;
    _Atomic uint64_t status[6]; /* answers by hundreds: [2] = 2xx */
    _Atomic uint64_t handshake_failures[HANDSHAKE_FAILURES]; /* handshake_errors by reason */
    /* Per pool: when the oldest that waits for any place in it joined; 0: none. */
    _Atomic uint64_t waiting_since_ms[TABLE_POOLS];
    /* Per pool: sent to a second instance, or about to be (shm/cap.h). */
    _Atomic uint32_t retrying[TABLE_POOLS];
    /* Per pool: requests that try a backend which is down, as all are (worker/fail_open.h). */
    _Atomic uint32_t opening[TABLE_POOLS];
    /* Per pool: forwarded before their bodies, for "Expect: 100-continue" (shm/cap.h). */
    _Atomic uint32_t expecting[TABLE_POOLS];
    struct worker_backend be[TABLE_BACKENDS];
    struct worker_handle handle[TABLE_HANDLES];
    /* What was last, for who wants to know why a backend is ill. Outlives the worker. */
    _Atomic uint32_t exchange_ring_share; /* records of each backend's ring; 0: none yet */
    struct recent_ring recent_ring[TABLE_BACKENDS];
    struct recent recent[TABLE_RECENT];
};

struct table {
    TABLE_PAGED struct header header;             /* supervisor */
    struct backend backend[TABLE_BACKENDS];       /* supervisor */
    struct admin admin[TABLE_BACKENDS];           /* supervisor */
    struct child child[TABLE_CHILDREN];           /* supervisor */
    struct history admin_history[TABLE_BACKENDS]; /* supervisor */
    struct retired retired;                       /* supervisor */
    _Atomic uint64_t supervisor_log_lost;         /* supervisor: lines that nobody took */
    /* supervisor: rows of cert and challenge that are there (table_reserve_certs()). */
    _Atomic uint32_t cert_rows, challenge_rows;
    TABLE_PAGED struct health health[TABLE_BACKENDS]; /* healthd */
    struct history health_history[TABLE_BACKENDS];    /* healthd */
    _Atomic uint64_t healthd_heartbeat_ms;            /* healthd */
    _Atomic uint64_t healthd_log_lost;                /* healthd */
    TABLE_PAGED _Atomic uint64_t acmed_heartbeat_ms;  /* acmed */
    _Atomic uint64_t acmed_log_lost;                  /* acmed */
    _Atomic uint32_t cert_epoch; /* acmed: raised with each change of cert[] */
    /* acmed: what the challenge of that row is found by (shm/challenges.h); 0: free. */
    _Atomic uint32_t challenge_key[TABLE_CHALLENGES];
    struct cert cert[TABLE_CERTS];                /* acmed */
    struct challenge challenge[TABLE_CHALLENGES]; /* acmed */
    struct worker_row worker[TABLE_WORKERS];      /* worker i writes row i */
};

/* Makes the object anew (shm/object.h) and maps it writable. name: "/pasgate-..." for
 * shm_open. Supervisor only. NULL with errno.
 *
 * A page of shared memory for which the host has no room is a SIGBUS for whoever
 * touches it first. So pages are reserved, where failing is an error: here, all
 * below `cert` (TABLE_FIXED bytes); for certificates and their challenges as many rows
 * as the configuration has use for, by table_reserve_certs(); for each worker row
 * before its first process, by table_reserve_row(). Nobody reads a row that was never
 * reserved: see table_certs(), table_row_used(). */
struct object;
struct table *table_create(struct object *object, const char *name);

enum { TABLE_FIXED = offsetof(struct table, cert) };

/* Supervisor: makes so many rows of cert[] and challenge[] usable, at least; a later one never
 * takes any away. 0; -1 with errno: ENOSPC, or ENOMEM. */
int table_reserve_certs(struct table *table, uint32_t certs, uint32_t challenges);
/* Bytes that it would still take. */
size_t table_certs_missing(uint32_t certs, uint32_t challenges);
/* Supervisor, once a second: something else may have written there how many there are. */
void table_repair_certs(struct table *table);

/* Bytes that a worker row needs that remembers so many exchanges. Whole pages. */
size_t table_row_size(uint32_t records);

/* Supervisor: bytes that table_reserve_row() would still take. */
size_t table_row_missing(int row, uint32_t records);
/* 0; -1 with errno: ENOSPC, or ENOMEM. What was reserved stays so until the end. */
int table_reserve_row(int row, uint32_t records);
/* Bytes that are free where the object is; UINT64_MAX: no bound is known. */
uint64_t table_room(void);

/* Maps the table of an object that is open to read: `pasgate status`. NULL with errno; EPROTO
 * when it is of another layout version. */
const struct table *table_map(int fd);
void table_close(const struct table *table);

/* Writes the name of the object that belongs to a pidfile path ("/pasgate-" and
 * a hash), so that several services on one host do not meet. */
enum { TABLE_OBJECT_NAME = 40 };
char *table_object_name(char out[TABLE_OBJECT_NAME], const char *pidfile);

/* Makes every page that this process must not write read-only. row: of a
 * worker. Called once in each child, before it meets a peer. 0 or -1, errno. */
int table_seal(struct table *table, enum kind kind, int row);

/* read: false = half-written, keep the last copy. Texts of the copy end within their arrays.
 * publish: the only writer; it keeps a copy of its own, so that rows_repair() finds what
 * something else wrote there. own: that copy (the row itself before the first publish): what a
 * writer reads its own row from. */
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

/* Supervisor, with a new table: rows_repair() looks after those of its rows, too, that have
 * never been published: a stray write there would be a backend or process that there is not. */
void rows_keep(struct table *table);
/* Compares all rows that this process has published with its copies, and writes those again
 * that differ: how many. *kind names what the first of them is ("health"). Once a second. */
uint32_t rows_repair(const char **kind);
/* Forgets them, in a child after fork: they are its parent's. */
void rows_forget(void);

void history_add(struct history *history, uint8_t from, uint8_t to, const char *actor,
                 const char *reason);
void history_add_heal(struct history *history, enum heal_state from, enum heal_state to,
                      const char *actor, const char *reason);
/* Copies the ring, oldest first; returns how many. 0 also when half-written. */
int history_read(const struct history *history, struct transition out[TABLE_HISTORY]);
/* The same of those that came after *seen, which follows; UINT32_MAX: only sets it. */
int history_read_new(const struct history *history, uint32_t *seen,
                     struct transition out[TABLE_HISTORY]);

/* Clears worker row r for a new process, but for handles and sessions, and claims it under
 * its incarnation; called by that worker, after which its cells count. */
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

/* Had row r ever a process? Pages of others are not there. */
static inline bool table_row_used(const struct table *table, int r)
{
    return __atomic_load_n(&table->child[r].row.incarnation, __ATOMIC_ACQUIRE) != 0;
}

/* Rows of cert[] and of challenge[] that may be read. */
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

/* Is row r the row of a live worker (starting, running or draining), whose
 * cells therefore count? A dead worker's cells do not. */
bool worker_row_live(const struct table *table, int r);

/* Load of a backend slot: sum over all live workers. */
uint32_t backend_in_flight(const struct table *table, int slot);
uint32_t backend_queued(const struct table *table, int slot);

/* The bucket of a latency: floor(log2(us)), the last bucket open. */
static inline int latency_bucket(uint64_t us)
{
    int b = us ? 63 - __builtin_clzll(us) : 0;

    return b < TABLE_LATENCY ? b : TABLE_LATENCY - 1;
}

#endif
