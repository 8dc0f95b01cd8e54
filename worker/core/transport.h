/* What lies between a client's connection and the exchanges that it carries.
 *
 *   conn/ (HTTP/1.1; later one transport per HTTP/2 stream)      proxy/ (exchanges)
 *                 |  -- struct request_ops: a request, its body, its end -->  |
 *                 |  <-- struct transport_ops: the response, and its end --   |
 *
 * Neither side includes the other: each calls the other by these, and both see struct
 * transport, which lies in the connection. A transport carries one exchange at a time. Worker
 * only. */
#ifndef WORKER_TRANSPORT_H
#define WORKER_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct exchange;
struct headers_own_info;
struct http_field;
struct http_head;
struct http_request;
struct peer;
struct transport;
struct upstream;
struct worker;

/* respond() and interim(): there is no room for this head, and nothing was sent. */
enum { TRANSPORT_HEAD_LARGE = -2 };

enum { PINS_MAX = 4 }; /* backends at which one client's connection can be authenticated */

/* Connections to backends that belong to one client's connection; zero is empty. Only
 * worker/upstream/pins.h knows what they are. */
struct pins {
    struct upstream *of[PINS_MAX]; /* no gaps, the oldest first; only idle ones */
};

/* Who ended an exchange; for the access log. */
enum exchange_end {
    EXCHANGE_END_WHOLE,
    EXCHANGE_END_CLIENT,  /* went away or broke the protocol */
    EXCHANGE_END_BACKEND, /* closed or broke the protocol */
    EXCHANGE_END_TIMEOUT, /* one of our deadlines passed */
    EXCHANGE_END_PROXY,   /* pasgate refused: no slot, no route, stopping */
};

/* The detail of an exchange that got no buffer. */
#define EXCHANGE_NO_MEMORY "no memory for another request (limits.memory)"

/* What an exchange needs from its transport. None of these calls back into the exchange: the
 * transport acts on them in its own turn. Bytes given to respond() and body() lie in
 * worker->relay_buffer with the headroom and tailroom of core.h around them, which the
 * transport may use. Results: 0 = all is out, go on; 1 = stop until writable(); 2 = some is
 * kept, go on; -1 = the client is gone; TRANSPORT_HEAD_LARGE. */
struct transport_ops {
    /* The most bytes that respond() and body() take at once: 1 to WORKER_BODY. */
    size_t piece;
    /* Head of the final response and its first n bytes; last: there are no more. Heads are
     * decided; the transport serialises them, and adds the framing and what it has to state
     * about its connection. */
    int (*respond)(struct transport *, const struct http_head *, char *data, size_t n,
                   bool last);
    int (*body)(struct transport *, char *data, size_t n, bool last);
    int (*interim)(struct transport *, const struct http_head *);
    /* A whole response made by pasgate. Its body may lie anywhere. */
    int (*own)(struct transport *, const struct http_head *, struct str body);
    /* From now on the exchange only waits for the client to read, and needs the head for its
     * log line alone: gives back memory that this head does not fill. true: request points
     * elsewhere now, as does all that it points to. NULL: there is nothing to give back. */
    bool (*shrink)(struct transport *);
    /* Asks for the (rest of the) request's body, or the tunnel's bytes. */
    void (*want_body)(struct transport *);
    /* The exchange is over and about to be freed; transport->exchange is to be NULL. whole: the
     * response was complete; otherwise the transport must not let the client believe that. */
    void (*finish)(struct transport *, bool whole);
};

/* What a transport tells the exchange (worker->requests). All but create(), hold(),
 * owes_body() and at_work() may end the exchange: on return it may be over, and finish() was
 * called. */
struct request_ops {
    /* Makes the exchange of transport->request, and sets transport->exchange. false: no
     * memory. */
    bool (*create)(struct worker *, struct transport *);
    /* Starts it with the first n bytes of the request's body (decoded; last: these are all),
     * which it copies. */
    void (*begin)(struct exchange *, const char *data, size_t n, bool last);
    /* The next n bytes of the request's body, or of a tunnel, in worker->relay_buffer with
     * headroom and tailroom. More only after want_body(). */
    void (*body)(struct exchange *, char *data, size_t n, bool last);
    /* The client sends nothing more through the tunnel, whose other direction goes on. */
    void (*tunnel_ended)(struct exchange *);
    /* The client accepts bytes again. all: it has everything that it was given. */
    void (*writable)(struct exchange *, bool all);
    /* The client went away, or its body is malformed (status != 0: send that status to it). */
    void (*abort)(struct exchange *, uint16_t status, const char *detail);
    /* Ends it with a response that is cut short. */
    void (*cut)(struct exchange *, enum exchange_end, const char *detail);
    /* The transport got no memory for it: 503. n: bytes of its body that were there. */
    void (*no_memory)(struct exchange *, size_t n);
    /* The transport needs memory for it: it is not the one to make room (end_slow_body). */
    void (*hold)(struct exchange *);
    /* Does it hold a slot that others could use, while no byte of the announced body has come
     * ("Expect: 100-continue")? */
    bool (*owes_body)(const struct exchange *);
    /* Is a backend at work on it, which has the whole request and sent nothing yet? That goes
     * on whether anybody waits for the response or not. */
    bool (*at_work)(const struct exchange *);
    /* Counts and logs a request that never became an exchange: its head could not be parsed, or
     * it got no memory. info: of the response, which was made. in: bytes received; out: bytes
     * of our response; body: the part of these that is its body. */
    void (*refused)(struct worker *, const struct peer *, const struct headers_own_info *,
                    const char *detail, size_t in, size_t out, size_t body);
    /* The client's connection ends: so do the connections to backends that belong to it. */
    void (*client_gone)(struct pins *);
};

/* Embedded in the client's connection. Its owner fills in ops and peer, and before create()
 * request and begin_us. */
struct transport {
    const struct transport_ops *ops;
    const struct peer *peer;            /* facts about the client */
    const struct http_request *request; /* valid until finish() */
    struct exchange *exchange;          /* NULL: none runs */
    struct pins pins;                   /* of this connection, over all of its exchanges */
    uint32_t stream;                    /* of HTTP/2; 0: another protocol */
    uint64_t begin_us;                  /* first byte of the request's head */
    uint64_t wire_in, wire_out;         /* plaintext of this exchange: heads, framing, bodies */
    /* Deadlines of the exchange's route, or the global ones before it has a route (ms). */
    uint32_t body_ms, send_ms;
    /* Trailers for the client, [ntrailers]; set before the last bytes of the body. */
    const struct http_field *trailers;
    size_t ntrailers;
};

#endif
