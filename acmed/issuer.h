/* What all certificates share when they are ordered: the network half's nursery, and at each CA
 * the account and the ledger. acmed only. */
#ifndef ACMED_ISSUER_H
#define ACMED_ISSUER_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/account_store.h"
#include "acmed/ladder.h"
#include "acmed/ledger.h"
#include "shm/heritage.h"

enum {
    ISSUER_RUNS = 4,                /* conversations at a time: never all at once */
    ISSUER_RUN_MS = 15 * 60 * 1000, /* of one; an order that takes longer is gone on with */
};

/* One CA, as the configuration has it; `folder` is -1 until it is used. */
struct ca {
    const char *directory; /* "": there is none */
    const char *email, *ca_file, *profile, *eab_kid, *eab_hmac;
    int folder;
    struct account account;
    struct ledger ledger;
    bool making;        /* an order that is under way makes the account */
    bool settled;       /* its account has one key (errand.h) */
    uint64_t settle_ms; /* not asked again before */
};

struct issuer {
    const struct heritage *heritage;
    int nursery; /* -1: nothing can be ordered */
    uint32_t runs;
    struct ca ca[LADDER_CAS];
};

/* Forks the network half's nursery: before any key is read. Not for a configuration of which
 * nothing is to be ordered. */
void issuer_init(struct issuer *issuer, const struct heritage *heritage);
void issuer_release(struct issuer *issuer);

/* A CA as one number, for the state of a certificate; never 0. */
uint64_t issuer_hash(const char *directory);

/* Makes a CA's account usable: its folder, a key on disk, the ledger. false: error tells. */
bool issuer_ready(struct issuer *issuer, struct ca *ca, char error[TABLE_REASON]);

/* Remembers what the CA calls the account; "" forgets. false: the store. */
bool issuer_account_is(struct ca *ca, const char *url);

/* Writes the ledger down. false: the store; error tells. */
bool issuer_save_ledger(struct issuer *issuer, struct ca *ca, char error[TABLE_REASON]);

/* Any number, by the kernel. */
uint64_t issuer_random(void);

/* "cannot write to the store PATH: why" */
void issuer_store_error(const struct issuer *issuer, int error, char out[TABLE_REASON]);

#endif
