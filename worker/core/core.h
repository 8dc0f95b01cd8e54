/* What the parts of one worker process share.
 *
 *   accept.c -> conn/conn.c, conn/h1.c (a connection of a client; carries exchanges)
 *                      |
 *              proxy/exchange.c (one request and its response; knows no protocol)
 *                      |
 *   upstream/backends.c, upstream/upstream.c (a connection to a backend, kept and reused)
 *
 * One thread, one loop. Everything here belongs to the worker and lives until
 * the process ends, unless it says otherwise. */
#ifndef WORKER_CORE_H
#define WORKER_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/mempool.h"
#include "base/siphash.h"
#include "shm/cap.h"
#include "shm/heritage.h"
#include "worker/core/peer.h"
#include "worker/http/affinity.h"
#include "worker/http/h1.h"
#include "worker/http/http.h"

struct access_log;
struct attempt_failures;
struct clients;
struct conn;
struct exchange;
struct login;
struct pool_view;
struct request_ops;
struct route_table;
struct tls_engine;
struct upstream_ops;
struct waiter;

enum {
    WORKER_HEADROOM = 80 * 1024,    /* before relayed bytes: a whole head and a chunk's head */
    WORKER_BODY = 64 * 1024,        /* relayed at once: four TLS records in one write */
    WORKER_TAILROOM = 64,           /* behind them: a chunk's end and the last chunk */
    WORKER_HEAD_BUFFER = 16 * 1024, /* first size for a request's head; grows to the limit */
    WORKER_REQUEST_BUFFER =
        12 * 1024,               /* enough for most forwarded heads with a small body behind */
    WORKER_KEEP = 256,           /* idle blocks that each memory pool keeps */
    WORKER_ROUNDS = 4,           /* reads of one connection before others have their turn */
    WORKER_HEAD_MS = 1000,       /* an older head that is not complete makes room for others */
    WORKER_LINGER_MS = 2000,     /* how long a refused client may go on sending */
    WORKER_DRAIN_IDLE_MS = 2000, /* for a client of a draining worker to send its next request,
                                    or to complete the head or handshake that it has begun */
    WORKER_TICK_MS = 1000,       /* heartbeat, date, flush of the access log */
};

struct worker {
    struct loop loop;
    const struct heritage *heritage;
    const struct conf *conf;
    struct table *table;
    struct worker_row *row; /* our row of the table: the only one that we write */
    uint32_t session_words; /* of its sets of sessions (shm/sessions.h) */

    struct tls_engine *tls;          /* NULL: no TLS listener */
    struct tls_engine *upstream_tls; /* NULL: no pool with TLS (upstream/upstream_tls.h) */
    bool certs_behind; /* some certificate differs from acmed's: tried at each tick */
    bool certs_more;   /* not all were loaded in the time allowed (worker/cert_loader.h) */
    struct route_table *routes;
    struct login *login; /* NULL: no route has users */
    struct access_log *access;
    struct pool_view *pools;       /* [conf->n_pools] */
    struct backend_view *backends; /* [conf->n_backends] */
    /* What lower parts call without knowing who it is. */
    bool (*retry_queued)(struct waiter *);   /* a slot may be free (upstream/wait_queue.c) */
    bool (*end_slow_body)(struct worker *);  /* memory is needed (core/buffers.c) */
    bool (*end_old_head)(struct worker *);   /* the same, called before (conn/conn.h) */
    const struct attempt_failures *failures; /* an attempt fails at once (proxy/attempt.c) */
    void (*login_ended)(void *owner, int result); /* enum login_result (login/login.h) */
    const struct request_ops *requests;      /* a client has a request (core/transport.h) */
    const struct upstream_ops *upstream_ops; /* of connections that belong to exchanges */
    struct acceptor *acceptors;              /* [heritage->nlisteners] */
    struct acceptor *lent; /* list: sockets of slots whose workers cannot serve them */

    bool has_affinity;
    struct affinity_key affinity; /* shared by all workers (worker/proxy/sticky.h) */
    struct cap_rows live;         /* rows whose cells count; refreshed at the doorbell */
    struct clients *clients;      /* NULL: none has limits (worker/core/clients.h) */
    /* Backends with a slot that was released in this event (upstream/wait_queue.h). */
    struct backend_view *freed_first, *freed_last;

    struct http_limits limits;
    char *relay_buffer;            /* headroom, body, tailroom; valid within one callback */
    char *head_scratch;            /* WORKER_HEADROOM: a head while it is serialised */
    char *field_scratch;           /* the same size: values of a head while it is decided */
    struct http_response response; /* scratch: the head that is being relayed */
    struct http_request reparsed;  /* scratch: a head that is about to go to a backend */

    struct mempool conns, exchanges, detached, upstreams, head_buffers, request_buffers;
    struct mempool h2s, h2_streams, h2_outs; /* of HTTP/2 (conn/h2.h) */
    char *h2_in;                /* bytes that one read of an HTTP/2 connection brings */
    struct loop_link all_conns; /* list of struct conn by its link */
    /* Of these, oldest first: those between two requests; those that have sent nothing of their
     * first one yet, or are in the handshake; those whose head is arriving. */
    struct loop_link idle_conns, new_conns, head_conns;
    struct loop_link status_conns;     /* those of status listeners, by their last request */
    struct loop_link collecting;       /* exchanges that collect bodies (collecting.h) */
    size_t collecting_bytes;           /* what these hold; part of buffered */
    struct conn *run_first, *run_last; /* run list: connections that are due to run */
    uint32_t nconns, nexchanges, nupstreams;
    uint32_t nwatchers; /* part of nconns: those of status listeners */
    /* Limits of nconns - nwatchers, and of nupstreams (worker/descriptors.h). */
    uint32_t max_conns, max_upstreams;
    size_t buffered; /* bytes in heads and bodies of requests (worker/core/buffers.h) */
    size_t waiting;  /* bytes of responses whose clients are slow to read */

    struct loop_source doorbell, control;
    struct loop_timer tick, drain_deadline;
    bool draining;             /* accepts no new work; ends when nothing is left */
    char date[32];             /* "Sun, 06 Nov 1994 08:49:37 GMT", once a second */
    struct str hsts;           /* value of Strict-Transport-Security, empty: none */
    char hsts_text[48];        /* its bytes */
    struct siphash_key id_key; /* of request ids: random, private to this process */
    uint64_t id_count;
};

/* What a client on that connection is told as Strict-Transport-Security. */
static inline struct str peer_hsts(const struct worker *worker, const struct peer *peer)
{
    return peer->tls ? worker->hsts : STR_EMPTY;
}

/* The part of the relay buffer that bytes are read into. */
static inline char *worker_body(struct worker *worker)
{
    return worker->relay_buffer + WORKER_HEADROOM;
}

/* May connections hold n more bytes, by limits.memory? Old heads that are not complete, and
 * slow bodies, make room if need be. A refusal (false) is counted and logged. */
bool worker_has_memory(struct worker *worker, size_t n);
/* Counts and logs that a buffer was refused because of this setting's limit. */
void worker_refused_memory(struct worker *worker, const char *setting);

/* A client ended. When draining, the last one ends the process. */
static inline void worker_left(struct worker *worker)
{
    if (worker->draining && worker->nconns == 0)
        worker->loop.stop = true;
}

#endif
