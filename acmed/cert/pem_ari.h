/* A certificate's identifier in renewal information (ARI), from its PEM text. OpenSSL stays
 * behind this header. acmed only. */
#ifndef ACMED_CERT_PEM_ARI_H
#define ACMED_CERT_PEM_ARI_H

#include "acmed/cert/ari.h"
#include "base/str.h"

/* Of the first certificate of a chain; "" if it has no authorityKeyIdentifier or does not
 * parse. Returns out. */
char *pem_ari(char out[ARI_ID_SIZE], struct str chain);

#endif
