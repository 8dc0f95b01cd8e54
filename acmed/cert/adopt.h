/* Finds a good pair that the store has under another name: a certificate's names were written
 * in another order, or it was given a `name`, so that its directory is a different one now.
 * acmed only. */
#ifndef ACMED_CERT_ADOPT_H
#define ACMED_CERT_ADOPT_H

#include "acmed/cert/certificate_data.h"

/* adopt_begin() remembers which rows of the table were live, before they are rewritten. The
 * first adopt() that needs the store reads it, once. adopt_end() forgets both, unless a
 * certificate waits (adopt_waits()). Each may be called any number of times. */
void adopt_begin(const struct heritage *heritage);
void adopt_end(void);

/* Searches all directories that no configured certificate uses. A pair that is valid now,
 * covers all names, and is not signed by its own key becomes a generation in the certificate's
 * own directory. Order of preference: what was live by the table; then what the link of its
 * directory names, the link set last first; then what expires last. So a pair that was rolled
 * back from ranks below the one that was rolled back to. Returns the new number; 0: nothing was
 * found, or the store is not ours. */
uint32_t adopt(struct certificate *certificate);

/* The list of revoked certificates cannot be read, so that nothing can be adopted yet. */
bool adopt_waits(const struct certificate *certificate);

#endif
