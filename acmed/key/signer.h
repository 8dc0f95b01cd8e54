/* The signing half: keys, and what is done with them for the network half. acmed only; it
 * opens no socket and no file. */
#ifndef ACMED_KEY_SIGNER_H
#define ACMED_KEY_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct ipc_message;
struct ipc_begin;
struct ipc_challenge;
struct signer;
struct table;

/* What a job may use, as PEM texts; {NULL, 0}: none. Lent by the caller. */
struct signer_keys {
    struct str account;      /* P-256, from jose_key_new() */
    struct str next_account; /* JOB_ROLLOVER: the new one */
    struct str certificate;  /* from csr_key_new() */
    struct str eab_hmac;     /* base64url, as the CA gave it */
};

enum {
    SIGNER_KEY_AUTHORIZATION_SIZE = 128 + 1 + 43 + 1, /* token "." thumbprint, and NUL */
    SIGNER_DNS_VALUE_SIZE = 44,
    SIGNER_MARKER_SIZE = 64,
};

/* Parses the keys. names and preferred_chain ("" or NULL: none) are those of the job and
 * outlive the signer. NULL with errno; EINVAL: a key does not parse. */
struct signer *signer_new(const struct signer_keys *keys, const char *const *names,
                          size_t n_names, const char *preferred_chain, struct table *table);
/* Says which job it is for, as the network half is told it: only that job's requests are signed
 * (key/payload.h), before this none. false: no memory. */
bool signer_bind(struct signer *signer, const struct ipc_begin *begin);
/* Clears its challenge rows, frees the keys. Takes NULL. */
void signer_free(struct signer *signer);

/* Answers a question of the network half: IPC_SIGN, IPC_CSR, IPC_CHAIN; IPC_PUT and IPC_DROP
 * of the kinds that stand in the table. The answer's bytes hold until the next call. false: it
 * is none of these. */
bool signer_serve(struct signer *signer, const struct ipc_message *question,
                  struct ipc_message *reply);

/* What dns-01 publishes for this challenge. false: not one of ours. */
bool signer_dns_value(const struct signer *signer, const struct ipc_challenge *challenge,
                      char out[SIGNER_DNS_VALUE_SIZE]);

/* Has the workers answer a random token with a random text, as if it were a challenge of
 * http-01, until it is freed: whoever gets that text has come to us. false: no room. */
bool signer_mark(struct signer *signer, char token[SIGNER_MARKER_SIZE],
                 char text[SIGNER_MARKER_SIZE]);

/* The best of the chains that were shown to it and were good; {NULL, 0}: none. */
struct str signer_chain(const struct signer *signer);

#endif
