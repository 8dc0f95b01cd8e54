/* How a configured certificate and its row find each other: by name.
 *
 * After a reload the same certificate may stand at another index, and workers
 * of two configurations run side by side with one acmed; so nobody may trust
 * an index across processes. Pure, and read-only on the table; any process. */
#ifndef SHM_CERTS_H
#define SHM_CERTS_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

struct conf;
struct conf_cert;

/* The answer to a request to renew one that needs it not: no failure where all were asked for.
 */
#define CERT_NOT_DUE "it is not due yet; --force renews it nevertheless"

/* The name of a certificate's row, which is also that of its folder in the
 * store: its configured name with "*." as "_.", and any byte that is not for a
 * file name as =HEX, so that two names never meet. One that is too long is cut
 * and gets a hash. Returns out. */
char *cert_dir(char out[CERT_DIR_SIZE], const char *name);

/* The certificate of the configuration whose folder this is; NULL: none. Pure. */
const struct conf_cert *cert_configured(const struct conf *conf, const char *dir);

/* Copies the row of this folder, which is most likely at index `guess`. false:
 * there is none, or it is half-written. */
bool cert_find(const struct table *table, const char *dir, uint32_t guess,
               struct cert_row *row);

/* What a worker says of a candidate, packed into the one word of its row. */
struct cert_finding {
    uint32_t candidate; /* 0: of none yet */
    enum cert_proof proof;
    uint32_t name; /* which of the certificate's names it is about, 1..; 0: all */
    bool partly;   /* CERT_PROOF_HANDSHAKE: with one version of TLS, but not with another */
};

uint64_t cert_finding_pack(const struct cert_finding *finding);
/* Takes any number: an unknown proof comes out as CERT_PROOF_LOAD. */
struct cert_finding cert_finding_unpack(uint64_t word);

/* How many running workers there are, and how many of them use this generation. index: in the
 * configuration that they run. */
void cert_loaded(const struct table *table, uint32_t index, uint32_t generation,
                 uint32_t *loaded, uint32_t *workers);

#endif
