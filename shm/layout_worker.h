/* The row that each worker writes. Part of shm/table.h, which tells the rules; include that. */
#ifndef SHM_LAYOUT_WORKER_H
#define SHM_LAYOUT_WORKER_H

#include <stdatomic.h>
#include <stdint.h>

#include "shm/handshake.h"
#include "shm/layout.h"
#include "shm/seq.h"

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
    /* TLS to it: handshakes that ended well, those of them that resumed a session, and those
     * that failed. */
    _Atomic uint64_t tls_handshakes, tls_resumed, tls_errors;
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
    _Atomic uint64_t seen; /* the backend's number, and when it was last seen */
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

/* What one client has at this worker (shm/client_cells.h). */
struct client_cell {
    _Atomic uint32_t connections, requests; /* now */
    _Atomic uint64_t bytes;                 /* in buffers now */
    /* Since it has this cell; modulo 2^32. requested, connected: without those refused. */
    _Atomic uint32_t connected, requested, offences, refused;
    _Atomic uint64_t refused_until_ms; /* 0: is not */
};

struct client_set {
    _Alignas(64) _Atomic uint64_t client[TABLE_CLIENT_SET]; /* which one; 0: free */
    struct client_cell cell[TABLE_CLIENT_SET];
};

struct worker_row { /* writer: the worker of the row */
    TABLE_PAGED _Atomic uint64_t heartbeat_ms;
    _Atomic uint32_t incarnation; /* of the child row; cells count only while they are equal */
    _Atomic uint32_t config_generation;
    _Atomic uint32_t cert_loaded[TABLE_CERTS]; /* generation of each; 0: none */
    _Atomic uint64_t cert_proof[TABLE_CERTS];  /* struct cert_finding (shm/certs.h) */
    _Atomic uint32_t sandbox;                  /* enum sandbox_bits */
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
    /* Refused by the address of the client (clients). */
    _Atomic uint64_t connections_denied, requests_denied;
    /* Wrong passwords (401); not verified: too many wrong ones, or too many waiting (429, 503).
     */
    _Atomic uint64_t logins_failed, logins_limited;
    _Atomic uint64_t proxy_header_errors; /* connections without a valid PROXY header */
    /* HTTP/2: connections, requests; streams that ended early because of the client, and those
     * refused because it had too many. */
    _Atomic uint64_t http2_connections, http2_requests, http2_resets, http2_refused;
    /* Its connections that were ended because of their clients: too many resets, frames of no
     * use, unread replies, header blocks too large; other breaches of the protocol. */
    _Atomic uint64_t http2_ended_resets, http2_ended_frames, http2_ended_unread;
    _Atomic uint64_t http2_ended_blocks, http2_ended_protocol;
    _Atomic uint64_t status[6]; /* responses by class: [2] = 2xx */
    /* Clients that found no place among those remembered, and so have no limits. */
    _Atomic uint64_t clients_unlimited;
    _Atomic uint64_t handshake_failures[HANDSHAKE_FAILURES]; /* handshake_errors by reason */
    _Atomic uint64_t client_refusals[CLIENT_LIMITS];
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
     * wait for a slot of this backend. Of a pool's first backend only: queued_any: those that
     * wait for any; queued_all: these, and those that wait for one backend of the pool. */
    /* Their sum, and above it the same bits inverted, so that a wrong value shows: no cell of
     * in_flight counts for more (shm/cap.c). */
    _Atomic uint64_t in_flight_all;
    _Atomic uint32_t in_flight[TABLE_BACKENDS];
    _Atomic uint32_t queued[TABLE_BACKENDS], queued_any[TABLE_BACKENDS];
    _Atomic uint32_t queued_all[TABLE_BACKENDS];
    struct client_set clients[TABLE_CLIENTS / TABLE_CLIENT_SET];
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

#endif
