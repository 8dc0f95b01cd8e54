/* Logins by HTTP Basic: is this password right? Verified by another process (verifier.h); what
 * was right is remembered for a while (login_cache.h), and who is wrong too often is not
 * verified (login_limit.h). Worker only; one thread. */
#ifndef WORKER_LOGIN_H
#define WORKER_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct conf_route;
struct login;
struct login_wait;
struct sockaddr;
struct worker;

enum {
    LOGIN_WAITS = 128,    /* requests that wait for the verifier; more get 503 */
    LOGIN_WAITS_OF = 32,  /* of these, those of one address */
    LOGIN_WAIT_MS = 20000 /* how long one waits */
};

enum login_result {
    LOGIN_RIGHT,
    LOGIN_WRONG,
    LOGIN_WAITING,
    LOGIN_LIMITED, /* too many wrong ones from that address: see login_retry_s() */
    LOGIN_BUSY,    /* too many wait, or the verifier does not respond */
};

/* Sets worker->login, if this worker has a verifier. 0, or -1: no memory. */
int login_init(struct worker *worker);

/* A question about a user of the route. WAITING: *wait is set, and login_ended is called from
 * the loop with the result, unless login_cancel() is called before. */
enum login_result login_check(struct worker *worker, const struct conf_route *route,
                              const struct sockaddr *client, struct str user,
                              struct str password, void *owner, struct login_wait **wait);

/* The owner is gone. NULL is allowed. */
void login_cancel(struct login_wait *wait);

/* Seconds until that address may try again. */
uint32_t login_retry_s(const struct worker *worker, const struct sockaddr *client);

/* Once a second: those that have waited for too long. */
void login_tick(struct worker *worker);

#endif
