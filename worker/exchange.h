/* An exchange: one request and its answer, whatever protocol carries it.
 *
 * A carrier (worker/client.c for HTTP/1; one per stream of HTTP/2 later) parses
 * a request and begins an exchange; the exchange routes it, chooses a backend,
 * waits in the queue, connects, sends, retries, relays the answer and says when
 * it is over. It calls the carrier through struct transport_ops only.
 *
 *   begin -> [COLLECTING] -> [QUEUED] -> CONNECTING -> SENDING -> WAITING -> ANSWERING -> over
 *                               ^------------ retry ------'          '-> TUNNEL -> over
 *
 * While it collects a request's body (as much as limits.request_buffer) it holds nothing
 * that is shared: how slowly a client sends it is no other one's business.
 *
 * Back-pressure: the carrier gives body bytes only after want_body(); the
 * exchange stops reading the backend when respond() or body() return 1, until
 * exchange_transport_writable(). What they take and keep (2) lets it go on: a response that
 * was taken whole gives its place and connection back, and is DELIVERING until its client
 * has it. Worker only; one thread. */
#ifndef WORKER_EXCHANGE_H
#define WORKER_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "shm/table.h"
#include "worker/http/h1.h"
#include "worker/http/http.h"
#include "worker/http/route.h"
#include "worker/origin.h"
#include "worker/rewrite.h"

struct backend_view;
struct client;
struct conf_route;
struct exchange;
struct head_buffer;
struct request_buffer;
struct peer;
struct pins;
struct pool_view;
struct upstream;
struct worker;

/* What the exchange asks of its carrier. None of these calls back into the
 * exchange: the carrier acts on what it was told when its own turn comes. Bytes
 * that are given to respond() and body() lie in worker->area with the rooms of
 * core.h around them, which the carrier may use. Results: 0 = all is out, go on; 1 = stop
 * until exchange_transport_writable(); 2 = some is kept, go on; -1 = the client is gone. */
struct transport_ops {
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

/* How long a backend may take to answer "Expect: 100-continue": then we do, and send it the
 * body, as a client would that waits no longer (RFC 9110 10.1.1). Tomcat answers at once. */
enum { EXCHANGE_EXPECT_MS = 1000 };

enum {
    /* How long the first byte of a body may take after 100 Continue, while its request holds
     * a slot that others could have. Who waited for permission has it ready. */
    EXCHANGE_BODY_BEGIN_MS = 3000,
    /* A backend that gives a request up when nothing of its body has come for so long has not
     * failed: the client has. Tomcat's own patience (connectionTimeout) is 20 s. */
    EXCHANGE_BODY_OWED_MS = 1000,
};

/* The detail of an exchange that its backend gave up for that. */
#define EXCHANGE_BODY_OWED "the client stopped sending the body, and the instance gave it up"

enum exchange_state {
    EXCHANGE_LOCAL,      /* answered by ourselves, no backend asked */
    EXCHANGE_COLLECTING, /* the first of its body, before a backend is chosen */
    EXCHANGE_QUEUED,
    EXCHANGE_CONNECTING,
    EXCHANGE_SENDING, /* the request's body is still coming */
    EXCHANGE_WAITING, /* for the first byte of the answer */
    EXCHANGE_RESPONDING,
    EXCHANGE_TUNNEL,
    EXCHANGE_DELIVERING, /* the backend is done with; the client still reads */
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
    const struct transport_ops *ops;
    struct client *client;              /* the carrier */
    const struct peer *peer;            /* who asks; in the carrier's memory */
    const struct http_request *request; /* in the carrier's memory until finish */
    struct pins *pins; /* the client's own connections to backends; in the carrier's memory */

    struct origin origin; /* where it really comes from */

