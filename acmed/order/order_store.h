/* An order that is under way: STORE/orders/NAME/{key.pem, order}. Key and URL are on disk
 * before the CA is asked to finalize, so that an acmed that was killed goes on with its order
 * in place of making another one. An order of other names, another CA or profile is no longer
 * wanted. acmed only. */
#ifndef ACMED_ORDER_ORDER_STORE_H
#define ACMED_ORDER_ORDER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/order/job.h"

struct order {
    char *key; /* of the certificate: PEM, a secret (key/secret.h); NULL: none */
    size_t n_key;
    char url[JOB_URL_SIZE]; /* "": not ordered yet */
    uint64_t begun_s;       /* seconds since 1970: by which the ledger knows it */
};

/* What an order was for, as one number: CA, profile and names, in their order. */
uint64_t order_wanted(const char *directory, const char *profile, const char *const *names,
                      size_t n_names);

/* Reads the order that is for `wanted`; nothing is found when it was for something else, or is
 * damaged. order_release() frees. */
void order_load(int dir, uint64_t wanted, struct order *order);
void order_release(struct order *order);
/* Is there one, whatever for? */
bool order_is_there(int dir);

/* 0, or -1 with errno. The key first, then, when the CA has told it, the URL. */
int order_save_key(int dir, const char *key, size_t n_key);
int order_save_url(int dir, uint64_t wanted, const struct order *order);
/* The order is over: forgets both. */
void order_forget(int dir);

#endif
