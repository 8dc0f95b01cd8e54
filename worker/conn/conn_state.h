/* The state of a client's connection, for the files of worker/conn: conn*.c have what every
 * protocol needs, and call struct protocol; h1*.c are HTTP/1.1. Worker only. */
#ifndef WORKER_CONN_STATE_H
#define WORKER_CONN_STATE_H

#include "base/loop.h"
#include "shm/handshake.h"
#include "worker/conn/h1.h"
#include "worker/conn/h2.h"
#include "worker/conn/pace.h"
#include "worker/conn/stream.h"
#include "worker/core/peer.h"
#include "worker/core/transport.h"

enum conn_state {
    CONN_PROXY, /* a PROXY header comes before everything else */
    CONN_HANDSHAKE,
    CONN_IDLE,     /* between two requests: holds no memory but this struct */
    CONN_HEAD,     /* a head is arriving */
    CONN_EXCHANGE, /* an exchange runs, or its last bytes leave */
    CONN_LINGER,   /* the last response was sent; waits until the client has read it */
    CONN_CLOSED,   /* freed at the end of its turn */
};

/* What a protocol does with its connection. */
struct protocol {
    /* What takes over after the handshake if ALPN chose HTTP/2. */
    const struct protocol *h2;
    void (*init)(struct conn *);
    /* One step in IDLE, HEAD or EXCHANGE. true: the next one can run at once. */
    bool (*step)(struct conn *);
    /* The socket takes bytes again. all: it has taken all that was kept. */
    void (*writable)(struct conn *, bool all);
    /* The deadline has passed in HEAD or EXCHANGE, and nothing waits for the socket. */
    void (*late)(struct conn *);
    /* Ends each exchange with a response that is cut short. true: there was one. */
    bool (*cut)(struct conn *, enum exchange_end, const char *why);
    /* Closes it politely while it is idle: the client learns that no request was lost. */
    void (*close)(struct conn *);
    /* The worker drains: the client is to be told to send no more requests here. */
    void (*drain)(struct conn *);
    /* HEAD: refuses the head that has not come to its end, and gives up its memory. */
    void (*drop_head)(struct conn *, const char *why);
    /* How long the client may take no bytes (ms). */
    uint32_t (*send_ms)(const struct conn *);
    /* Frees what it has; no exchange runs. */
    void (*release)(struct conn *);
};

struct conn {
    struct loop_source source;
    struct loop_timer timer;
    struct loop_link link; /* in worker->all_conns */
    /* In the list of the worker that its state says (conn_settle()), or always in
     * worker->status_conns; next NULL: in none. */
    struct loop_link idle;
    struct loop_link *listed; /* the list that it is in; NULL: none, or status_conns */
    struct conn *run_next;
    struct worker *worker;
    struct stream stream;
    const struct protocol *protocol;
    uint64_t head_us;         /* when the first byte of the head came; 0: none yet */
    struct pace sends, reads; /* how slow it is with the running request, and its response */
    size_t waiting;           /* bytes that wait for its socket; part of worker->waiting */
    size_t held;            /* those that its protocol keeps, for the same reason; also part */
    uint64_t handed, taken; /* at the last check: bytes that the socket has taken, and that the
                               client has acknowledged */
    uint8_t state;          /* enum conn_state */
    bool scheduled;
    bool runs;    /* its steps are at work: it is not ended from outside */
    bool broken;  /* the socket is dead both ways */
    bool cut;     /* the response is incomplete: make the client notice */
    bool writing; /* bytes wait for the socket */
    bool tunnel;  /* after 101: nothing is kept for it beyond what it was given */
    bool end_due; /* a tunnel that the backend has ended: FIN is due behind what waits */
    bool ended;   /* FIN was sent; the client may go on sending */
    bool probed;  /* it half-closed, and was probed (stream_half_closed()) */
    struct peer peer;
    struct h1 h1;
    struct h2 *h2; /* NULL: it speaks HTTP/1.1 */
};

