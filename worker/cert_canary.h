/* Certificate candidates: when acmed names this worker to test a certificate that is not live
 * yet, the worker loads it and runs self-tests (worker/tls/selftest.h), a few handshakes per
 * turn of the loop, so that clients do not wait. The result goes to cert_proof of our row, and
 * acmed's doorbell is rung. One candidate at a time. Worker only. */
#ifndef WORKER_CERT_CANARY_H
#define WORKER_CERT_CANARY_H

struct worker;

enum { CERT_CANARY_TURN_US = 2000 }; /* maximum of one turn, give or take a handshake */

/* Checks the rows and starts a requested test; called when the doorbell rings. */
void cert_canary_look(struct worker *worker);
/* Drops a test in progress. */
void cert_canary_end(void);

#endif
