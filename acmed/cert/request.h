/* What the operator asks of one certificate: renew, roll back, revoke, and of the account it is
 * ordered with: another key, an end. Part of cert/certificate.c. acmed only. */
#ifndef ACMED_CERT_REQUEST_H
#define ACMED_CERT_REQUEST_H

#include "acmed/cert/certificate.h"

/* Goes on with what takes its time. */
void request_tick(struct certificate *keeper, uint64_t now_ms);

/* Does something of the operator's run, or wait? */
static inline bool request_busy(const struct certificate *keeper)
{
    return keeper->queued || errand_runs(&keeper->errand);
}

/* Whether the account has one key, so that something may be ordered. */
bool request_settled(struct certificate *keeper, uint64_t now_ms);

#endif
