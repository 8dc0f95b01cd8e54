/* Records in the rate log of a CA what it is about to be asked for a certificate, and stores it
 * before the CA hears of it. Used by order/issue.c and order/issue_start.c only. */
#ifndef ACMED_ORDER_ISSUE_RECORD_H
#define ACMED_ORDER_ISSUE_RECORD_H

#include "acmed/order/issue.h"

/* An attempt, begun at is->order.begun_s, and with `account` an account that it creates. false:
 * error says why it cannot be recorded, so the CA must not be asked. */
bool issue_record_attempt(struct issue *is, bool account, char error[TABLE_REASON]);
/* One more order. */
bool issue_record_order(struct issue *is, char error[TABLE_REASON]);

/* The attempt succeeded. What cannot be recorded or stored is logged. */
void issue_record_success(struct issue *is);

/* Removes what was recorded in advance but the CA does not count: without an order no name can
 * have failed. */
void issue_record_refund(struct issue *is);

#endif
