/* The identifier of a certificate in renewal information (RFC 9773 section 4.1). Pure; the
 * parts come from pem_ari() (cert/pem_ari.h). acmed only. */
#ifndef ACMED_CERT_ARI_H
#define ACMED_CERT_ARI_H

#include <stddef.h>
#include <stdint.h>

enum {
    ARI_PART = 40, /* bytes of a key identifier (20 or 32) or serial number (up to 21) */
    ARI_ID_SIZE = 2 * ((ARI_PART + 2) / 3 * 4) + 2,
};

struct ari_parts {
    uint8_t key_id[ARI_PART]; /* keyIdentifier of the leaf's authorityKeyIdentifier */
    uint8_t serial[ARI_PART]; /* content of the DER INTEGER, with its leading 00 */
    size_t n_key_id, n_serial;
};

/* Writes base64url(key_id) "." base64url(serial), without "=", and a NUL; returns out. "" when
 * one part is missing: such a certificate has no renewal information. */
char *ari_id(char out[ARI_ID_SIZE], const struct ari_parts *parts);

#endif
