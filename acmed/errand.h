/* What the operator asks of the CA apart from an order: to revoke a certificate, to give the
 * account another key, to close it. One job (job.h) each, for the keeper by whose row the
 * operator is answered. acmed only.
 *
 * The new key of an account is on disk, as accounts/CA/next.pem, before the CA hears of it, and
 * takes the old one's place when the CA has taken it. Who finds next.pem there asks the CA
 * whose key it is: the reply may have been lost, or acmed killed. Nothing is ordered until that
 * is known; so errands about the account take all places of the issuer. */
#ifndef ACMED_ERRAND_H
#define ACMED_ERRAND_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/issuer.h"
#include "acmed/store.h"

enum {
    ERRAND_RUN_MS = 2 * 60 * 1000, /* of one: a handful of requests */
    ERRAND_WAIT_MS = 60 * 1000,    /* for other conversations to end */
    ERRAND_AGAIN_MS = 60 * 1000,   /* to ask whose key next.pem is */
};

struct errand {
    struct issuer *issuer; /* while it runs */
    struct ca *ca;
    struct job_run *run; /* NULL: none */
    enum job_kind kind;
    uint32_t places; /* of the issuer's runs that it has taken */
    bool settles;    /* JOB_ACCOUNT: finds out whose key next.pem is */
    bool by_key;     /* JOB_REVOKE: signed by the certificate's own key */
    struct pem_pair pair;
    uint32_t generation; /* of the pair */
    unsigned reason;
    char *next; /* the account's next key: PEM, a secret (secret.h) */
    size_t n_next;
    char error[TABLE_REASON]; /* of a rollover that is being settled */
};

enum errand_news { ERRAND_NOTHING, ERRAND_DONE, ERRAND_FAILED };

/* Why not, when it may be later: other conversations are under way. */
extern const char errand_busy[];

/* Begin. NULL: it runs; else why not. pair becomes the errand's. reason: RFC 5280, 5.3.1. */
const char *errand_revoke(struct errand *errand, struct issuer *issuer, struct ca *ca,
                          struct pem_pair *pair, uint32_t generation, unsigned reason);
const char *errand_rollover(struct errand *errand, struct issuer *issuer, struct ca *ca);
const char *errand_close(struct errand *errand, struct issuer *issuer, struct ca *ca);

/* Is there a next.pem of this CA, left by a predecessor? Asks whose it is. true: nothing may be
 * ordered yet. Looks at the disk once only. */
bool errand_unsettled(struct errand *errand, struct issuer *issuer, struct ca *ca,
                      uint64_t now_ms);

/* Goes on. ERRAND_FAILED: error tells. The kind of what ended is still in errand->kind. */
enum errand_news errand_tick(struct errand *errand, char error[TABLE_REASON]);

static inline bool errand_runs(const struct errand *errand)
{
    return errand->run != NULL;
}

int errand_fd(const struct errand *errand); /* to be polled for input; -1: none */
void errand_release(struct errand *errand); /* ends it; {0} again */

#endif
