/* Looking into PEM texts: is this chain and this key a pair that a TLS server
 * can use? OpenSSL stays behind this header. acmed only. */
#ifndef ACMED_PEM_H
#define ACMED_PEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acmed/store.h"
#include "shm/table.h"

enum { PEM_DIGEST = 32 };

struct pem_info {
    uint64_t not_before_wall_ms, not_after_wall_ms;
    char issuer[128];
    uint32_t n_names;           /* in the leaf's subjectAltName */
    bool covers;                /* all names that were asked for */
    char warning[TABLE_REASON]; /* usable, but: "" or the first thing that is odd */
};

/* 0: the chain parses, the key matches its first certificate, and OpenSSL
 * accepts both for a server. -1: it does not; error tells why in plain words.
 * Expiry and missing names are warnings, judged at now_wall_ms. */
int pem_check(const struct pem_pair *pair, const char *const *names, size_t n_names,
              uint64_t now_wall_ms, struct pem_info *info, char error[TABLE_REASON]);

/* SHA-256 over both texts: tells whether two pairs are the same. */
void pem_digest(const struct pem_pair *pair, uint8_t out[PEM_DIGEST]);

#endif
