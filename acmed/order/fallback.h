/* What is tried next after a failure: which CA, and which kind of challenge first.
 *
 * - Staging: after an order at the first CA failed because a name was not proved or the CA
 *   refused the order, orders go to staging until one succeeds there; then to the CA again,
 *   at once. Also until staging itself is the cause (it is down, or does not have the profile);
 *   then to the CA, after the usual delay. Not when the live certificate ends soon, since
 *   staging itself may be broken; nor when staging could not explain it: acmed or the hook
 *   stopped the order, or the account or a setting for this CA is the cause.
 * - The second CA: used after `after` failures in a row that the first CA may have caused;
 *   then both in turn, until one of them issues. A renewal begins with the first.
 * - Challenges: the one that failed goes to the end, the one that worked comes first.
 *
 * Pure; its state is part of cert/cert_state.h and so is kept on disk. order/issue.c acts on
 * it. acmed only. */
#ifndef ACMED_ORDER_FALLBACK_H
#define ACMED_ORDER_FALLBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/order/job.h"

enum fallback_ca { FALLBACK_FIRST, FALLBACK_STAGING, FALLBACK_SECOND, FALLBACK_CAS };

enum { FALLBACK_QUICK_MS = 5000 }; /* until a challenge kind that was not tried yet is tried */

struct fallback {
    uint32_t dry_run_first;  /* 1: staging before the first CA */
    uint32_t dry_run_passed; /* 1: the staging dry run has just succeeded */
    uint32_t ca_failures;    /* failures in a row caused by the first CA; saturates */
    uint32_t asked;          /* enum fallback_ca of the last failure */
    uint32_t kind_worked;    /* enum job_challenge of the last success; 0: none */
    uint32_t kinds_failed;   /* bits 1 << enum job_challenge, since the last success */
    uint32_t doubted;        /* enum job_challenge that is unlikely to work now; 0: none */
    uint32_t held;           /* 1: the preflight held back the last try */
};

/* What is configured to choose from. */
struct order_options {
    bool staging, second;
    bool urgent;    /* the live certificate ends soon: no time for a staging dry run */
    uint32_t after; /* failures before the second CA is used */
    enum job_challenge kinds[JOB_CHALLENGES];
    size_t n_kinds;
};

/* The configured challenge kinds that can prove at least one of these names: only dns-01 proves
 * a wildcard, and it never proves an address. configured: the names of the kinds in the order
 * in which to try them; none: http-01 and tls-alpn-01. Returns how many; 0: none can. */
size_t fallback_fitting(const char *const *names, size_t n_names, const char *const *configured,
                        size_t n_configured, enum job_challenge out[JOB_CHALLENGES]);

enum fallback_ca fallback_ca(const struct fallback *fallback,
                             const struct order_options *options);

/* All kinds, in the order in which to try them. */
void fallback_kinds(const struct fallback *fallback, const struct order_options *options,
                    enum job_challenge out[JOB_CHALLENGES]);

/* The cause of a failed order. */
enum fallback_fault {
    FALLBACK_FAULT_CA,    /* the CA, or the way to it */
    FALLBACK_FAULT_PROOF, /* a name was not proved */
    FALLBACK_FAULT_OURS,  /* refused: something has to be changed here */
};
enum fallback_fault fallback_fault(const struct job_problem *problem);

/* Whether the CA was unreachable, or a proxy before it says so. Not when it sent a
 * Retry-After. */
bool fallback_unreached(const struct job_problem *problem);

/* An order failed at this CA. true: the next try can come soon, because another challenge kind
 * was not tried yet. */
bool fallback_failed(struct fallback *fallback, const struct order_options *options,
                     enum fallback_ca ca, const struct job_problem *problem);

/* An order succeeded. kind: what proved its names; 0: nothing had to be proved. true: it was a
 * staging dry run, and the real order comes next. */
bool fallback_succeeded(struct fallback *fallback, enum fallback_ca ca,
                        enum job_challenge kind);

#endif
