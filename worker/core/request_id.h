/* Ids of requests, for logs and other systems (X-Request-Id). Worker only. */
#ifndef WORKER_REQUEST_ID_H
#define WORKER_REQUEST_ID_H

struct worker;

/* 32 hex digits that cannot be guessed from other ids. */
void request_id_make(struct worker *worker, char out[32]);

#endif
