/* What all rows of the table share: its limits, its states and their names, histories. Part of
 * shm/table.h, which tells the rules; include that. */
#ifndef SHM_LAYOUT_H
#define SHM_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/seq.h"

enum {
    TABLE_MAGIC = 0x50415347, /* "PASG" */
    TABLE_VERSION = 30,       /* of this layout; a reader refuses any other */
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
    TABLE_CLIENTS = 2048,     /* clients that each worker remembers (shm/client_cells.h) */
    TABLE_CLIENT_SET = 8,     /* of these, those among which a client has its place */
};

#define TABLE_PAGED _Alignas(TABLE_PAGE)

/* What a process has given up for good; it reports this in its own part of the table. */
enum sandbox_bits {
    SANDBOX_CALLS = 1,  /* system call filters, tried at its start */
    SANDBOX_FILES = 2,  /* Landlock: opens only what it needs, for reading */
    SANDBOX_PORTS = 4,  /* Landlock: connects only to the ports that it needs */
    SANDBOX_SCOPE = 8,  /* Landlock: signals nobody, reaches no abstract unix socket */
    SANDBOX_TABLE = 16, /* the table of others is mapped from a read-only descriptor */
    SANDBOX_FRESH = 32, /* executed anew: an address-space layout of its own */
};

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

/* Why a client was refused (limits.per_client): counted by each, and named by the setting. */
enum client_limit {
    CLIENT_CONNECTIONS,
    CLIENT_CONNECTION_RATE,
    CLIENT_REQUESTS,
    CLIENT_REQUEST_RATE,
    CLIENT_BYTES,
    CLIENT_OFFENCES,
    CLIENT_LIMITS,
    CLIENT_WITHIN = CLIENT_LIMITS, /* it is not refused */
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
/* The same after "is": "on probation". */
const char *health_state_phrase(enum health_state state);
const char *admin_state_name(enum admin_state state);
const char *recovery_state_name(enum recovery_state state);
const char *child_state_name(enum child_state state);

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

#endif
