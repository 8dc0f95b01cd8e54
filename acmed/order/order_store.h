/* An open order: STORE/orders/NAME/{key.pem, order}. Key and URL are on disk before the CA is
 * asked to finalize, so that a restarted acmed continues its order instead of creating another
 * one. An order for other names, another CA or another profile is ignored. acmed only. */
#ifndef ACMED_ORDER_ORDER_STORE_H
#define ACMED_ORDER_ORDER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/order/job.h"

struct order {
    char *key; /* of the certificate: PEM, a secret (key/secret.h); NULL: none */
    size_t n_key;
    char url[JOB_URL_SIZE]; /* "": not created yet */
    uint64_t begun_s;       /* seconds since 1970; identifies it in the rate log */
};

/* What an order is for, as one number: CA, profile and the set of names. */
uint64_t order_wanted(const char *directory, const char *profile, const char *const *names,
                      size_t n_names);

/* Reads the order if it is for `wanted`; one for something else, or a damaged one, counts as
 * none. order_release() frees. */
void order_load(int dir, uint64_t wanted, struct order *order);
void order_release(struct order *order);
/* Whether there is an order, whatever it is for. */
bool order_is_there(int dir);

/* 0, or -1 with errno. The key is saved first; the URL when the CA has reported it. */
int order_save_key(int dir, const char *key, size_t n_key);
int order_save_url(int dir, uint64_t wanted, const struct order *order);
/* The order is over: removes both. */
void order_forget(int dir);

#endif
