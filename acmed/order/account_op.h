/* Account operations: what the operator asks of a CA apart from an order: revoke a certificate,
 * give the account another key, close the account. Each is one job (order/job.h), run on behalf
 * of the certificate whose row shows the operator the result. acmed only.
 *
 * The new key of an account is stored as accounts/CA/next.pem before the CA hears of it, and
 * replaces the old key once the CA has accepted it. If acmed finds a next.pem, it asks the CA
 * which of the two keys is valid, because the response may have been lost or acmed killed.
 * Nothing is ordered until that is known; therefore operations on the account's key or on the
 * account as a whole take all run slots of the set. */
#ifndef ACMED_ORDER_ACCOUNT_OP_H
#define ACMED_ORDER_ACCOUNT_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/cert/store.h"
#include "acmed/order/ca_set.h"

enum {
    ACCOUNT_OP_RUN_MS = 2 * 60 * 1000,   /* of one operation: a handful of requests */
    ACCOUNT_OP_WAIT_MS = 60 * 1000,      /* for other conversations to end */
    ACCOUNT_OP_AGAIN_MS = 60 * 1000,     /* between attempts to find out which key is valid; */
    ACCOUNT_OP_DOUBLINGS = 4,            /* doubled after each, this often */
    ACCOUNT_OP_CONTACT_MS = 3600 * 1000, /* between attempts to tell the CA the contact */
};

struct account_op {
    struct ca_set *ca_set; /* while it runs */
    struct ca *ca;
    struct job_run *run; /* NULL: none */
    enum job_kind kind;
    uint32_t places; /* run slots of the set that it holds */
    bool settles;    /* JOB_ACCOUNT: finds out whether next.pem is the valid key */
    bool tells;      /* JOB_ACCOUNT: tells the CA a new contact address */
    bool by_key;     /* JOB_REVOKE: signed by the certificate's own key */
    bool unknown;    /* JOB_REVOKE failed: the CA does not seem to know the certificate */
    struct pem_pair pair;
    uint32_t generation; /* of the pair */
    unsigned reason;
    char *next; /* the account's next key: PEM, a secret (key/secret.h) */
    size_t n_next;
    char error[TABLE_ERROR]; /* of the rollover whose outcome is being determined */
};

enum account_op_news { ACCOUNT_OP_NOTHING, ACCOUNT_OP_DONE, ACCOUNT_OP_FAILED };

/* The reason given when other conversations are in progress: it may work later. */
extern const char account_op_busy[];
/* Likewise, when it is not known yet which of its two keys the account has. */
extern const char account_op_doubt[];

static inline bool account_op_later(const char *why)
{
    return why == account_op_busy || why == account_op_doubt;
}

/* Each starts an operation. Returns NULL if it runs, else the reason why not. pair becomes the
 * operation's. reason: RFC 5280 section 5.3.1. */
const char *account_op_revoke(struct account_op *op, struct ca_set *ca_set, struct ca *ca,
                              struct pem_pair *pair, uint32_t generation, unsigned reason);
const char *account_op_rollover(struct account_op *op, struct ca_set *ca_set, struct ca *ca);
const char *account_op_close(struct account_op *op, struct ca_set *ca_set, struct ca *ca);

/* If there is a next.pem for this CA whose validity is unknown, asks the CA which key is valid.
 * true: nothing may be ordered yet. Reads the disk only until the result is known. */
bool account_op_unsettled(struct account_op *op, struct ca_set *ca_set, struct ca *ca,
                          uint64_t now_ms);

/* Tells the CA the contact address if it changed since the CA was last told. Reads the disk
 * once. */
void account_op_tell_contact(struct account_op *op, struct ca_set *ca_set, struct ca *ca,
                             uint64_t now_ms);

/* Continues the operation. ACCOUNT_OP_FAILED: error holds the reason. After the end,
 * operation->kind still holds the kind of the operation. */
enum account_op_news account_op_tick(struct account_op *op, char error[TABLE_ERROR]);

static inline bool account_op_runs(const struct account_op *op)
{
    return op->run != NULL;
}

int account_op_fd(const struct account_op *op); /* to poll for input; -1: none */
void account_op_release(struct account_op *op); /* ends it and resets it to {0} */

#endif
