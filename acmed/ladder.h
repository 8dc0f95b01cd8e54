/* What is tried next after a failure: which CA, and which kind of challenge first.
 *
 *   the CA            an order fails at it, because a name is not proved or is refused:
 *                     staging, until it succeeds there; then the CA again, at once
 *   the second CA     after `after` failures in a row that the first may be the cause of; then
 *                     both in turn, until one of them issues. A renewal begins with the first
 *   challenges        the one that failed goes to the end, the one that worked comes first
 *
 * All pure; what it remembers is part of cert_state.h, so on disk. issue.c carries it out;
 * acmed only. */
#ifndef ACMED_LADDER_H
#define ACMED_LADDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/job.h"

enum ladder_ca { LADDER_FIRST, LADDER_STAGING, LADDER_SECOND, LADDER_CAS };

enum { LADDER_QUICK_MS = 5000 }; /* until a kind is tried that was not tried yet */

struct ladder {
    uint32_t rehearse;     /* 1: staging comes before the first CA */
    uint32_t rehearsed;    /* 1: it has just succeeded there */
    uint32_t ca_failures;  /* of the first CA in a row, its own; saturates */
    uint32_t asked;        /* enum ladder_ca of the last failure */
    uint32_t kind_worked;  /* enum job_challenge of the last success; 0: none yet */
    uint32_t kinds_failed; /* bits 1 << enum job_challenge since then */
    uint32_t doubted;      /* enum job_challenge that is not likely to work now; 0: none */
    uint32_t held;         /* 1: the last try was held back by the preflight */
};

/* What there is to choose from. */
struct ladder_ways {
    bool staging, second;
    uint32_t after; /* failures, before the second CA is asked */
    enum job_challenge kinds[JOB_CHALLENGES];
    size_t n_kinds;
};

/* The kinds that can prove any of these names: a wildcard is proved by dns-01 only, an address
 * never. wished: as in the configuration. 0: none can. */
size_t ladder_fitting(const char *const *names, size_t n_names, const char *const *wished,
                      size_t n_wished, enum job_challenge out[JOB_CHALLENGES]);

enum ladder_ca ladder_ca(const struct ladder *ladder, const struct ladder_ways *ways);

/* All kinds, the one to try first in front. */
void ladder_kinds(const struct ladder *ladder, const struct ladder_ways *ways,
                  enum job_challenge out[JOB_CHALLENGES]);

/* Who is to blame for a failed order. */
enum ladder_fault {
    LADDER_FAULT_CA,    /* it, or the way to it */
    LADDER_FAULT_PROOF, /* a name was not proved */
    LADDER_FAULT_OURS,  /* refused: something is to be changed here */
};
enum ladder_fault ladder_fault(const struct job_problem *problem);

/* An order failed at this CA. true: the next try can come soon, because a kind of challenge is
 * left that was not tried. */
bool ladder_failed(struct ladder *ladder, const struct ladder_ways *ways, enum ladder_ca ca,
                   const struct job_problem *problem);

/* An order succeeded; kind: what proved its names, 0: nothing had to. true: it was a rehearsal,
 * and the order itself comes now. */
bool ladder_succeeded(struct ladder *ladder, enum ladder_ca ca, enum job_challenge kind);

#endif
