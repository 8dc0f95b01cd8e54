/* Which certificates were revoked: by what they are, not by where they stand, because a pair
 * is copied within the store (a rollback, a certificate that got another name) and into it.
 * What is known here does not go live any more.
 *
 *   STORE/certs/.revoked     a line for each, the latest first:
 *     SHA-256 of the certificate=SHA-256 of its public key, when, reason, its end
 *
 * A reason that says that the key is known to others goes for each certificate with that key.
 * acmed writes it; whoever brings pairs into the store reads it. */
#ifndef ACMED_CERT_REVOKED_H
#define ACMED_CERT_REVOKED_H

#include <stdint.h>

#include "acmed/cert/store.h"

enum {
    REVOKED_MAX = 4096,        /* that are remembered */
    REVOKED_KEY_COMPROMISE = 1 /* RFC 5280, 5.3.1 */
};

/* Writes it down, for good when it returns. 0, or -1 with errno (EINVAL: the pair does not
 * parse). wall_ms: when that was. */
int revoked_add(const struct store *store, const struct pem_pair *pair, unsigned reason,
                uint64_t wall_ms);

/* When this pair was revoked, or its key given up, in milliseconds since 1970; 0: it was not,
 * as far as is known. folder and generation: where it stands, and may be marked; NULL: nowhere.
 */
uint64_t revoked_at(const struct store *store, const char *dir, uint32_t generation,
                    const struct pem_pair *pair);

/* Rises with each that is added: others that are live may have the same key. */
uint32_t revoked_epoch(void);

#endif