    struct route_match match;
    const struct conf_route *route; /* NULL: answered locally */
    struct pool_view *pool;
    struct backend_view *backend;    /* whose place we hold; NULL: none */
    struct backend_view *home;       /* where its session is, while that may serve it */
    struct backend_view *named;      /* by what the client sent; NULL: none */
    struct backend_view *refused;    /* the last one whose error answer was not passed on */
    struct backend_view *served_by;  /* DELIVERING: whose response it is */
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
    uint64_t stuck_us;  /* since when the backend takes no more of the request; 0: it does */
    uint64_t wants_us;  /* since when the backend has all of a body that came so far, and more
                         * is to come; 0: never (microseconds) */

    uint8_t state;         /* enum exchange_state */
    uint8_t attempts;      /* backends asked so far */
    uint8_t end;           /* enum exchange_end */
    uint8_t body;          /* of the answer: enum http_body */
    bool safe, idempotent; /* may be sent again: elsewhere; on a fresh connection */
    bool expects;          /* 100 Continue (or a final response) of the backend is waited for */
    bool body_done;        /* the request's body was taken over entirely */
    bool streamed;         /* bytes beyond the outbox went: cannot be sent again */
    bool reused;           /* the upstream was a kept connection */
    bool fresh;            /* a kept one failed us: the next is a new one */
    bool chunked;          /* the request's body goes out in chunks */
    bool responded;        /* the client got something of the answer */
    bool blocked;          /* the client does not take more now */
    bool no_reuse;         /* the backend connection must be closed after it */
    bool sticky;           /* affinity chose the backend */
    bool by_route;         /* named by a jvmRoute, not by a tag of ours */
    bool home_again;       /* its home failed it, and was asked once more */
    bool opens;            /* it is the one that tries a pool that is down (fail_open.h) */
    bool trial;            /* it is the one that tries an instance (worker/retry_budget.h) */
    bool resent;           /* an instance got it before: another attempt is a retry */
    bool in_budget;        /* of retries: counted there */
    bool beyond_budget;    /* let in though there was no place in it (worker/retry_budget.h) */
    bool in_expects;       /* of those whose body is to come: counted there */
    bool race_due;         /* the deadline that runs is that for a second attempt */
    bool raced;            /* had a second attempt at the same time */
    bool binds;            /* its credentials authenticate the connection (worker/pins.h) */
    bool client_ended;     /* a tunnel: nothing more goes to the backend */
    bool backend_ended;    /* a tunnel: nothing more comes from it */
    uint16_t retried;      /* why it went elsewhere: a set of enum conf_retry */
    uint8_t interims;
    uint64_t left;            /* bytes of the answer's body still to come */
    struct h1_chunked chunks; /* of the answer */
    struct request_buffer *request_buffer;
    size_t body_at;               /* of the outbox: where the body begins */
    struct head_buffer *partial;  /* an answer's head that came in pieces */
    struct head_buffer *trailers; /* of a chunked response, where the client takes them */
    struct str trailer; /* those that go to the client, in there; set before the last bytes */
    struct head_buffer *held; /* an answer that is kept back until it is whole */
    size_t held_head;         /* bytes of its head */

