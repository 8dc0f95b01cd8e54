/* An exchange: one request and its response, whatever protocol carries it.
 *
 * A transport (worker/conn/h1.c for HTTP/1; later one per HTTP/2 stream) parses a
 * request and begins an exchange. The exchange routes it, chooses a backend, waits in
 * the queue, connects, sends, retries, relays the response and says when it is over.
 * It calls the transport through struct transport_ops only.
 *
 *   begin -> [COLLECTING] -> [QUEUED] -> CONNECTING -> SENDING -> WAITING -> RESPONDING -> over
 *                               ^------------ retry ------'          '-> TUNNEL -> over
 *
 * While it collects a request's body (up to limits.request_buffer) it holds nothing that is
 * shared, so that a client that sends slowly affects nobody else.
 *
 * Back-pressure: the transport gives body bytes only after want_body(). The exchange stops
 * reading the backend when respond() or body() return 1, until writable().
 * When they return 2 (some bytes are kept) it goes on; a response that was accepted whole then
 * releases its slot and connection, and is DELIVERING until its client has it. Worker only; one
 * thread. */
#ifndef WORKER_EXCHANGE_H
#define WORKER_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "shm/table.h"
#include "worker/core/transport.h"
#include "worker/http/h1.h"
#include "worker/http/headers.h"
#include "worker/http/http.h"
#include "worker/http/origin.h"
#include "worker/http/route.h"
#include "worker/upstream/backends.h"

struct client;
struct conf_route;
struct exchange;
struct head_buffer;
struct login_wait;
struct request_buffer;
struct peer;
struct upstream;
struct worker;

/* How long a backend may take to react to "Expect: 100-continue". Then pasgate sends the 100
 * itself, and the body to the backend, like a client that stops waiting (RFC 9110 10.1.1).
 * Tomcat reacts at once. */
enum { EXCHANGE_EXPECT_MS = 1000 };

enum {
    /* When no byte of the body has come for so long and the backend gives the request up, the
     * client has failed, not the backend. Tomcat's own timeout (connectionTimeout) is 20 s. */
    EXCHANGE_BODY_OWED_MS = 1000,
};

/* The detail of an exchange whose backend gave up for that reason. */
#define EXCHANGE_BODY_OWED "the client stopped sending the body, and the backend gave up"

enum exchange_state {
    EXCHANGE_LOCAL,      /* pasgate responds itself, without a backend */
    EXCHANGE_COLLECTING, /* the first part of its body, before a backend is chosen */
    EXCHANGE_QUEUED,
    EXCHANGE_CONNECTING,
    EXCHANGE_SENDING, /* the request's body is still coming */
    EXCHANGE_WAITING, /* for the first byte of the response */
    EXCHANGE_RESPONDING,
    EXCHANGE_TUNNEL,
    EXCHANGE_DELIVERING, /* the backend is done with; the client still reads */
};

struct exchange_times { /* microseconds, monotonic; 0: did not happen */
    uint64_t begin;     /* first byte of the request's head */
    uint64_t parsed;    /* head complete */
    uint64_t end;
};

/* One try of an exchange at one backend: all that it has, and how far it is. */
struct attempt {
    struct exchange *exchange;    /* NULL: it is detached (worker/proxy/detached.h) */
    struct upstream *upstream;    /* NULL: it has no connection (yet) */
    struct backend_view *backend; /* whose slot it holds; NULL: none */
    struct attempt *running_prev, *running_next; /* in backend->running */
    uint64_t chosen;    /* it got a slot at its backend; these are as in exchange_times */
    uint64_t connected; /* the same as chosen, with a kept connection */
    uint64_t sent;      /* request entirely written */
    uint64_t first_byte;
    uint64_t stuck_us; /* since when the backend reads no more of the request; 0: it reads */
    uint64_t wants_us; /* since when the backend has all of the body that came so far, and more
                          is to come; 0: never (microseconds) */
    uint8_t state;     /* enum exchange_state */
    bool reused;       /* the connection was a kept one */
    bool sticky;       /* affinity chose the backend */
    bool opens;        /* the one request that tries a pool that is down (fail_open.h) */
    bool probation;    /* a probation request (worker/proxy/retry_budget.h) */
    bool silent;       /* hedged because this backend was silent (worker/proxy/hedge.h) */
};

