/* Rows that the supervisor writes: header, backends, overrides, children, counters of ended
 * workers. Part of shm/table.h, which tells the rules; include that. */
#ifndef SHM_LAYOUT_SUPERVISOR_H
#define SHM_LAYOUT_SUPERVISOR_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/handshake.h"
#include "shm/layout.h"
#include "shm/seq.h"

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
    char host[256]; /* or "unix:" and the path of its socket */
    uint16_t port;  /* 0: a unix socket */
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

/* The counters of a worker's cell and row as plain numbers, for sums over several workers. */
struct cell_counters {
    uint64_t completed, connects, connect_errors, resets, timeouts, cut;
    uint64_t gateway_errors, server_errors, retries, hedges, detached, probation_unanswered;
    uint64_t bytes_in, bytes_out, tls_handshakes, tls_resumed, tls_errors;
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
    uint64_t connections_denied, requests_denied, proxy_header_errors;
    uint64_t http2_connections, http2_requests, http2_resets, http2_refused;
    uint64_t http2_ended_resets, http2_ended_frames, http2_ended_unread;
    uint64_t http2_ended_blocks, http2_ended_protocol;
    uint64_t clients_unlimited;
    uint64_t logins_failed, logins_limited;
    uint64_t status[6];
    uint64_t handshake_failures[HANDSHAKE_FAILURES];
    uint64_t client_refusals[CLIENT_LIMITS];
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

#endif
