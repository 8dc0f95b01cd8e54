/* The inside of a client's connection: shared by client.c (its life and its
 * reading side) and client_write.c (its answers). Worker only. */
#ifndef WORKER_CLIENT_STATE_H
#define WORKER_CLIENT_STATE_H

#include "base/loop.h"
#include "worker/exchange.h"
#include "worker/http1.h"
#include "worker/peer.h"
#include "worker/stream.h"

struct inbox;

enum client_state {
    CLIENT_HANDSHAKE,
    CLIENT_IDLE,     /* between two requests: holds no memory but this struct */
    CLIENT_HEAD,     /* a head is coming */
    CLIENT_EXCHANGE, /* an exchange runs, or its last bytes leave */
    CLIENT_LINGER,   /* we said the last word and wait until the client read it */
    CLIENT_CLOSED,   /* freed as soon as its turn ends */
};

struct client {
    struct loop_source source;
    struct loop_timer timer;
    struct loop_link link; /* in worker->all_clients */
    struct client *run_next;
    struct worker *worker;
    struct stream stream;
    struct inbox *inbox; /* the head of the running request and what followed it */
    struct inbox *next;  /* what came behind a chunked body: the next request */
    struct exchange *exchange;
    size_t used;        /* bytes of inbox that belong to the running request */
    uint64_t head_us;   /* first byte of the head came; 0: none yet */
    uint64_t body_left; /* request body by length: still to be read */
    struct http1_chunked chunks;
    uint8_t state;         /* enum client_state */
    uint8_t body;          /* enum http_body of the running request */
    uint8_t method, minor; /* of the running request */
    bool scheduled;
    bool broken;    /* the socket is dead both ways */
    bool keep;      /* the connection goes on after this exchange */
    bool cut;       /* the answer is incomplete: make the client see it */
    bool body_done; /* the request's body was read to its end */
    bool want_body; /* the exchange takes more of it */
    bool expect;    /* 100 Continue is still owed */
    bool writing;   /* bytes wait for the socket */
    bool chunked;   /* the answer goes out in chunks */
    bool tunnel;    /* after 101 */
    struct peer peer;
};

extern const struct carrier_ops client_ops;

/* Puts it into the run list. */
void client_schedule(struct client *client);

/* Arms the connection's one deadline, whose meaning follows from its state; 0:
 * none. */
void client_arm(struct client *client, uint32_t ms);

/* One step of its state. true: the next one can be taken at once. */
bool client_step(struct client *client);

/* Answers a request that was not understood (an http1_error), then lingers. */
void client_refuse_head(struct client *client, int error);
void client_refuse(struct client *client, uint16_t status, const char *detail);

/* 100 Continue, if it is owed. -1: the client is gone. */
int client_continue(struct client *client);

#endif
