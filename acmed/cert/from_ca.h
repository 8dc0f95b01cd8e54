/* A certificate that is ordered from a CA: its order's turn, what becomes of the result, and
 * what the row shows of both. acmed only; no OpenSSL here. */
#ifndef ACMED_CERT_FROM_CA_H
#define ACMED_CERT_FROM_CA_H

#include <stdint.h>

#include "acmed/cert/certificate_data.h"

/* Goes on with its order, if it is time for one, and offers what came for deployment. */
void from_ca_tick(struct certificate *certificate, uint64_t now_ms);

/* The deployment of what came has ended (certificate_outcome in certificate_data.h). */
void from_ca_settled(struct certificate *certificate, enum certificate_end end,
                     const char *text);

#endif