struct exchange {
    struct worker *worker;
    struct transport *transport;        /* the client's side (worker/core/transport.h) */
    const struct peer *peer;            /* as in transport */
    const struct http_request *request; /* the same, until finish() */

    /* Its attempts: one, or two while it is hedged. active: the one of which an event is being
     * handled, and the only one otherwise; its state is that of the exchange. */
    struct attempt attempt[2];
    struct attempt *active;

    struct origin origin;  /* the client's real address (worker/http/origin.h) */
    struct client *client; /* whose limits it counts for (worker/core/clients.h); NULL: none */

    struct route_match match;
    const struct conf_route *route; /* NULL: pasgate responds itself */
    struct pool_view *pool;
    struct backend_view *affinity;   /* affinity target, while it may serve its session */
    struct backend_view *requested;  /* requested by what the client sent; NULL: none */
    struct backend_view *refused;    /* the last one whose error response was not passed on */
    struct backend_view *served_by;  /* DELIVERING: whose response it is */
    struct backend_view *session_at; /* where its session counts as live; NULL: nowhere */
    uint64_t session;                /* hash of that */
    uint64_t tried[TABLE_BACKENDS / 64];
    struct waiter waiter;        /* for a slot; since_ms: 0 for an attempt that did not wait */
    struct loop_link collecting; /* in worker->collecting; next NULL: not in it */
    size_t collects;             /* bytes that it has there */
    struct loop_timer timer;
    struct login_wait *login; /* its password is being verified; NULL: it is not */

    uint32_t retry_s;      /* over_limit: when the client may come again */
    uint8_t over_limit;    /* enum client_limit: why it is refused */
    uint8_t attempts;      /* attempts so far */
    uint8_t end;           /* enum exchange_end */
    uint8_t body;          /* of the response: enum http_body */
    bool safe, idempotent; /* may be sent again: to another backend; on a fresh connection */
    bool expects;          /* waits for 100 Continue (or a final response) from the backend */
    bool body_done;        /* the request's body has arrived entirely */
    bool streamed;         /* bytes beyond request_buffer were sent: cannot be sent again */
    bool fresh;            /* a kept connection failed: the next one must be new */
    bool held_back;        /* collecting: not to be ended now */
    bool chunked;          /* the request's body goes out in chunks */
    bool responded;        /* part of the response went to the client */
    bool blocked;          /* the client accepts no more bytes now, */
    bool was_blocked;      /* or did so once */
    bool measured;       /* counted for the comparison of backends (worker/proxy/measured.h) */
    bool no_reuse;       /* the backend connection must be closed after it */
    bool by_route;       /* requested by a jvmRoute, not by a tag of pasgate */
    bool affinity_again; /* its affinity target failed, and got it once more */
    bool resent;         /* a backend got it before: another attempt is a retry */
    bool in_budget;      /* it is counted in the retry budget */
    bool beyond_budget; /* let in though the retry budget was full (worker/proxy/retry_budget.h)
                         */
    bool in_expects;    /* it is counted among requests whose body is still to come */
    bool hedge_due;     /* the running deadline is that of the hedge */
    bool hedged;        /* was hedged: had a second attempt at the same time */
    bool binds;     /* its credentials authenticate the connection (worker/upstream/pins.h) */
    bool logged_in; /* by HTTP Basic */
    bool client_ended;  /* a tunnel: nothing more goes to the backend */
    bool backend_ended; /* a tunnel: nothing more comes from it */
    uint16_t retried;   /* why it was retried: a set of enum conf_retry */
    uint8_t interims;
    uint64_t left;            /* bytes of the response's body still to come */
    struct h1_chunked chunks; /* of the response */
    struct request_buffer *request_buffer;
    size_t body_at;               /* offset of the body in request_buffer */
    struct head_buffer *partial;  /* a response head that came in pieces */
    struct head_buffer *trailers; /* of a chunked response, if the client accepts trailers */
    struct head_buffer *held;     /* a response that is held until it is whole */
    size_t held_head;             /* bytes of its head */

    struct exchange_times at;
    uint64_t bytes_in, bytes_out; /* body bytes from and to the client */
    uint16_t status;              /* sent to the client; 0: none */
    uint16_t backend_status;      /* received from the backend; 0: none */
    const char *error;            /* RFC 9209 type when pasgate made the response */
    const char *detail;           /* for operators: static text */
    char id[32];                  /* X-Request-Id */
};

