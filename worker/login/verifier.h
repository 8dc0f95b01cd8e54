/* The process that verifies passwords, one for each worker that needs it: one password takes 50
 * to 300 ms of CPU, in which a worker would serve nobody. It alone has the hashes of the users;
 * it has no network, no files and no other secrets.
 *
 *   worker  --{id, set, name, password}-->  verifier (one at a time)
 *           <--{id, right or wrong}------
 *                      its keeper starts another one if it crashes
 *
 * Both end when the worker does. Started before the worker is confined and forgets the secrets.
 */
#ifndef WORKER_VERIFIER_H
#define WORKER_VERIFIER_H

#include <stdint.h>

#include "worker/http/basic.h"

struct conf;

struct verifier_question {
    uint64_t id;
    uint32_t set; /* index of the route whose users are meant */
    uint16_t user_n, password_n;
    char bytes[BASIC_MAX]; /* name, then password */
};

struct verifier_answer {
    uint64_t id;
    uint32_t right; /* 0 or 1 */
};

/* Starts it if a route of conf has users. -1 with errno: it could not. */
int verifier_start(const struct conf *conf);

/* The worker's end of its socket (SOCK_SEQPACKET, non-blocking), once; -1: there is none. */
int verifier_take(void);

#endif
