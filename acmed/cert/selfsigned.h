/* Self-signed certificates: served until a real one is available, and permanently for internal
 * names. acmed only. */
#ifndef ACMED_CERT_SELFSIGNED_H
#define ACMED_CERT_SELFSIGNED_H

#include <stddef.h>
#include <stdint.h>

#include "acmed/cert/store.h"

enum {
    SELFSIGNED_DAYS = 90,
    SELFSIGNED_RENEW_DAYS = 30, /* renewed when no more days than these are left */
};

/* When to renew one that ends at that time. Milliseconds since 1970. */
static inline uint64_t selfsigned_renewal(uint64_t not_after_wall_ms)
{
    return not_after_wall_ms - SELFSIGNED_RENEW_DAYS * UINT64_C(24) * 3600 * 1000;
}

/* Makes a P-256 key and a certificate for all names: host names, wildcards and IP addresses. 0
 * and a pair to release, or -1: OpenSSL failed, error says how. */
int selfsigned_make(const char *const *names, size_t n_names, uint64_t now_wall_ms,
                    struct pem_pair *pair, char error[TABLE_REASON]);

#endif