/* Its client broke the protocol, or stopped in the middle (limits.per_client.offences). */
void conn_offend(struct conn *conn);

/* Puts it into the run list. */
void conn_schedule(struct conn *conn);

/* Arms the connection's only deadline, whose meaning follows from its state; 0: none. */
void conn_arm(struct conn *conn, uint32_t ms);

/* The same with the time of its state: HANDSHAKE, IDLE or HEAD. While the worker drains, at
 * most WORKER_DRAIN_IDLE_MS. */
void conn_arm_wait(struct conn *conn);

/* Is it one of a status listener? Those have connections and memory of their own. */
bool conn_of_status(const struct conn *conn);

/* It has sent a whole request: of the clients of status listeners, it is closed last. */
void conn_asked(struct conn *conn);

/* Puts it at the end of the list that its state says, if it is not in it. */
void conn_settle(struct conn *conn);
/* Puts it at the end of this list of its worker; NULL: takes it out of the one that it is in.
 */
void conn_listed(struct conn *conn, struct loop_link *list);

/* Sets how many bytes wait for its socket. */
void conn_waits(struct conn *conn, size_t waiting);

/* Sets how many bytes its protocol keeps for it. */
void conn_holds(struct conn *conn, size_t held);

/* Nothing waits any more. */
void conn_flushed(struct conn *conn);

/* Is there room to keep more of a response, so that the backend need not wait for it? */
bool conn_has_room(const struct conn *conn);

/* Its deadline has passed while bytes wait for it. A client that reads gets more time (NULL);
 * otherwise the text says what is wrong. */
const char *conn_late(struct conn *conn);

/* By the address of the client itself, by the list of its listener, then by the limits per
 * client (worker/core/clients.h): what a trusted peer reports about its clients comes with each
 * request (proxy/permit.h). A refusal (false) is counted and logged. */
bool conn_admits(struct conn *conn);

/* Does a connection from there begin with a PROXY header? */
bool conn_proxied(const struct conf_listen *listen, const struct sockaddr *from);
/* The step of CONN_PROXY; and the end of one whose header is malformed or late. */
bool conn_proxy_step(struct conn *conn);
void conn_proxy_failed(struct conn *conn, const char *why);

/* Runs one step of its state. true: the next one can run at once. */
bool conn_step(struct conn *conn);

/* Counts and logs a failed handshake, and ends the connection. A client that sent HTTP without
 * TLS gets a 400 in plain text first. */
void conn_handshake_failed(struct conn *conn, enum handshake_failure failure, const char *why);

/* The response was cut short. A client for which the close marks the end (HTTP/1.0) would take
 * FIN for a complete response, so it gets a reset. */
void conn_close_hard(struct conn *conn);

/* Closes it behind the last response. Unread bytes of the client (unread: more may come) would
 * turn the close into a reset, which could overtake the response, so they are read for a
 * while. */
void conn_close_politely(struct conn *conn, bool unread);

/* The end: nothing more is sent. FIN would make a partial response look complete. */
void conn_close_now(struct conn *conn, enum exchange_end end, const char *why);

/* FIN behind a whole request may close one direction or both. The response is sent, and the
 * client is probed, so that an abandoned request ends as soon as it is known to be
 * abandoned. */
void conn_half_closed(struct conn *conn);

/* One write. What the socket does not take waits, and the deadline is armed. closing: nothing
 * follows on this connection. Results as in struct transport_ops. */
int conn_put(struct conn *conn, const char *bytes, size_t n, bool closing);

/* Ends our side of a tunnel as soon as nothing waits any more. */
void conn_end_output(struct conn *conn);

/* Puts it at the end of a list of the worker, or takes it out of the one that it is in. */
void conn_append(struct loop_link *list, struct loop_link *link);
void conn_take_out(struct loop_link *link);

#endif
