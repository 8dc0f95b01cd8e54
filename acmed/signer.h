/* The signing half: keys, and what is done with them for the network half. acmed only; it
 * opens no socket and no file. */
#ifndef ACMED_SIGNER_H
#define ACMED_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct ask;
struct signer;
struct table;

/* What a job may use, as PEM texts; {NULL, 0}: none. Lent by the caller. */
struct signer_keys {
    struct str account;      /* P-256, from jose_key_new() */
    struct str next_account; /* JOB_ROLLOVER: the new one */
    struct str certificate;  /* from csr_key_new() */
    struct str eab_hmac;     /* base64url, as the CA gave it */
};

/* Parses the keys; names are those of the job and outlive the signer. NULL with errno:
 * EINVAL: one does not parse. */
struct signer *signer_new(const struct signer_keys *keys, const char *const *names,
                          size_t n_names, struct table *table);
/* Clears the challenge rows, wipes the keys. Takes NULL. */
void signer_free(struct signer *signer);

/* Answers a question of the network half: sign, CSR, challenge rows. The answer's bytes hold
 * until the next call. false: it is none of the signer's, or not one that a sane network half
 * would ask. */
bool signer_serve(struct signer *signer, const struct ask *question, struct ask *answer);

#endif
