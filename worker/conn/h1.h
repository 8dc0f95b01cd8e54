/* HTTP/1.1 on a client's connection: the transport of its exchanges, one after the other.
 *
 * h1.c reads heads (h1_head.c), h1_body.c bodies, h1_send.c writes responses. Worker only. */
#ifndef WORKER_CONN_H1_H
#define WORKER_CONN_H1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/core/transport.h"
#include "worker/http/h1.h"

struct conn;
struct head_buffer;
struct protocol;

/* Its part of struct conn. */
struct h1 {
    struct head_buffer *head_buffer; /* head of the running request and what followed it */
    struct head_buffer *next;        /* what came behind a chunked body: the next request */
    struct transport transport; /* of the running exchange, and of what it leaves to be sent */
    size_t used;                /* bytes of head_buffer that belong to the running request */
    uint64_t body_left;         /* body with a Content-Length: bytes still to be read */
    struct h1_chunked chunks;
    uint8_t body;   /* enum http_body of the running request */
    uint8_t minor;  /* of the running request */
    bool keep;      /* the connection goes on after this exchange */
    bool body_done; /* the request's body, or the tunnel, was read to its end */
    bool want_body; /* the exchange accepts more of it */
    bool expect;    /* 100 Continue is still owed */
    bool chunked;   /* the response goes out in chunks */
};

/* How long the first byte of a body may take after 100 Continue, while its request holds a slot
 * that others could use. A client that waited for permission has the body ready. */
enum { H1_BODY_BEGIN_MS = 3000 };

extern const struct protocol h1_protocol;
extern const struct transport_ops h1_ops;

/* Responds to a request that was not understood (an http1_error), then lingers. */
void h1_refuse_head(struct conn *conn, int error);
void h1_refuse(struct conn *conn, uint16_t status, const char *detail);
/* To a client that speaks HTTP where TLS is required. */
void h1_refuse_plain_http(struct conn *conn);

/* Finds how many of the bytes behind the head are its body, and decodes them in place. 0, or an
 * error (negated). */
int h1_first_body(struct conn *conn, const struct http_request *request, size_t head,
                  size_t *n);

/* Parses what is in the buffer: as h1_request_parse(). */
ssize_t h1_head_parse(const struct conn *conn, struct head_buffer *buffer);
/* The running request needs its head only for the log, and its body not at all: gives back what
 * these do not fill. true: transport.request lies elsewhere now. */
bool h1_head_shrink(struct transport *transport);

/* Read more of the running request: its body, or bytes of its tunnel, first those that came
 * with the head. true: the next step can run at once. */
bool h1_read_body(struct conn *conn);
bool h1_read_tunnel(struct conn *conn);

/* Its body did not come in time: 408. */
void h1_cut_sender(struct conn *conn);

/* Sends 100 Continue, if it is owed. -1: the client is gone. */
int h1_continue(struct conn *conn);

#endif
