/* What the table says, summed up for people and tools: gauges over live workers,
 * counters over all workers there ever were, percentiles, ages. Shared by `pasgate
 * status` and by the worker's status and metrics pages, so that all of them show the
 * same numbers under the same names.
 *
 * Any process that has the table mapped; allocates nothing. Half-written rows are left out or
 * read again: the next call has them. */
#ifndef SHM_STATUS_STATUS_H
#define SHM_STATUS_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "shm/table.h"

/* Sums of one worker_backend cell: gauges over live workers, counters over all ever. */
struct status_cell {
    uint64_t in_flight, queued, idle;
    uint64_t completed, connects, connect_errors, resets, timeouts, cut;
    uint64_t gateway_errors, server_errors, retries, hedges, detached, probation_unanswered;
    uint64_t bytes_in, bytes_out, tls_handshakes, tls_resumed, tls_errors;
    uint64_t queued_any, queue_full, queue_timeouts; /* useful as sums over a pool */
    uint64_t measured, measured_5xx, measured_4xx, measured_slow;
    uint64_t oldest_ms; /* how long the oldest waits for its first byte; 0: none waits */
    uint64_t latency[TABLE_LATENCY], latency_count;
};

struct status_backend {
    int slot;
    struct backend_row backend;
    struct admin_row admin;
    struct health_row health; /* HEALTH_UNKNOWN if the row has another identity */
    struct status_cell sum;
    uint32_t sessions;      /* live: seen within session_idle; or SESSIONS_UNCOUNTED */
    uint32_t slow_permille; /* of its weight that it gets; 1000: all, no slow start */
    uint64_t drain_left_ms; /* until the rest is cut; UINT64_MAX: no limit, or no drain */
};

/* The same for everything that is not about a backend. */
struct status_service {
    struct header_row header;
    uint32_t workers_live;    /* running or draining, their rows claimed */
    uint32_t workers_running; /* of these, those that take new work */
    uint64_t now_ms, now_wall_ms, uptime_ms;
    /* Since the last heartbeat; UINT64_MAX: none yet. */
    uint64_t supervisor_age_ms, healthd_age_ms, acmed_age_ms;
    uint64_t connections, connections_limit, connections_total;
    uint64_t connections_refused, connections_reused; /* of a worker_row */
    uint32_t workers_full; /* paused accepting within STATUS_FULL_MS */
    /* Within STATUS_MEMORY_MS: refused requests for lack of memory; ended slow bodies for it;
     * ended connections without a complete request to make room. */
    uint32_t workers_memory, workers_bodies, workers_heads;
    uint32_t workers_uncounted; /* without room for sets of sessions (shm/sessions.h) */
    uint64_t exchanges, exchanges_total, bytes_in, bytes_out;
    uint64_t handshakes, handshakes_resumed, handshake_errors, bad_requests, own_errors,
        status_requests;
    uint64_t log_lost, access_lost; /* lost log lines of all processes (base/log.h) */
    uint64_t slow_bodies, slow_readers, memory_refused, heads_dropped;
    uint64_t connections_denied, requests_denied, proxy_header_errors;
    uint64_t http2_connections, http2_requests, http2_resets, http2_refused;
    uint64_t http2_ended_resets, http2_ended_frames, http2_ended_unread;
    uint64_t http2_ended_blocks, http2_ended_protocol;
    uint64_t clients_unlimited; /* of a worker_row */
    uint64_t logins_failed, logins_limited;
    uint64_t buffer_bytes, response_bytes; /* now */
    uint64_t status[6];
    uint64_t handshake_failures[HANDSHAKE_FAILURES];
    uint64_t client_refusals[CLIENT_LIMITS]; /* limits.per_client, by limit */
};

enum { STATUS_FULL_MS = 2000, STATUS_MEMORY_MS = 60000 };

/* Fills *to; false if the header row cannot be read (nothing else is useful then). */
bool status_service_read(const struct table *, struct status_service *to);

#define STATUS_UNCOUNTED "sessions are not counted: /dev/shm is too small"

/* One sentence for people: what is left out for lack of shared memory, which clients were
 * refused since the start, and why; nothing if there is nothing. Closed connections are
 * frequent and mean little: only the metrics have them. */
struct text;
void status_add_remarks(struct text *, const struct status_service *);

/* One sentence about the clients that were refused most and are still remembered, at most
 * STATUS_CLIENTS of them; nothing if there are none. */
enum { STATUS_CLIENTS = 4 };
void status_add_clients(struct text *, const struct table *);

/* False: no such backend, or its row is half-written. Slots are below TABLE_BACKENDS. */
bool status_backend_read(const struct table *, int slot, struct status_backend *to);

/* False: nothing in that row, or half-written. */
bool status_child_read(const struct table *, int row, struct child_row *to);
bool status_cert_read(const struct table *, int index, struct cert_row *to);

/* "none", "self-signed", "file", "acme". */
const char *status_cert_source(const struct cert_row *cert);

/* Says that the live certificate was revoked, when, and what follows; "" if
 * it was not. Returns out. */
enum { STATUS_REVOKED_SIZE = 128 /* bytes */ };
const char *status_cert_revoked(const struct cert_row *cert, char out[STATUS_REVOKED_SIZE]);

/* When the next attempt to get another one starts: "now", the time as in the
 * log, or "-". Returns out. */
const char *status_cert_next(const struct cert_row *cert, char out[CLOCK_ISO_SIZE]);

/* The latency in microseconds below which `permille` of 1000 responses came, interpolated
 * linearly within the buckets of powers of two; 0 if there was none. */
uint64_t status_percentile(const struct status_cell *, unsigned permille);

/* How far a drain or a slow start has come, for people: "draining: 2 in flight, 14
 * sessions, 120 s left", "drained: empty", "slow start 37 %"; or that its weight is
 * reduced; or "". Returns out. */
enum { STATUS_PROGRESS = 96 };
const char *status_backend_progress(const struct status_backend *, char out[STATUS_PROGRESS]);

/* "none", "draining", "empty", "cut". */
const char *status_drain_word(const struct status_backend *);

/* One word for the current state of a backend, and the reason: "up", "down", "drain",
 * "drained", "maint", ... Recovery phases have precedence over admin overrides, these over
 * health. Both texts live as long as *backend. */
const char *status_backend_word(const struct status_backend *backend);
const char *status_backend_reason(const struct status_backend *backend);

/* Remaining time of an ejection; 0: none, or probation starts as soon as its checks pass. */
uint64_t status_eject_left_ms(const struct health_row *health);

/* Everything as one JSON object, without a NUL. Returns its length, or -1 if cap is too small.
 * STATUS_JSON_MAX is enough for a full table. */
enum { STATUS_JSON_MAX = 24 * 1024 * 1024 };
ssize_t status_json(const struct table *, char *out, size_t cap);

#endif
