/* Certificate keys and signing requests (RFC 2986). OpenSSL stays behind this header. acmed's
 * signing half only. */
#ifndef ACMED_KEY_CSR_H
#define ACMED_KEY_CSR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum csr_key_type { CSR_P256, CSR_P384, CSR_RSA2048, CSR_RSA4096, CSR_KEY_TYPES };

struct csr_key;

/* The type with this name ("p256", "p384", "rsa2048", "rsa4096"); CSR_KEY_TYPES: none. */
enum csr_key_type csr_key_type(const char *name);

/* A new key as PEM: a secret (key/secret.h) of *n bytes and a NUL. NULL: OpenSSL failed. RSA
 * takes up to seconds. */
char *csr_key_new(enum csr_key_type type, size_t *n);

struct csr_key *csr_key_read(struct str pem); /* NULL: does not parse */
void csr_key_free(struct csr_key *key);

/* The request for these names, as DER on the heap: subjectAltName with DNS names and IP
 * addresses, and an empty subject (RFC 8555 section 7.4: a CN would be one more name to
 * validate). NULL: OpenSSL failed. */
uint8_t *csr_make(const struct csr_key *key, const char *const *names, size_t n_names,
                  size_t *n);

/* Whether chain (PEM, leaf first) is what was ordered: it parses, each certificate is signed by
 * the next, and the leaf has this key and exactly these names, and has not expired. 0, or -1
 * and an error. */
enum { CSR_ERROR_SIZE = 160 };
int csr_check_chain(const struct csr_key *key, struct str chain, const char *const *names,
                    size_t n_names, uint64_t now_wall_ms, char error[CSR_ERROR_SIZE]);

/* The first certificate of the chain as DER in base64url, on the heap. NULL: there is none. */
char *csr_leaf_der(struct str chain);

/* Whether an issuer in the chain has this common name; used for preferred_chain. */
bool csr_chain_has_issuer(struct str chain, const char *common_name);

#endif
