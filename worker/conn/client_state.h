/* The state of a client's connection: shared by client.c (its life), client_step.c (its reading
 * side) and client_write.c (its responses). Worker only. */
#ifndef WORKER_CLIENT_STATE_H
#define WORKER_CLIENT_STATE_H

#include "base/loop.h"
#include "shm/handshake.h"
#include "worker/conn/pace.h"
#include "worker/conn/stream.h"
#include "worker/core/peer.h"
#include "worker/core/transport.h"
#include "worker/http/h1.h"

struct head_buffer;

enum client_state {
    CLIENT_HANDSHAKE,
    CLIENT_IDLE,     /* between two requests: holds no memory but this struct */
    CLIENT_HEAD,     /* a head is arriving */
    CLIENT_EXCHANGE, /* an exchange runs, or its last bytes leave */
    CLIENT_LINGER,   /* the last response was sent; waits until the client has read it */
    CLIENT_CLOSED,   /* freed at the end of its turn */
};

struct client {
    struct loop_source source;
    struct loop_timer timer;
    struct loop_link link; /* in worker->all_clients */
    /* In the list of the worker that its state says (client_settle()), or always in
     * worker->status_clients; next NULL: in none. */
    struct loop_link idle;
    struct loop_link *listed; /* the list that it is in; NULL: none, or status_clients */
    struct client *run_next;
    struct worker *worker;
    struct stream stream;
    struct head_buffer *head_buffer; /* head of the running request and what followed it */
    struct head_buffer *next;        /* what came behind a chunked body: the next request */
    struct transport transport; /* of the running exchange, and of what it leaves to be sent */
    size_t used;                /* bytes of head_buffer that belong to the running request */
    uint64_t head_us;           /* when the first byte of the head came; 0: none yet */
    uint64_t body_left;         /* body with a Content-Length: bytes still to be read */
    struct h1_chunked chunks;
    struct pace sends, reads; /* how slow it is with the running request, and its response */
    size_t waiting;           /* bytes that wait for its socket; part of worker->waiting */
    uint64_t handed, taken; /* at the last check: bytes that the socket has taken, and that the
                               client has acknowledged */
    uint8_t state;          /* enum client_state */
    uint8_t body;           /* enum http_body of the running request */
    uint8_t minor;          /* of the running request */
    bool scheduled;
    bool runs;      /* its steps are at work: it is not ended from outside */
    bool broken;    /* the socket is dead both ways */
    bool keep;      /* the connection goes on after this exchange */
    bool cut;       /* the response is incomplete: make the client notice */
    bool body_done; /* the request's body, or the tunnel, was read to its end */
    bool want_body; /* the exchange accepts more of it */
    bool expect;    /* 100 Continue is still owed */
    bool writing;   /* bytes wait for the socket */
    bool chunked;   /* the response goes out in chunks */
    bool tunnel;    /* after 101 */
    bool end_due;   /* a tunnel that the backend has ended: FIN is due behind what waits */
    bool ended;     /* FIN was sent; the client may go on sending */
    bool probed;    /* it half-closed, and was probed (stream_half_closed()) */
    struct peer peer;
};

/* How long the first byte of a body may take after 100 Continue, while its request holds a slot
 * that others could use. A client that waited for permission has the body ready. */
enum { CLIENT_BODY_BEGIN_MS = 3000 };

extern const struct transport_ops client_ops;

/* Puts it into the run list. */
void client_schedule(struct client *client);

/* Arms the connection's only deadline, whose meaning follows from its state; 0: none. */
void client_arm(struct client *client, uint32_t ms);

/* The same with the time of its state: HANDSHAKE, IDLE or HEAD. While the worker drains, at
 * most WORKER_DRAIN_IDLE_MS. */
void client_arm_wait(struct client *client);

/* Is it one of a status listener? Those have connections and memory of their own. */
bool client_of_status(const struct client *client);

/* It has sent a whole request: of the clients of status listeners, it is closed last. */
void client_asked(struct client *client);

/* Puts it at the end of the list that its state says, if it is not in it. */
void client_settle(struct client *client);
/* Puts it at the end of this list of its worker; NULL: takes it out of the one that it is in.
 */
void client_listed(struct client *client, struct loop_link *list);

/* Sets how many bytes wait for its socket. */
void client_waits(struct client *client, size_t waiting);

/* Nothing waits any more. */
void client_flushed(struct client *client);

/* Is there room to keep more of a response, so that the backend need not wait for it? */
bool client_has_room(const struct client *client);

/* Its deadline has passed while bytes wait for it. A client that reads gets more time (NULL);
 * otherwise the text says what is wrong. */
const char *client_late(struct client *client);

/* Milliseconds left for the first byte of a body that has its 100 Continue and its slot;
 * UINT32_MAX: not such a body. */
uint32_t client_begin_left(const struct client *client);

/* Runs one step of its state. true: the next one can run at once. */
bool client_step(struct client *client);

/* Responds to a request that was not understood (an http1_error), then lingers. */
void client_refuse_head(struct client *client, int error);
void client_refuse(struct client *client, uint16_t status, const char *detail);

/* Counts and logs a failed handshake, and ends the connection. A client that sent HTTP without
 * TLS gets a 400 in plain text first. */
void client_handshake_failed(struct client *client, enum handshake_failure failure,
                             const char *why);

/* Ends our side of a tunnel as soon as nothing waits any more. */
void client_end_output(struct client *client);

/* Sends 100 Continue, if it is owed. -1: the client is gone. */
int client_continue(struct client *client);

/* Puts it at the end of a list of the worker, or takes it out of the one that it is in. */
void client_append(struct loop_link *list, struct loop_link *link);
void client_take_out(struct loop_link *link);

#endif
