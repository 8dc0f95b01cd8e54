/* The self-test of a candidate: before all workers load a new generation of a certificate, one
 * running worker tests it in handshakes with itself (worker/cert_canary.h). Decides which
 * worker is asked, and what its finding means.
 *
 * A negative finding is accepted when a second worker, if there is one, confirms it. If the
 * worker crashes or does not report in time, another one is asked. Two crashes with the same
 * candidate mean that it is bad. While no worker runs, the candidate waits, unless nothing is
 * live. acmed only; reads the table and writes nothing. */
#ifndef ACMED_NET_PROOF_H
#define ACMED_NET_PROOF_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/certs.h"
#include "shm/heritage.h"

struct conf_cert;

enum {
    PROOF_REPLY_MS = 20000, /* enough for a hundred names with RSA-4096 on a busy machine */
    PROOF_DEATHS = 2,
};

struct proof {
    uint32_t candidate; /* generation; 0: none is being tested */
    int row;            /* of the worker asked; -1: none yet */
    uint32_t incarnation;
    uint64_t until_ms; /* deadline for its report */
    unsigned deaths;   /* crashes of workers that were asked */
    bool doubted;      /* one worker found it bad; a second one was asked */
};

enum proof_news {
    PROOF_WAITS,
    PROOF_ASKS, /* a worker was chosen: publish its row, and ring its doorbell */
    PROOF_DONE, /* *finding holds the result */
    PROOF_DIES, /* workers crashed while testing it */
    PROOF_NONE, /* no worker is running yet */
};

/* Whether any listener uses TLS; otherwise no test is needed. */
bool proof_needed(const struct heritage *heritage);

/* Begins with this generation; the first proof_look() chooses a worker. */
void proof_begin(struct proof *proof, uint32_t candidate);
enum proof_news proof_look(struct proof *proof, const struct heritage *heritage,
                           uint32_t cert_index, uint64_t now_ms, struct cert_finding *finding);

/* The candidate was found bad, perhaps only because that worker ran out of descriptors. true: a
 * second worker is asked; false: there is none, or this was the second one. */
bool proof_doubt(struct proof *proof, const struct heritage *heritage, uint64_t now_ms);

/* Whether the candidate may go live with this finding. lenient: the operator configured this
 * very pair, so unusual dates, names or chain are accepted, but handshakes must work. Pure. */
bool proof_takes(const struct cert_finding *finding, bool lenient);
/* The finding in plain words; "" if good. reason: of a failed handshake (pem_tls_reason());
 * NULL: only the log tells it. Pure. */
void proof_text(const struct cert_finding *finding, const struct conf_cert *cert,
                const char *reason, char out[TABLE_REASON]);

#endif
