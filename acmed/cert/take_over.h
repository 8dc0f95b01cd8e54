/* Makes live what the store, or the workers' memory, already has for a certificate. acmed
 * only. */
#ifndef ACMED_CERT_TAKE_OVER_H
#define ACMED_CERT_TAKE_OVER_H

#include "acmed/cert/certificate_data.h"

/* Takes the newest good generation of the store; if there is none, or nothing better than a
 * self-signed one or one that lacks names, a pair under another name (cert/adopt.h). If what
 * was live cannot be read for now, the row of the predecessor stays (NULL: the present row),
 * and the store as it is. Publishes at most that. */
void take_over_store(struct certificate *certificate, const struct cert_row *before);

/* Reads it again when that is due; publishes what it finds. true: it still cannot be read, and
 * nothing may replace it. */
bool take_over_waits(struct certificate *certificate, uint64_t now_ms);

/* The search under other names that take_over_store() left for the certificate's turn, or until
 * the list of revoked ones can be read; publishes what it finds. */
void take_over_adopt(struct certificate *certificate);

/* Nothing was found: keeps the row of the predecessor, whose certificate the workers still have
 * in memory. false: that does not apply. */
bool take_over_lost(struct certificate *certificate, const struct cert_row *before);

/* Was this pair revoked, as far as is known (cert/revoked.h)? text is "" if it may go live. */
void take_over_refuses(const struct certificate *certificate, const struct pem_pair *pair,
                       char text[TABLE_REASON]);

#endif
