/* What all certificates share when they are ordered: the network helper's fork server and, for
 * each CA, the account and the rate log. acmed only. */
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
    CA_SET_RUNS = 4,                /* conversations at a time: not all certificates at once */
    CA_SET_RUN_MS = 15 * 60 * 1000, /* of one; a longer order is resumed by the next try */
};

/* One CA, as configured; `dir` is -1 until it is used. */
struct ca {
    const char *directory; /* "": not configured */
    const char *email, *ca_file, *profile, *eab_kid, *eab_hmac;
    const char *email_from; /* the setting that `email` comes from */
    bool profile_required;
    int dir;
    struct account account;
    struct rate_log rate_log;
    bool making;         /* an order that is running creates the account */
    bool settled;        /* it is known which key is the account's (order/account_op.h) */
    uint64_t settle_ms;  /* time of the next attempt to find out */
    uint32_t settle_n;   /* attempts so far; saturates at ACCOUNT_OP_DOUBLINGS */
    bool contact_known;  /* the CA knows the contact address, or need not */
    uint64_t contact_ms; /* time of the next attempt to tell the CA */
};

struct ca_set {
    const struct heritage *heritage;
    int forkserver; /* -1: nothing can be ordered */
    uint32_t runs;
    struct ca ca[FALLBACK_CAS];
    char unusable[TABLE_ERROR]; /* why nothing can be ordered: an account cannot be used, or the
                                   network helper does not run; "" */
    struct clock_heard clock;   /* from the CA that responded last */
};

/* Starts the network helper's fork server, before any key is read. Does nothing when the
 * configuration has nothing to order. */
void ca_set_init(struct ca_set *ca_set, const struct heritage *heritage);
void ca_set_release(struct ca_set *ca_set);

/* The network helper has ended: from now on nothing can be ordered. The log and ->unusable tell
 * it. */
void ca_set_helper_ended(struct ca_set *ca_set);

/* Checks accounts that no order has needed yet, so that an unusable key is reported before an
 * order fails. Sets ca_set->unusable. */
void ca_set_look(struct ca_set *ca_set);

/* The store was deleted or replaced: what is known about accounts and limits is written to the
 * new one where it has no such data. */
void ca_set_store_gone(struct ca_set *ca_set);

/* Identifies a CA by a number in the state of a certificate; never 0. */
uint64_t ca_set_hash(const char *directory);

/* Makes a CA's account usable: its directory, a key on disk, the rate log. An existing key that
 * cannot be read or parsed is not replaced. false: error holds the reason. */
bool ca_set_ready(struct ca_set *ca_set, struct ca *ca, char error[TABLE_ERROR]);

/* Stores the account's URL; "" forgets it. false: the store cannot be written. */
bool ca_set_account_is(struct ca *ca, const char *url);

/* Stores the rate log. false: the store cannot be written; error holds the reason. */
bool ca_set_save_rate_log(struct ca_set *ca_set, struct ca *ca, char error[TABLE_REASON]);

/* A random number from the kernel. */
uint64_t ca_set_random(void);

/* "cannot write to the store PATH: why" */
void ca_set_store_error(const struct ca_set *ca_set, int error, char out[TABLE_REASON]);

#endif
