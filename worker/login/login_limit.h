/* How often one address may be wrong: the passwords of a client that guesses are not verified
 * any more. IPv6 addresses count by /64, which is what one client has. Worker only, pure. */
#ifndef WORKER_LOGIN_LIMIT_H
#define WORKER_LOGIN_LIMIT_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/siphash.h"

enum {
    LOGIN_FAILURES = 10,     /* wrong passwords in a window */
    LOGIN_WINDOW_MS = 60000, /* it begins with the first of them */
    LOGIN_LIMIT_SETS = 512,  /* a power of two */
    LOGIN_LIMIT_WAYS = 4,    /* addresses of one hash; the oldest window gives way */
};

struct login_limit {
    struct siphash_key key; /* random */
    struct {
        uint64_t who, since_ms; /* since_ms 0: free */
        uint32_t failures;
    } at[LOGIN_LIMIT_SETS][LOGIN_LIMIT_WAYS];
};

/* Stands for the address; for the functions below. */
uint64_t login_limit_who(const struct login_limit *, const struct sockaddr *);

/* Milliseconds until it may try again; 0: now. */
uint64_t login_limit_left(const struct login_limit *, uint64_t who, uint64_t now_ms);

/* Its password was wrong. now_ms > 0. */
void login_limit_failed(struct login_limit *, uint64_t who, uint64_t now_ms);

#endif
