/* Candidates: when acmed names this worker as the prover of a certificate that is not live yet,
 * it is loaded and tried (worker/tls/selftest.h), a few handshakes per turn of the loop, so
 * that nobody waits. What was found goes to cert_proof of our row, and acmed's bell is rung.
 * One at a time. Worker only. */
#ifndef WORKER_CERT_CANARY_H
#define WORKER_CERT_CANARY_H

struct worker;

enum { CERT_CANARY_TURN_US = 2000 }; /* longest in one turn, by more than one handshake */

/* Looks at the rows and begins what is asked of us; to be called when the doorbell rang. */
void cert_canary_look(struct worker *worker);
/* Drops what is under way. */
void cert_canary_end(void);

#endif
