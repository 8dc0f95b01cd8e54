/* The preflight: what the network helper found out about the names before an order, and whether
 * to order. Pure; acmed only, except the limits, which the network helper also uses.
 *
 * An order is held back only where it is certain to fail. If CAA forbids the CA: always. If the
 * clock is an hour behind the CA's, a new chain is not valid yet: once an order has failed,
 * every second try is held back; not every one, because the CA's clock may be the wrong one.
 *
 * A marker that was not found does not hold an order back: behind a NAT this host may not reach
 * its own public address although the CA does, and its DNS may differ from the Internet's. It
 * causes a warning, a challenge kind that does not need that port is tried first, and if there
 * is a staging CA, the order is tried there first. */
#ifndef ACMED_NET_PREFLIGHT_H
#define ACMED_NET_PREFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/order/fallback.h"
#include "base/str.h"
#include "shm/table.h"

enum {
    PREFLIGHT_MAX = 16 * 1024,          /* bytes of all findings */
    PREFLIGHT_LINE = TABLE_NOTE,        /* of one finding, with its NUL */
    PREFLIGHT_CLOCK_MS = 5 * 60 * 1000, /* between our clock and the CA's; more is reported */
    PREFLIGHT_BEHIND_MS = 3600 * 1000,  /* ours behind: a new certificate is not valid yet */
};

/* A finding is a line: this letter, a space and the text. */
enum preflight_kind {
    PREFLIGHT_SEEN = 'S',      /* the marker was found at one address of a name */
    PREFLIGHT_MISSED = 'M',    /* it was not found; the text says what is there instead */
    PREFLIGHT_UNSURE = 'U',    /* could not be checked */
    PREFLIGHT_FORBIDDEN = 'F', /* CAA forbids it */
};

struct preflight {
    uint32_t seen, missed, unsure, forbidden;
    bool clock;                         /* note[0] is about it */
    bool clock_behind;                  /* a new certificate would not be valid yet */
    char note[TABLE_NOTES][TABLE_NOTE]; /* the worst first; "": none */
};

/* Parses the findings from the network helper; invalid lines are ignored. clock_off_ms: the
 * CA's clock minus ours. */
void preflight_read(struct preflight *preflight, struct str findings, int64_t clock_off_ms);

enum preflight_verdict {
    PREFLIGHT_GO,
    PREFLIGHT_DRY_RUN, /* staging dry run first */
    PREFLIGHT_HOLD,    /* no order now; note[0] says why */
};

/* failures: failed orders in a row; 0 also when nothing that might succeed is to be held back.
 * Changes fallback: what was held, the staging dry run, which kind comes first. */
enum preflight_verdict preflight_judge(const struct preflight *preflight,
                                       struct fallback *fallback,
                                       const struct order_options *options, enum fallback_ca ca,
                                       uint32_t failures);

#endif
