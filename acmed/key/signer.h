/* The signing half: holds the keys and uses them for the network helper. acmed only; opens no
 * socket and no file. */
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

/* The keys that a job may use, as PEM texts; {NULL, 0}: none. Borrowed from the caller. */
struct signer_keys {
    struct str account;      /* P-256, from jose_key_new() */
    struct str next_account; /* JOB_ROLLOVER: the new key */
    struct str certificate;  /* from csr_key_new() */
    struct str eab_hmac;     /* base64url, as given by the CA */
};

enum {
    SIGNER_KEY_AUTHORIZATION_SIZE = 128 + 1 + 43 + 1, /* token "." thumbprint, and NUL */
    SIGNER_DNS_VALUE_SIZE = 44,
    SIGNER_MARKER_SIZE = 64,
};

/* Parses the keys. names and preferred_chain ("" or NULL: none) are the job's, and must outlive
 * the signer. NULL with errno; EINVAL: a key does not parse. */
struct signer *signer_new(const struct signer_keys *keys, const char *const *names,
                          size_t n_names, const char *preferred_chain, struct table *table);
/* Sets the job, as the network helper is told it: only that job's requests are signed
 * (key/payload.h). Before this call nothing is signed. false: no memory. */
bool signer_bind(struct signer *signer, const struct ipc_begin *begin);
/* Clears its challenge rows and frees the keys. Takes NULL. */
void signer_free(struct signer *signer);

/* Handles a question of the network helper: IPC_SIGN, IPC_CSR, IPC_CHAIN; IPC_PUT and IPC_DROP
 * of the kinds that are in the table. The reply's bytes are valid until the next call. false:
 * another message. */
bool signer_serve(struct signer *signer, const struct ipc_message *question,
                  struct ipc_message *reply);

/* The value that dns-01 publishes for this challenge. false: not a name of this job. */
bool signer_dns_value(const struct signer *signer, const struct ipc_challenge *challenge,
                      char out[SIGNER_DNS_VALUE_SIZE]);

/* Has the workers serve a random text at a random http-01 token until the signer is freed. A
 * client that gets that text has reached this service. false: no free row. */
bool signer_mark(struct signer *signer, char token[SIGNER_MARKER_SIZE],
                 char text[SIGNER_MARKER_SIZE]);

/* The best valid chain received so far; {NULL, 0}: none. */
struct str signer_chain(const struct signer *signer);

#endif
