/* What acmed remembers about a certificate across restarts: STORE/orders/NAME/state. Failures
 * and times are stored so that a restart does not reset them. acmed only. Times are
 * milliseconds since 1970, 0 for none. */
#ifndef ACMED_CERT_CERT_STATE_H
#define ACMED_CERT_CERT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/order/fallback.h"
#include "acmed/order/renew.h"
#include "shm/table.h"

struct cert_state {
    uint32_t failures;       /* in a row */
    uint64_t next_try;       /* no try before this */
    uint32_t generation;     /* the live certificate that everything below is about */
    struct renew_window ari; /* the CA's last window */
    uint64_t renew_at;       /* chosen once per window */
    uint64_t ask_at;         /* when to ask for the window again */
    uint32_t ask_failures;   /* in a row */
    uint64_t hook_at;        /* when the hook was last called about trouble */
    uint64_t issued_by;      /* ca_set_hash() of the CA that issued the live one; 0: unknown */
    uint64_t issued_at;      /* when the last order succeeded; 0: unknown */
    uint32_t held_by_clock;  /* 1: next_try and problem were set by plan_hold_by_clock() */
    uint32_t wanted;         /* 1: the operator wants it renewed now; until a try has ended */
    uint64_t failed_at;      /* when problem was found; 0: unknown */
    uint32_t begun; /* 1: an order is open (order/order_store.h); not stored in this file */
    struct fallback fallback;
    char problem[TABLE_ERROR];
};

/* 1: read; 0: there is none; -1: it is damaged or cannot be read. *state is {0} unless 1. */
int cert_state_load(int dir, struct cert_state *state);
/* 0, or -1 with errno. */
int cert_state_save(int dir, const struct cert_state *state);

#endif
