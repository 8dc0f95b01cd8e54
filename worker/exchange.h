/* An exchange: one request and its answer, whatever protocol carries it.
 *
 * A carrier (worker/client.c for HTTP/1; one per stream of HTTP/2 later) parses
 * a request and begins an exchange; the exchange routes it, chooses a backend,
 * waits in the queue, connects, sends, retries, relays the answer and says when
 * it is over. It calls the carrier through struct carrier_ops only.
 *
 *   begin -> [QUEUED] -> CONNECTING -> SENDING -> WAITING -> ANSWERING -> over
 *               ^------------ retry ------'          '-> TUNNEL -> over
 *
 * Back-pressure: the carrier gives body bytes only after want_body(); the
 * exchange stops reading the backend when respond() or body() return 1, until
 * exchange_carrier_writable(). Worker only; one thread. */
#ifndef WORKER_EXCHANGE_H
#define WORKER_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "shm/table.h"
#include "worker/http.h"
#include "worker/http1.h"
#include "worker/rewrite.h"
#include "worker/route.h"

struct backend_view;
struct client;
struct conf_route;
struct exchange;
struct inbox;
struct outbox;
struct peer;
struct pool_view;
struct upstream;
struct worker;

/* What the exchange asks of its carrier. None of these calls back into the
 * exchange: the carrier acts on what it was told when its own turn comes. Bytes
 * that are given to respond() and body() lie in worker->area with the rooms of
 * core.h around them, which the carrier may use. Results: 0 = go on, 1 = stop
 * until exchange_carrier_writable(), -1 = the client is gone. */
struct carrier_ops {
    /* Head of the final answer and its first n bytes; last: there are no more. */
    int (*respond)(struct exchange *, const struct http_response *, char *data, size_t n,
                   bool last);
    int (*body)(struct exchange *, char *data, size_t n, bool last);
    int (*interim)(struct exchange *, const struct http_response *);
    /* A whole answer of our own; the carrier fills in what it knows. */
    int (*own)(struct exchange *, struct rewrite_own_info *);
    /* Please give the (rest of the) request's body, or of the tunnel's bytes. */
    void (*want_body)(struct exchange *);
    /* The exchange is over and about to be freed. whole: the answer was complete;
     * else the carrier must not let the client believe so. */
    void (*finish)(struct exchange *, bool whole);
};

enum exchange_state {
    EXCHANGE_LOCAL, /* answered by ourselves, no backend asked */
    EXCHANGE_QUEUED,
    EXCHANGE_CONNECTING,
    EXCHANGE_SENDING, /* the request's body is still coming */
    EXCHANGE_WAITING, /* for the first byte of the answer */
    EXCHANGE_ANSWERING,
    EXCHANGE_TUNNEL,
};

/* Who ended it, for the log. */
enum exchange_end {
    EXCHANGE_END_WHOLE,
    EXCHANGE_END_CLIENT,  /* went away or broke the protocol */
    EXCHANGE_END_BACKEND, /* closed or broke the protocol */
    EXCHANGE_END_TIMEOUT, /* a deadline of ours */
    EXCHANGE_END_PROXY,   /* we refused: no place, no route, stopping */
};

struct exchange_times { /* microseconds, monotonic; 0: did not happen */
    uint64_t begin;     /* first byte of the request's head */
    uint64_t parsed;    /* head complete */
    uint64_t chosen;    /* a backend had a place for it */
    uint64_t connected;
    uint64_t sent; /* request entirely written */
    uint64_t first_byte;
    uint64_t end;
};

/* One of two attempts at the same request (worker/hedge.h), while the exchange's own
 * fields tell of the other one. */
struct attempt {
    struct upstream *upstream; /* NULL: there is none */
    struct backend_view *backend;
    uint64_t chosen, connected, sent; /* as in exchange_times */
    uint8_t state;
    bool reused, sticky, trial;
};

struct exchange {
    struct worker *worker;
    const struct carrier_ops *ops;
    struct client *client;              /* the carrier */
    const struct peer *peer;            /* who asks; in the carrier's memory */
    const struct http_request *request; /* in the carrier's memory until finish */

    struct route_match match;
    const struct conf_route *route; /* NULL: answered locally */
    struct pool_view *pool;
    struct backend_view *backend;    /* whose place we hold; NULL: none */
    struct backend_view *home;       /* where its session is, while that may serve it */
    struct backend_view *named;      /* by a tag of ours that the client sent; NULL: none */
    struct backend_view *refused;    /* the last one whose error answer was not passed on */
    struct backend_view *session_at; /* where its session counts as live; NULL: nowhere */
    uint64_t session;                /* hash of that */
    struct upstream *upstream;
    uint64_t tried[TABLE_BACKENDS / 64];
    struct attempt rival;  /* of a race */
    struct waiters *queue; /* where it waits for a place; NULL: it does not */
    struct exchange *queue_prev, *queue_next;
    struct exchange *running_prev, *running_next;
    struct loop_timer timer;
    uint64_t queued_ms; /* when it joined the queue; 0: not for this attempt */

