/* What all certificates share when they are ordered: the network half's nursery, and at each CA
 * the account and the ledger. acmed only. */
#ifndef ACMED_ORDER_CA_SET_H
#define ACMED_ORDER_CA_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/order/account_store.h"
#include "acmed/order/clock_note.h"
#include "acmed/order/fallback.h"
#include "acmed/order/rate_log.h"
#include "shm/heritage.h"

enum {
    CA_SET_RUNS = 4,                /* conversations at a time: never all at once */
    CA_SET_RUN_MS = 15 * 60 * 1000, /* of one; an order that takes longer is gone on with */
};

/* One CA, as the configuration has it; `folder` is -1 until it is used. */
struct ca {
    const char *directory; /* "": there is none */
    const char *email, *ca_file, *profile, *eab_kid, *eab_hmac;
    bool profile_required;
    int dir;
    struct account account;
    struct rate_log ledger;
    bool making;         /* an order that is under way makes the account */
    bool settled;        /* its account has one key (order/account_op.h) */
    uint64_t settle_ms;  /* not asked again before */
    bool contact_known;  /* the CA has been told the address for mail, or need not be */
    uint64_t contact_ms; /* not told again before */
};

struct ca_set {
    const struct heritage *heritage;
    int nursery; /* -1: nothing can be ordered */
    uint32_t runs;
    struct ca ca[FALLBACK_CAS];
    char unusable[TABLE_ERROR]; /* why an account is, "" */
    struct clock_heard clock;   /* of the one that answered last */
};

/* Forks the network half's nursery: before any key is read. Not for a configuration of which
 * nothing is to be ordered. */
void ca_set_init(struct ca_set *issuer, const struct heritage *heritage);
void ca_set_release(struct ca_set *issuer);

/* Looks at the accounts that no order needed so far, so that a key which is of no use is told
 * before one does: issuer->unusable. */
void ca_set_look(struct ca_set *issuer);

/* The store is another one, or was deleted: what is known of accounts and limits is written to
 * it where it has none. */
void ca_set_store_gone(struct ca_set *issuer);

/* A CA as one number, for the state of a certificate; never 0. */
uint64_t ca_set_hash(const char *directory);

/* Makes a CA's account usable: its folder, a key on disk, the ledger. A key that stands there
 * and cannot be read, or is none, is not replaced. false: error tells. */
bool ca_set_ready(struct ca_set *issuer, struct ca *ca, char error[TABLE_ERROR]);

/* Remembers what the CA calls the account; "" forgets. false: the store. */
bool ca_set_account_is(struct ca *ca, const char *url);

/* Writes the ledger down. false: the store; error tells. */
bool ca_set_save_ledger(struct ca_set *issuer, struct ca *ca, char error[TABLE_REASON]);

/* Any number, by the kernel. */
uint64_t ca_set_random(void);

/* "cannot write to the store PATH: why" */
void ca_set_store_error(const struct ca_set *issuer, int error, char out[TABLE_REASON]);

#endif
