/* Buffers that hold a head while its exchange runs. An idle connection has none. Worker
 * only. */
#ifndef WORKER_BUFFERS_H
#define WORKER_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/http/h1.h"
#include "worker/http/http.h"

struct client;
struct worker;

/* Bytes as they came, with the head parsed from them. The slices of the parsed head point into
 * `bytes`. */
struct head_buffer {
    union {
        struct http_request request;
        struct http_response response;
    } head;
    struct h1_scan scan;
    struct client *client; /* whose it is; NULL: nobody's */
    size_t n, cap;
    bool apart; /* not counted in limits.memory */
    char bytes[];
};

/* NULL: no memory. room: bytes wanted; WORKER_HEAD_BUFFER is the pooled size. */
struct head_buffer *head_buffer_new(struct worker *worker, size_t room);
/* One that limits.memory does not count: for a head at a status listener, whose clients are
 * few, for one that is refused at once, and until the first bytes come. */
struct head_buffer *head_buffer_new_apart(struct worker *worker, size_t room);
/* From now on limits.memory counts it. false: no memory is left; it stays apart. */
bool head_buffer_claim(struct worker *worker, struct head_buffer *head_buffer);
/* Its bytes count as this client's (worker/core/clients.h) until it is freed. Once, for one
 * that limits.memory counts; NULL: nothing to do. */
void head_buffer_charge(struct head_buffer *head_buffer, struct client *client);
/* A larger one with the same content; the old one is freed, also on failure. */
struct head_buffer *head_buffer_grow(struct worker *worker, struct head_buffer *head_buffer,
                                     size_t room);
/* A small one, filled with the first n bytes of another one and `more` bytes of that behind
 * `from`; they are still to be parsed. NULL: no memory, or it would save little. */
struct head_buffer *head_buffer_part(struct worker *worker, const struct head_buffer *buffer,
                                     size_t n, size_t from, size_t more);
void head_buffer_free(struct worker *worker, struct head_buffer *head_buffer);

/* The forwarded head for the backend, followed by the first part of the body. Kept until the
 * response begins, so that it can be sent again. */
struct request_buffer {
    struct client *client; /* whose it is; NULL: nobody's */
    size_t n, cap;
    char bytes[];
};

struct request_buffer *request_buffer_new(struct worker *worker, size_t room);
/* As for a head. */
void request_buffer_charge(struct request_buffer *request_buffer, struct client *client);
/* A larger one with the same content; the old one is freed, also on failure (NULL). */
struct request_buffer *request_buffer_grow(struct worker *worker,
                                           struct request_buffer *request_buffer, size_t room);
void request_buffer_free(struct worker *worker, struct request_buffer *request_buffer);

#endif
