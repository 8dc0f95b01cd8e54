/* What the operator asks of the CA apart from an order: to revoke a certificate, to give the
 * account another key, to close it. One job (order/job.h) each, for the keeper by whose row the
 * operator is answered. acmed only.
 *
 * The new key of an account is on disk, as accounts/CA/next.pem, before the CA hears of it, and
 * takes the old one's place when the CA has taken it. Who finds next.pem there asks the CA
 * whose key it is: the reply may have been lost, or acmed killed. Nothing is ordered until that
 * is known; so errands about the account take all places of the issuer. */
#ifndef ACMED_ORDER_ACCOUNT_OP_H
#define ACMED_ORDER_ACCOUNT_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/cert/store.h"
#include "acmed/order/ca_set.h"

enum {
    ACCOUNT_OP_RUN_MS = 2 * 60 * 1000,   /* of one: a handful of requests */
    ACCOUNT_OP_WAIT_MS = 60 * 1000,      /* for other conversations to end */
    ACCOUNT_OP_AGAIN_MS = 60 * 1000,     /* to ask whose key next.pem is */
    ACCOUNT_OP_CONTACT_MS = 3600 * 1000, /* to tell the address for mail */
};

struct account_op {
    struct ca_set *issuer; /* while it runs */
    struct ca *ca;
    struct job_run *run; /* NULL: none */
    enum job_kind kind;
    uint32_t places; /* of the issuer's runs that it has taken */
    bool settles;    /* JOB_ACCOUNT: finds out whose key next.pem is */
    bool tells;      /* JOB_ACCOUNT: another address for mail */
    bool by_key;     /* JOB_REVOKE: signed by the certificate's own key */
    struct pem_pair pair;
    uint32_t generation; /* of the pair */
    unsigned reason;
    char *next; /* the account's next key: PEM, a secret (key/secret.h) */
    size_t n_next;
    char error[TABLE_ERROR]; /* of a rollover that is being settled */
};

enum account_op_news { ACCOUNT_OP_NOTHING, ACCOUNT_OP_DONE, ACCOUNT_OP_FAILED };

/* Why not, when it may be later: other conversations are under way. */
extern const char account_op_busy[];

/* Begin. NULL: it runs; else why not. pair becomes the errand's. reason: RFC 5280, 5.3.1. */
const char *account_op_revoke(struct account_op *errand, struct ca_set *issuer, struct ca *ca,
                              struct pem_pair *pair, uint32_t generation, unsigned reason);
const char *account_op_rollover(struct account_op *errand, struct ca_set *issuer,
                                struct ca *ca);
const char *account_op_close(struct account_op *errand, struct ca_set *issuer, struct ca *ca);

/* Is there a next.pem of this CA, left by a predecessor? Asks whose it is. true: nothing may be
 * ordered yet. Looks at the disk once only. */
bool account_op_unsettled(struct account_op *errand, struct ca_set *issuer, struct ca *ca,
                          uint64_t now_ms);

/* Has the address for mail changed since the CA was told? Tells it. Looks at the disk once. */
void account_op_tell_contact(struct account_op *errand, struct ca_set *issuer, struct ca *ca,
                             uint64_t now_ms);

/* Goes on. ACCOUNT_OP_FAILED: error tells. The kind of what ended is still in errand->kind. */
enum account_op_news account_op_tick(struct account_op *errand, char error[TABLE_ERROR]);

static inline bool errand_runs(const struct account_op *errand)
{
    return errand->run != NULL;
}

int account_op_fd(const struct account_op *errand); /* to be polled for input; -1: none */
void account_op_release(struct account_op *errand); /* ends it; {0} again */

#endif
