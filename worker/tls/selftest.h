/* The self-test of a certificate that is not live yet: handshakes with ourselves in memory, for
 * each of its names, with each version of TLS that the policy allows. The server's side is the
 * one that clients will meet: same policy, same choice by SNI; an IP address sends no SNI (RFC
 * 6066 section 3). For a wildcard, an example name is requested.
 *
 * Worker only. Does not touch the live certificates. */
#ifndef WORKER_TLS_SELFTEST_H
#define WORKER_TLS_SELFTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/certs.h"
#include "worker/tls/tls.h"

struct tls_selftest;

/* The worst finding. */
struct tls_selftest_result {
    enum cert_proof proof;
    uint32_t name;     /* index of the name in the configuration, from 1; 0: all names */
    bool partly;       /* no handshake with one version, but with another one */
    enum cert_why why; /* CERT_PROOF_LOAD */
    uint16_t error;    /* as in struct cert_finding (shm/certs.h) */
    char text[TLS_ERROR_SIZE]; /* for the log */
};

/* Loads the certificate; the engine must outlive the self-test. NULL: it cannot be loaded, and
 * *failed says why (CERT_PROOF_LOAD). */
struct tls_selftest *tls_selftest_new(struct tls_engine *, uint32_t cert_index,
                                      const char *chain_path, const char *key_path,
                                      struct tls_selftest_result *failed);
void tls_selftest_free(struct tls_selftest *); /* takes NULL */

/* Does one more handshake. true: there is more to do; false: finished, the result is in
 * *verdict. */
bool tls_selftest_step(struct tls_selftest *, struct tls_selftest_result *verdict);

#endif