    uint8_t state;         /* enum exchange_state */
    uint8_t attempts;      /* backends asked so far */
    uint8_t end;           /* enum exchange_end */
    uint8_t body;          /* of the answer: enum http_body */
    bool safe, idempotent; /* may be sent again: elsewhere; on a fresh connection */
    bool body_done;        /* the request's body was taken over entirely */
    bool streamed;         /* bytes beyond the outbox went: cannot be sent again */
    bool reused;           /* the upstream was a kept connection */
    bool fresh;            /* a kept one failed us: the next is a new one */
    bool chunked;          /* the request's body goes out in chunks */
    bool answered;         /* the client got something of the answer */
    bool blocked;          /* the client does not take more now */
    bool no_reuse;         /* the backend connection must be closed after it */
    bool sticky;           /* affinity chose the backend */
    bool home_again;       /* its home failed it, and was asked once more */
    bool trial;            /* it is the one that tries an instance (worker/budget.h) */
    bool resent;           /* an instance got it before: another attempt is a retry */
    bool in_budget;        /* of retries: counted there */
    bool race_due;         /* the deadline that runs is that for a second attempt */
    bool raced;            /* had a second attempt at the same time */
    uint16_t retried;      /* why it went elsewhere: a set of enum conf_retry */
    uint8_t interims;
    uint64_t left;               /* bytes of the answer's body still to come */
    struct http1_chunked chunks; /* of the answer */
    struct outbox *outbox;
    struct inbox *partial; /* an answer's head that came in pieces */
    struct inbox *held;    /* an answer that is kept back until it is whole */
    size_t held_head;      /* bytes of its head */

    struct exchange_times at;
    uint64_t bytes_in, bytes_out; /* body bytes from and to the client */
    uint16_t status;              /* that the client got; 0: none */
    uint16_t backend_status;      /* that the backend gave; 0: none */
    const char *error;            /* RFC 9209 type when we made the answer */
    const char *detail;           /* for people: static text */
    char id[32];                  /* X-Request-Id */
};

/* One for a parsed request; NULL when the host has no memory. */
struct exchange *exchange_new(struct worker *worker, const struct carrier_ops *ops,
                              struct client *client, const struct peer *peer,
                              const struct http_request *request);

/* Sets it going, with the first n bytes of the request's body (decoded; last:
 * these are all), which are taken over. It may be over, and freed, on return
 * (ops->finish was then called): this holds for all functions below. */
void exchange_begin(struct exchange *x, const char *data, size_t n, bool last);

/* The next n bytes of the request's body, or of a tunnel, in worker->area with
 * its rooms. More only after want_body(). */
void exchange_body(struct exchange *x, char *data, size_t n, bool last);

/* The client takes bytes again. */
void exchange_carrier_writable(struct exchange *x);

/* The client went away, or broke its body (status != 0: tell it so). */
void exchange_abort(struct exchange *x, uint16_t status, const char *detail);

/* Ends it with an answer of our own, or, once an answer has begun, by cutting
 * that. error: an RFC 9209 type, NULL: the client's fault. */
void exchange_fail(struct exchange *x, uint16_t status, enum exchange_end end,
                   const char *error, const char *detail);

/* Ends it with this answer (worker/local.c makes them). */
void exchange_answer_own(struct exchange *x, struct rewrite_own_info *info);

/* From worker/backends.c: a place may be free; try again. true: it left the
 * queue. */
bool exchange_retry_queued(struct exchange *x);

/* From worker/backends.c: its instance is down. Sends it to another one if no
 * byte of an answer came and that is safe (true); else it is left to its deadline. */
bool exchange_move(struct exchange *x);

/* The same for one that may not stay there: what cannot move ends, with 503 or, once an
 * answer has begun, cut. why: static text for the log. */
void exchange_expel(struct exchange *x, const char *why);

/* ---- between exchange.c, failure.c, answer.c and upstream.c ---- */

/* OVER: neither the exchange nor the upstream may be touched any more. BLOCKED:
 * do not read on for now. */
enum exchange_flow { EXCHANGE_GO_ON, EXCHANGE_BLOCKED, EXCHANGE_OVER };

enum exchange_flow exchange_connected(struct exchange *x);
void exchange_connect_failed(struct exchange *x, int error);
/* All bytes given to upstream_send() are out. */
void exchange_upstream_writable(struct exchange *x);
enum exchange_flow exchange_answer(struct exchange *x, char *data, size_t n);
/* End of input (error 0) or a broken connection. */
void exchange_upstream_gone(struct exchange *x, int error);

/* The connection failed before a byte of an answer. sent: some of the request may
 * have reached the backend. */
void exchange_gone_unanswered(struct exchange *x, int error, bool sent);
/* Gives up connection and place; chooses (anew), which may end it. */
void exchange_leave(struct exchange *x);
void exchange_choose(struct exchange *x);
/* Sends it to that backend, where it has a place. May end it. */
void exchange_connect(struct exchange *x, struct backend_view *backend);
/* Its link in backend->running, without a word about its place. */
void exchange_join_running(struct exchange *x, struct backend_view *backend);
void exchange_unlink_running(struct exchange *x);
/* Arms the deadline of the state that it is in. */
void exchange_arm_state(struct exchange *x);
/* Milliseconds that are left for the first byte of the answer to what is sent; 0: any. */
uint32_t exchange_time_left(const struct exchange *x);

/* A broken answer, of which nothing went to the client. */
void exchange_bad_answer(struct exchange *x, const char *reason);
/* The answer ended too early; or stopped coming (timeout). */
void exchange_answer_cut(struct exchange *x, bool timeout, const char *error,
                         const char *detail);
/* No byte of an answer came in time. */
void exchange_no_answer(struct exchange *x, const char *error, const char *detail);
/* Could it be tried again elsewhere if this answer were cut? Worth holding it then. */
bool exchange_may_hold(const struct exchange *x);
/* Goes elsewhere instead of passing this answer on. false: it may not. */
bool exchange_refuse_answer(struct exchange *x, unsigned status);

/* The whole answer went to the carrier. */
void exchange_complete(struct exchange *x);
/* Ends with an answer cut short. */
void exchange_cut(struct exchange *x, enum exchange_end end, const char *detail);
/* Arms the exchange's one deadline; 0: none. */
void exchange_arm(struct exchange *x, uint32_t ms);

#endif
