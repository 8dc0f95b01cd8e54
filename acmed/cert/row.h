/* The certificate's row of the table: publishing it, and its error and notes. acmed only. */
#ifndef ACMED_CERT_ROW_H
#define ACMED_CERT_ROW_H

#include "acmed/cert/certificate_data.h"

static inline bool row_has_live(const struct certificate *certificate)
{
    return certificate->row.source != CERT_NONE;
}

void row_publish(struct certificate *certificate);

/* Reports what is wrong, once per change; "" when nothing is wrong any more. */
void row_complain(struct certificate *certificate, const char *error);
/* The same for what is wrong with the store as a whole, "" when it is ours again. The row shows
 * it; the caller logs it once for all certificates. */
void row_store_error(struct certificate *certificate, const char *error);

/* What the order driver needs to know of the live one. */
struct issue_live row_live(const struct certificate *certificate);

/* Fills the row's notes: what is wrong with store, clock and account, findings about the
 * certificate, and what is wrong with the hook. */
void row_show_notes(struct certificate *certificate);
/* Publishes the row when the store becomes unusable, for this reason, or usable ("") again. */
void row_store_unusable(struct certificate *certificate, const char *why);
/* The same when the state of the clock or of the account has changed. */
void row_look_at_common(struct certificate *certificate);

#endif
