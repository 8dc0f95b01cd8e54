/* How a configured certificate and its row find each other: by name.
 *
 * After a reload the same certificate may have another index, and workers of two configurations
 * run beside one acmed; so no process may rely on an index of another process. Pure, and
 * read-only on the table; any process. */
#ifndef SHM_CERTS_H
#define SHM_CERTS_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

struct conf;
struct conf_cert;

/* The reply to a request to renew one that is not due: no failure if all were asked for. */
#define CERT_NOT_DUE "it is not due yet; --force renews it anyway"

/* The name of a certificate's row, which is also that of its directory in the store: its
 * configured name with "*." as "_.", and any byte that is unfit for a file name as =HEX, so
 * that two names never collide. A name that is too long is cut and gets a hash. Returns out. */
char *cert_dir(char out[CERT_DIR_SIZE], const char *name);

/* The certificate of the configuration with this directory; NULL: none. Pure. */
const struct conf_cert *cert_configured(const struct conf *conf, const char *dir);

/* Copies the row with this directory, which is most likely at index `guess`. false: there is
 * none, or it is half-written. */
bool cert_find(const struct table *table, const char *dir, uint32_t guess,
               struct cert_row *row);

/* Why a worker could not load a candidate, as far as an operator can do something about it. */
enum cert_why {
    CERT_WHY_OTHER,   /* the log says it */
    CERT_WHY_FILE,    /* a file could not be read: cert_finding.error */
    CERT_WHY_KEY,     /* its key is too small for the policy of the listeners */
    CERT_WHY_CA_KEY,  /* that of a certificate in the chain is */
    CERT_WHY_CA_HASH, /* a signature in the chain uses a hash that is too weak for it */
};

enum { CERT_ERROR_MAX = 4095 }; /* cert_finding.error: it has 12 bits */

/* The result of a worker's self-test of a candidate, packed into the one word of its row. */
struct cert_finding {
    uint32_t candidate; /* the one that was tested; 0: none yet */
    enum cert_proof proof;
    uint32_t name; /* which of the certificate's names it is about, from 1; 0: all */
    bool partly;   /* CERT_PROOF_HANDSHAKE: fails with one version of TLS, works with another */
    enum cert_why why; /* CERT_PROOF_LOAD */
    /* CERT_WHY_FILE: errno. CERT_PROOF_HANDSHAKE: OpenSSL's reason (of ERR_LIB_SSL); 0: none,
     * or one above CERT_ERROR_MAX, which only the log tells. */
    uint16_t error;
};

uint64_t cert_finding_pack(const struct cert_finding *finding);
/* Takes any number: an unknown proof becomes CERT_PROOF_LOAD. */
struct cert_finding cert_finding_unpack(uint64_t word);

/* How many workers are running, and how many of them use this generation. index: in the
 * configuration that they run. */
void cert_loaded(const struct table *table, uint32_t index, uint32_t generation,
                 uint32_t *loaded, uint32_t *workers);

#endif
