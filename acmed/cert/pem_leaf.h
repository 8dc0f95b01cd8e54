/* Reads only the names and dates of a pair, for a quick search through many; pem_check() then
 * examines what the search finds. acmed only. */
#ifndef ACMED_CERT_PEM_LEAF_H
#define ACMED_CERT_PEM_LEAF_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/cert/store.h"

struct pem_leaf {
    uint64_t not_before_wall_ms, not_after_wall_ms;
    char *names; /* each ends with a NUL, an empty one ends the list; the caller frees it */
};

/* Reads the first certificate of the chain. false: it does not parse. */
bool pem_leaf_read(const struct pem_pair *pair, struct pem_leaf *leaf);

#endif
