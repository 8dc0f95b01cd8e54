/* Counters that outlive workers: what is reported of a backend or of the service is the sum
 * over all workers there ever were, so that it never falls.
 *
 * One rule makes it consistent: the counters of a worker row count as long as the incarnation
 * that claimed it is not named in the sums in force; whether its process lives does not matter.
 * The supervisor takes a dead worker's row over after it was reaped and before the row is used
 * again: it prepares the next sums and puts them in force with a single store. So at each
 * moment each row counts exactly once, in its cells or in the sums.
 *
 * Gauges (in flight, queued, idle, connections) do not belong here: they end with their
 * worker (worker_row_live). */
#ifndef SHM_COUNTERS_H
#define SHM_COUNTERS_H

#include <stdint.h>

#include "shm/table.h"

/* The fields of struct cell_counters and row_counters, except their arrays. */
#define CELL_COUNTERS(X)    \
    X(completed)            \
    X(connects)             \
    X(connect_errors)       \
    X(resets)               \
    X(timeouts)             \
    X(cut)                  \
    X(gateway_errors)       \
    X(server_errors)        \
    X(retries)              \
    X(hedges)               \
    X(detached)             \
    X(probation_unanswered) \
    X(bytes_in)             \
    X(bytes_out)            \
    X(tls_handshakes)       \
    X(tls_resumed)          \
    X(tls_errors)           \
    X(queue_full)           \
    X(queue_timeouts)       \
    X(measured)             \
    X(measured_5xx)         \
    X(measured_4xx)         \
    X(measured_slow)
#define ROW_COUNTERS(X)     \
    X(connections_total)    \
    X(connections_refused)  \
    X(connections_reused)   \
    X(exchanges_total)      \
    X(bytes_in)             \
    X(bytes_out)            \
    X(handshakes)           \
    X(handshakes_resumed)   \
    X(handshake_errors)     \
    X(log_lost)             \
    X(access_lost)          \
    X(status_requests)      \
    X(bad_requests)         \
    X(own_errors)           \
    X(slow_bodies)          \
    X(slow_readers)         \
    X(memory_refused)       \
    X(heads_dropped)        \
    X(connections_denied)   \
    X(requests_denied)      \
    X(proxy_header_errors)  \
    X(http2_connections)    \
    X(http2_requests)       \
    X(http2_resets)         \
    X(http2_refused)        \
    X(http2_ended_resets)   \
    X(http2_ended_frames)   \
    X(http2_ended_unread)   \
    X(http2_ended_blocks)   \
    X(http2_ended_protocol) \
    X(clients_unlimited)    \
    X(logins_failed)        \
    X(logins_limited)

/* Any process: the sum over living and ended workers. If workers die faster than the table can
 * be read, the result of the last attempt is returned. slot < TABLE_BACKENDS. */
void counters_read(const struct table *, struct row_counters *to);
void counters_read_backend(const struct table *, int slot, struct cell_counters *to);

/* What was added between two readings of a backend's counters. One that shrank, because the
 * slot now belongs to another backend, counts as 0. */
void counters_since(const struct cell_counters *now, const struct cell_counters *before,
                    struct cell_counters *added);

/* Any process: current values of a backend, over its live workers. The first two are up to a
 * second old. */
struct backend_gauges {
    uint64_t unanswered;         /* requests that wait for a first byte, */
    uint64_t oldest_ms;          /* since when the oldest of them waits; 0: none */
    uint64_t probation_requests; /* detached ones included */
    uint64_t failed_in_row;      /* hard failures, of the worker with the most */
};
void counters_read_gauges(const struct table *, int slot, struct backend_gauges *to);

/* Supervisor: the worker of row r under this incarnation was reaped; keeps what it counted for
 * slots below nbackends. Does nothing if it never claimed its row, or was taken over
 * already. */
void counters_take(struct table *, int r, uint32_t incarnation, uint32_t nbackends);

/* Supervisor: the slot belongs to another backend from now on and counts from 0. old[r]: the
 * incarnation of a live worker that may still use the former backend, 0 for other rows; what it
 * has counted so far is subtracted. */
void counters_clear(struct table *, int slot, const uint32_t old[TABLE_WORKERS],
                    uint32_t nbackends);

#endif