    struct exchange_times at;
    uint64_t bytes_in, bytes_out; /* body bytes from and to the client */
    uint64_t wire_in, wire_out;   /* all of its plaintext: heads and framing, too */
    uint16_t status;              /* that the client got; 0: none */
    uint16_t backend_status;      /* that the backend gave; 0: none */
    const char *error;            /* RFC 9209 type when we made the answer */
    const char *detail;           /* for people: static text */
    char id[32];                  /* X-Request-Id */
};

/* One for a parsed request; NULL when the host has no memory. */
struct exchange *exchange_new(struct worker *worker, const struct transport_ops *ops,
                              struct client *client, const struct peer *peer, struct pins *pins,
                              const struct http_request *request);

/* What names it to everybody: a trusted peer's X-Request-Id, else ours. */
struct str exchange_id(const struct exchange *x);

/* Sets it going, with the first n bytes of the request's body (decoded; last:
 * these are all), which are taken over. It may be over, and freed, on return
 * (ops->finish was then called): this holds for all functions below. */
void exchange_begin(struct exchange *x, const char *data, size_t n, bool last);

/* The next n bytes of the request's body, or of a tunnel, in worker->area with
 * its rooms. More only after want_body(). */
void exchange_body(struct exchange *x, char *data, size_t n, bool last);

/* The client will send nothing more through the tunnel, which goes on the other way. */
void exchange_tunnel_ended(struct exchange *x);

/* The client takes bytes again. all: it has all that it was given. */
void exchange_transport_writable(struct exchange *x, bool all);

/* The client went away, or broke its body (status != 0: tell it so). */
void exchange_abort(struct exchange *x, uint16_t status, const char *detail);

/* Ends it with an answer of our own, or, once an answer has begun, by cutting
 * that. error: an RFC 9209 type, NULL: the client's fault. */
void exchange_fail(struct exchange *x, uint16_t status, enum exchange_end end,
                   const char *error, const char *detail);

/* Ends it with this answer (worker/local_reply.c makes them). */
void exchange_reply(struct exchange *x, struct rewrite_own_info *info);

/* From worker/backends.c: a place may be free; try again. true: it left the
 * queue. */
bool exchange_retry_queued(struct exchange *x);

/* From worker/backends.c: its instance is down. Sends it to another one if no
 * byte of an answer came and that is safe (true); else it is left to its deadline. */
bool exchange_move(struct exchange *x);

/* The same for one that may not stay there: what cannot move ends, with 503 or, once an
 * answer has begun, cut. why: static text for the log. */
void exchange_expel(struct exchange *x, const char *why);

/* ---- between exchange.c, failure.c, response.c and upstream.c ---- */

/* OVER: neither the exchange nor the upstream may be touched any more. BLOCKED:
 * do not read on for now. */
enum exchange_flow { EXCHANGE_GO_ON, EXCHANGE_BLOCKED, EXCHANGE_OVER };

enum exchange_flow exchange_connected(struct exchange *x);
void exchange_connect_failed(struct exchange *x, int error);
/* The backend wants the body that it was told of, or does not say so in time. */
void exchange_continue(struct exchange *x);
/* All bytes given to upstream_send() are out. */
void exchange_upstream_writable(struct exchange *x);
enum exchange_flow exchange_response(struct exchange *x, char *data, size_t n);
/* End of input (error 0) or a broken connection. A tunnel goes on while the client sends. */
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
/* Since when the backend owes us something: a connection, room for the request's next
 * bytes, the first byte of its response (microseconds). 0: nothing, for example while the
 * client has yet to send its body. */
uint64_t exchange_owed_since(const struct exchange *x);
/* Has the backend waited for more of the body for EXCHANGE_BODY_OWED_MS, so that what it does
 * now is the client's doing? */
bool exchange_client_owes(const struct exchange *x);
/* Milliseconds that are left for the first byte of the answer to what is sent; 0: any. */
uint32_t exchange_time_left(const struct exchange *x);

/* A broken answer, of which nothing went to the client. */
void exchange_bad_response(struct exchange *x, const char *reason);
/* The answer ended too early; or stopped coming (timeout). */
void exchange_response_cut(struct exchange *x, bool timeout, const char *error,
                           const char *detail);
/* No byte of an answer came in time. */
void exchange_no_response(struct exchange *x, const char *error, const char *detail);
/* Could it be tried again elsewhere if this answer were cut? Worth holding it then. */
bool exchange_may_hold(const struct exchange *x);
/* Goes elsewhere instead of passing this answer on. false: it may not. */
bool exchange_refuse_response(struct exchange *x, unsigned status);

/* The whole answer went to the carrier. out: and to the client's socket. */
void exchange_complete(struct exchange *x, bool out);
/* Ends with an answer cut short. */
void exchange_cut(struct exchange *x, enum exchange_end end, const char *detail);
/* How long the backend, or a tunnel, may be silent; 0: for ever. */
uint32_t exchange_idle_ms(const struct exchange *x);
/* Arms the exchange's one deadline; 0: none. */
void exchange_arm(struct exchange *x, uint32_t ms);

#endif
