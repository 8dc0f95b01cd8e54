/* The little of a pair that tells for whom it is: quick, for a search through many. What is
 * found so is looked at by pem_check() then. acmed only. */
#ifndef ACMED_CERT_PEM_LEAF_H
#define ACMED_CERT_PEM_LEAF_H

#include <stdbool.h>
#include <stdint.h>

#include "acmed/cert/store.h"

struct pem_leaf {
    uint64_t not_before_wall_ms, not_after_wall_ms;
    char *names; /* each ended by a NUL, an empty one at the end; to be freed */
};

/* Of the first certificate of the chain. false: it does not parse. */
bool pem_leaf_read(const struct pem_pair *pair, struct pem_leaf *leaf);

#endif
