/* What is tried next after a failure: which CA, and which kind of challenge first.
 *
 * - The CA: an order fails at it because a name is not proved, or is refused: staging, until it
 *   succeeds there; then the CA again, at once. Not when the live certificate ends soon, since
 *   staging may be what is ill.
 * - The second CA: after `after` failures in a row that the first may be the cause of; then
 * both in turn, until one of them issues. A renewal begins with the first.
 * - Challenges: the one that failed goes to the end, the one that worked comes first.
 *
 * All pure; what it remembers is part of cert/cert_state.h, so on disk. order/issue.c carries
 * it out; acmed only. */
#ifndef ACMED_ORDER_FALLBACK_H
#define ACMED_ORDER_FALLBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/order/job.h"

enum fallback_ca { FALLBACK_FIRST, FALLBACK_STAGING, FALLBACK_SECOND, FALLBACK_CAS };

enum { FALLBACK_QUICK_MS = 5000 }; /* until a kind is tried that was not tried yet */

struct fallback {
    uint32_t rehearse;     /* 1: staging comes before the first CA */
    uint32_t rehearsed;    /* 1: it has just succeeded there */
    uint32_t ca_failures;  /* of the first CA in a row, its own; saturates */
    uint32_t asked;        /* enum fallback_ca of the last failure */
    uint32_t kind_worked;  /* enum job_challenge of the last success; 0: none yet */
    uint32_t kinds_failed; /* bits 1 << enum job_challenge since then */
    uint32_t doubted;      /* enum job_challenge that is not likely to work now; 0: none */
    uint32_t held;         /* 1: the last try was held back by the preflight */
};

/* What there is to choose from. */
struct order_options {
    bool staging, second;
    bool urgent;    /* the live one ends soon: no time for rehearsals */
    uint32_t after; /* failures, before the second CA is asked */
    enum job_challenge kinds[JOB_CHALLENGES];
    size_t n_kinds;
};

/* The kinds that can prove any of these names: a wildcard is proved by dns-01 only, an address
 * never. wished: as in the configuration. 0: none can. */
size_t fallback_fitting(const char *const *names, size_t n_names, const char *const *overridden,
                        size_t n_overridden, enum job_challenge out[JOB_CHALLENGES]);

enum fallback_ca fallback_ca(const struct fallback *ladder, const struct order_options *ways);

/* All kinds, the one to try first in front. */
void fallback_kinds(const struct fallback *ladder, const struct order_options *ways,
                    enum job_challenge out[JOB_CHALLENGES]);

/* Who is to blame for a failed order. */
enum fallback_fault {
    FALLBACK_FAULT_CA,    /* it, or the way to it */
    FALLBACK_FAULT_PROOF, /* a name was not proved */
    FALLBACK_FAULT_OURS,  /* refused: something is to be changed here */
};
enum fallback_fault fallback_fault(const struct job_problem *problem);

/* Was the CA out of reach, or is something before it that says so? Not when it asks for peace.
 */
bool fallback_unreached(const struct job_problem *problem);

/* An order failed at this CA. true: the next try can come soon, because a kind of challenge is
 * left that was not tried. */
bool fallback_failed(struct fallback *ladder, const struct order_options *ways,
                     enum fallback_ca ca, const struct job_problem *problem);

/* An order succeeded; kind: what proved its names, 0: nothing had to. true: it was a rehearsal,
 * and the order itself comes now. */
bool fallback_succeeded(struct fallback *ladder, enum fallback_ca ca, enum job_challenge kind);

#endif
