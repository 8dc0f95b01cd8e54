/* Operator requests for one certificate: renew, roll back, revoke; and for the account it is
 * ordered with: key rollover, deactivation. Part of cert/certificate.c. acmed only. */
#ifndef ACMED_CERT_REQUEST_H
#define ACMED_CERT_REQUEST_H

#include "acmed/cert/certificate.h"

/* Continues requests that take time. */
void request_tick(struct certificate *certificate, uint64_t now_ms);

/* Is an account operation of the operator running or waiting? */
static inline bool request_busy(const struct certificate *certificate)
{
    return certificate->queued || account_op_runs(&certificate->op);
}

/* true: the account is known to have one key, so that something may be ordered. */
bool request_settled(struct certificate *certificate, uint64_t now_ms);

#endif
