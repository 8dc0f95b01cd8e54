/* Proving a certificate that is not live yet: handshakes with ourselves in memory, for each of
 * its names, with each version of TLS that the policy allows. The server's side is the one that
 * clients will meet: same policy, same choice by SNI; an IP address has none (RFC 6066 section
 * 3). A wildcard is asked for by an example of it.
 *
 * Worker only. What is live is not touched. */
#ifndef WORKER_TLS_SELFTEST_H
#define WORKER_TLS_SELFTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shm/table.h"
#include "worker/tls/tls.h"

struct tls_selftest;

/* The worst that was found. */
struct tls_selftest_result {
    enum cert_proof proof;
    uint32_t name;             /* index of the name in the configuration, 1..; 0: all */
    bool partly;               /* no handshake with one version, but with another */
    char text[TLS_ERROR_SIZE]; /* for the log */
};

/* Loads it; the engine outlives the proof. NULL: it does not load, and err tells why. */
struct tls_selftest *tls_selftest_new(struct tls_engine *, uint32_t cert_index,
                                      const char *chain_path, const char *key_path, char *err,
                                      size_t n);
void tls_selftest_free(struct tls_selftest *); /* takes NULL */

/* One handshake more. true: there is more to do; false: it is over, and *verdict tells. */
bool tls_selftest_step(struct tls_selftest *, struct tls_selftest_result *verdict);

#endif
