/* Boxes: the blocks that hold a head while its exchange runs. An idle
 * connection has none. Worker only. */
#ifndef WORKER_BOX_H
#define WORKER_BOX_H

#include <stddef.h>

#include "worker/http.h"
#include "worker/http1.h"

struct worker;

/* Bytes as they came, with the head parsed from them. The slices of the parsed
 * head point into `bytes`. */
struct inbox {
    union {
        struct http_request request;
        struct http_response response;
    } head;
    struct http1_scan scan;
    size_t n, cap;
    char bytes[];
};

/* NULL: no memory. room: bytes wanted; WORKER_INBOX is the pooled size. */
struct inbox *inbox_new(struct worker *worker, size_t room);
/* A larger one with the same content; the old one is freed, also on failure. */
struct inbox *inbox_grow(struct worker *worker, struct inbox *inbox, size_t room);
void inbox_free(struct worker *worker, struct inbox *inbox);

/* The rewritten head for the backend, with the first of the body behind it: kept
 * until the answer begins, so that it can be sent again. */
struct outbox {
    size_t n, cap;
    char bytes[];
};

struct outbox *outbox_new(struct worker *worker, size_t room);
void outbox_free(struct worker *worker, struct outbox *outbox);

#endif
