/* A good pair that stands in the store under another name: the names of a certificate were
 * written in another order, or it was given a `name`, and its folder is called otherwise now.
 * Part of cert/certificate.c. acmed only. */
#ifndef ACMED_CERT_ADOPT_H
#define ACMED_CERT_ADOPT_H

#include "acmed/cert/certificate.h"

/* Begin remembers which rows of the table were live, before they are written anew; what stands
 * in the store is read once then, at the first adopt() that wants it, and forgotten by end.
 * Both any number of times. */
void adopt_begin(const struct heritage *heritage);
void adopt_end(void);

/* Of all folders that no configured certificate has, a pair that is valid now and for all
 * names, and not signed by its own key, becomes a generation of the keeper's own folder. What
 * was live comes first: by the table, then by its folder's link, the link that was set last
 * before others; then what lasts longest. So a pair that was rolled away from comes behind the
 * one that was rolled back to. The number; 0: there is none, or the store is not ours. */
uint32_t adopt(struct certificate *keeper);

#endif