/* Its attempt that is not the active one; upstream is NULL: there is none. */
static inline struct attempt *exchange_other(const struct exchange *x)
{
    return (struct attempt *)(uintptr_t)&x->attempt[x->active == &x->attempt[0]];
}

/* worker->requests: what a transport tells an exchange. */
extern const struct request_ops exchange_requests;

/* Its id in logs and for other systems: a trusted peer's X-Request-Id, otherwise ours. */
static inline struct str exchange_id(const struct exchange *x)
{
    return x->origin.request_id.n ? x->origin.request_id : str_make(x->id, sizeof x->id);
}

/* Ends it with a response made by pasgate or, if a response has begun, by cutting that short.
 * error: an RFC 9209 type, NULL: the client's fault. */
void exchange_fail(struct exchange *x, uint16_t status, enum exchange_end end,
                   const char *error, const char *detail);

/* Ends it with this response (worker/proxy/local_reply.c makes them). */
void exchange_reply(struct exchange *x, struct headers_own_info *info);

/* worker->end_slow_body: ends the slowest of those that collect their bodies, so that what it
 * holds is free for others. false: there is none. */
bool exchange_end_slow_body(struct worker *worker);
/* worker->login_ended: the password of an exchange was verified (enum login_result). */
void exchange_login_ended(void *exchange, int result);

/* OVER: neither the exchange nor the upstream may be touched any more. BLOCKED: stop reading
 * for now. */
enum exchange_flow { EXCHANGE_GO_ON, EXCHANGE_BLOCKED, EXCHANGE_OVER };

/* ---- the lower half (worker/proxy/exchange_core.c), for those that run it: attempt.c,
 * retry.c, hedge.c, request.c, response.c, local_reply.c ---- */

/* Finds the client's real address, and what else other proxies told, in its request. */
void exchange_find_origin(struct exchange *x);
/* Gives up its own attempt: connection, timer and slot. */
void exchange_leave(struct exchange *x);
/* The same, but it keeps the slot. */
void exchange_disconnect(struct exchange *x);
/* Its link in backend->running; the slot is not touched. */
void exchange_join_running(struct attempt *a, struct backend_view *backend);
void exchange_unlink_running(struct attempt *a);
/* A walk over the exchanges whose active attempt is at a backend, the first one and the next
 * one; NULL: that was all. Any of them may end or move meanwhile; those that join are not
 * visited. One walk at a time for each backend. */
struct exchange *exchange_first_running(struct backend_view *backend);
struct exchange *exchange_next_running(struct backend_view *backend);
/* Gives back the permit to try a pool that is down, if it has that (fail_open.h). */
void exchange_release_opening(struct exchange *x);
/* Ends the other attempt of a hedged exchange; its slot is left to the caller: returns where
 * that is. */
struct backend_view *exchange_end_hedge(struct exchange *x);
/* The same with its slot, if there is another attempt. */
void exchange_drop_hedge(struct exchange *x);
/* The last step of every exchange: statistics and log, then the transport, then it is freed. */
void exchange_finish(struct exchange *x, bool whole);
/* The whole response went to the transport. out: and to the client's socket. */
void exchange_complete(struct exchange *x, bool out);
/* As in struct request_ops. */
void exchange_abort(struct exchange *x, uint16_t status, const char *detail);
/* Ends with a response that is cut short. */
void exchange_cut(struct exchange *x, enum exchange_end end, const char *detail);
/* Arms the exchange's one deadline; 0: none. */
void exchange_arm(struct exchange *x, uint32_t ms);
/* How long the backend, or a tunnel, may be silent; 0: without limit. */
uint32_t exchange_idle_ms(const struct exchange *x);
/* Milliseconds until the connect timeout, or the first-byte timeout; 0: none. */
uint32_t exchange_time_left(const struct exchange *x);
/* Since when the backend owes something: a connection, reading the request's next bytes, the
 * first byte of its response (microseconds). 0: nothing, for example while the client has yet
 * to send its body. */
uint64_t exchange_owed_since(const struct exchange *x);
/* Has the backend waited for more of the body for EXCHANGE_BODY_OWED_MS, so that the client is
 * the cause of what the backend does now? */
bool exchange_client_owes(const struct exchange *x);

/* ---- worker/proxy/response.c ---- */

enum exchange_flow exchange_response(struct exchange *x, char *data, size_t n);

#endif
