/* The proof of a candidate: one running worker is asked to use it in handshakes with itself
 * (worker/cert_canary.h), before all workers get it. Here is who is asked, and what an answer
 * means.
 *
 * One that finds it bad is believed when another one, if there is any, finds the same. A prover
 * that dies, or does not answer in time, is followed by another one. Two that died
 * over the same candidate are enough: it is bad. While no worker runs, nobody can be asked: a
 * candidate waits, unless nothing at all is live. acmed only; it reads the table, and writes
 * nothing. */
#ifndef ACMED_NET_PROOF_H
#define ACMED_NET_PROOF_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/certs.h"
#include "shm/heritage.h"

struct conf_cert;

enum {
    PROOF_REPLY_MS = 20000, /* a hundred names under RSA-4096, on a busy machine */
    PROOF_DEATHS = 2,
};

struct proof {
    uint32_t candidate; /* generation; 0: none is being proved */
    int row;            /* of the prover; -1: none yet */
    uint32_t incarnation;
    uint64_t until_ms; /* it has time */
    unsigned deaths;   /* of provers */
    bool doubted;      /* one found it bad; another one was asked */
};

enum proof_news {
    PROOF_WAITS,
    PROOF_ASKS, /* another prover: publish its row, and ring it */
    PROOF_DONE, /* *finding tells */
    PROOF_DIES, /* provers died over it */
    PROOF_NONE, /* nobody is there to prove it, yet */
};

/* Whether certificates are served at all, so that one could be bad for somebody. */
bool proof_needed(const struct heritage *heritage);

/* Begins with this generation; the first proof_look() asks somebody. */
void proof_begin(struct proof *proof, uint32_t candidate);
enum proof_news proof_look(struct proof *proof, const struct heritage *heritage,
                           uint32_t cert_index, uint64_t now_ms, struct cert_finding *finding);

/* It was found bad: maybe that worker has no descriptors left. true: another one is asked;
 * false: there is none, or it was the second. */
bool proof_doubt(struct proof *proof, const struct heritage *heritage, uint64_t now_ms);

/* Whether it may go live with this finding. lenient: the operator gave us this very pair, and
 * what is odd about it (dates, names, chain) is his business, but it has to work. Pure. */
bool proof_takes(const struct cert_finding *finding, bool lenient);
/* The finding in plain words; "" for a good one. Pure. */
void proof_text(const struct cert_finding *finding, const struct conf_cert *cert,
                char out[TABLE_REASON]);

#endif
