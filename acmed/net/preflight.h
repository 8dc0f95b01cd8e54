/* The preflight: what the network half found out about the names before an order, and whether
 * there is an order then. Pure; acmed only, but for the limits, which both halves know.
 *
 * Held back is only what surely cannot succeed: CAA that forbids the CA, always. A clock an
 * hour behind the CA's makes a chain that is not valid yet: once an order has failed, every
 * second try is held back, because the clock that is wrong may be the CA's.
 *
 * A marker that was not found forbids nothing: behind a NAT this host may not reach its own
 * public address, though the CA does, and its DNS may not be the Internet's. So it is a
 * warning, a kind of challenge that can do without that port comes first, and where there is a
 * staging CA the order is rehearsed there. */
#ifndef ACMED_NET_PREFLIGHT_H
#define ACMED_NET_PREFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/order/fallback.h"
#include "base/str.h"
#include "shm/table.h"

enum {
    PREFLIGHT_MAX = 16 * 1024,          /* bytes of all findings */
    PREFLIGHT_LINE = TABLE_NOTE,        /* of one, with its NUL */
    PREFLIGHT_CLOCK_MS = 5 * 60 * 1000, /* between our clock and the CA's: more is told */
    PREFLIGHT_BEHIND_MS = 3600 * 1000,  /* ours behind it: a new certificate is not valid yet */
};

/* A finding is a line of this letter, a space and what is to be said. */
enum preflight_kind {
    PREFLIGHT_SEEN = 'S',      /* the marker, at one address of a name */
    PREFLIGHT_MISSED = 'M',    /* what is there instead */
    PREFLIGHT_UNSURE = 'U',    /* could not be checked */
    PREFLIGHT_FORBIDDEN = 'F', /* by CAA */
};

struct preflight {
    uint32_t seen, missed, unsure, forbidden;
    bool clock;                         /* note[0] is about it */
    bool clock_behind;                  /* so far that a new certificate is not valid yet */
    char note[TABLE_NOTES][TABLE_NOTE]; /* the worst first; "": no more */
};

/* Reads the findings, which the network half wrote: what is none is left out. clock_off_ms:
 * the CA's clock less ours. */
void preflight_read(struct preflight *preflight, struct str findings, int64_t clock_off_ms);

enum preflight_verdict {
    PREFLIGHT_GO,
    PREFLIGHT_REHEARSE, /* go to staging first */
    PREFLIGHT_HOLD,     /* no order now; note[0] tells why */
};

/* failures: of orders in a row so far, 0 if nothing shall be held that might succeed. Changes
 * ladder: what was held, a rehearsal, which kind comes first. */
enum preflight_verdict preflight_judge(const struct preflight *preflight,
                                       struct fallback *ladder,
                                       const struct order_options *ways, enum fallback_ca ca,
                                       uint32_t failures);

#endif
