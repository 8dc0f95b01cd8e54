/* Operator requests for one certificate: renew, roll back, revoke; and for the account it is
 * ordered with: key rollover, deactivation. acmed only. */
#ifndef ACMED_CERT_REQUEST_H
#define ACMED_CERT_REQUEST_H

#include "acmed/cert/certificate_data.h"

/* Starts a request, or refuses it; the reply is in the row, which is not published. reason: of
 * CERT_REVOKE. true: an order is wanted, and may start now. */
bool request_start(struct certificate *certificate, enum cert_request request, unsigned reason,
                   uint64_t now_ms);

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
