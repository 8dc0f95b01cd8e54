/* What the row tells each command about a certificate: every command has a slot of its own, so
 * that two at once never read each other's result. Pure. acmed only. */
#ifndef ACMED_CERT_REPLY_H
#define ACMED_CERT_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/message.h"
#include "shm/table.h"

/* Whether one more command can get a result. */
bool reply_has_room(const struct cert_row *row);

/* The command of this process was accepted; before: the generation that was live then. */
void reply_accept(struct cert_row *row, enum cert_request request, int32_t pid,
                  uint32_t before);
/* It was refused, for this reason. */
void reply_refuse(struct cert_row *row, enum cert_request request, int32_t pid,
                  const char *why);

/* Ends the commands of which the row shows the result. operates: an account operation runs or
 * waits; deploys: a candidate is tested. row.reply is why an operation or a rollback failed. */
void reply_settle(struct cert_row *row, bool operates, bool deploys);

/* An open order gave the certificate that is live already: ends the commands that wait for it.
 */
void reply_same(struct cert_row *row);

/* In the row of a predecessor, which has ended: what only it knew is lost. */
void reply_interrupted(struct cert_row *row);

#endif
