/* What acmed remembers of a certificate over its own end: STORE/orders/NAME/state. Failures and
 * times are here so that restarts reset nothing. acmed only. Times are milliseconds since 1970,
 * 0 for none. */
#ifndef ACMED_CERT_CERT_STATE_H
#define ACMED_CERT_CERT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/order/fallback.h"
#include "acmed/order/renew.h"
#include "shm/table.h"

struct cert_state {
    uint32_t failures;       /* in a row */
    uint64_t next_try;       /* not before */
    uint32_t generation;     /* of the live certificate that all below is about */
    struct renew_window ari; /* what the CA said last */
    uint64_t renew_at;       /* chosen once */
    uint64_t ask_at;         /* for the window again */
    uint32_t ask_failures;   /* in a row */
    uint64_t hook_at;        /* when the hook was last told of trouble */
    uint64_t issued_by;      /* ca_set_hash() of the CA of the live one; 0: not known */
    uint64_t issued_at;      /* when the last order succeeded; 0: not known */
    uint32_t held_by_clock;  /* 1: next_try and problem are, plan_hold_by_clock() */
    uint32_t wanted;         /* 1: by the operator, now; until a try has ended */
    uint64_t failed_at;      /* when problem was found; 0: not known */
    uint32_t begun;          /* 1: an order is open (order/order_store.h); not of this file */
    struct fallback ladder;
    char problem[TABLE_ERROR];
};

/* Reads; false: there is none, or it is damaged, and *state is {0}. */
bool cert_state_load(int dir, struct cert_state *state);
/* 0, or -1 with errno. */
int cert_state_save(int dir, const struct cert_state *state);

#endif
