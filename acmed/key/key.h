/* Private keys: created, read and written without leaving any part outside the secure heap
 * (key/secret.h). For acmed's files that use OpenSSL; only the tag of EVP_PKEY is declared
 * here. EVP_PKEY_free() frees. */
#ifndef ACMED_KEY_KEY_H
#define ACMED_KEY_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct evp_pkey_st;

/* heartbeat(arg) is called several times a second while an RSA key is generated, which may take
 * longer than the supervisor waits for a heartbeat. NULL: stop. */
void key_set_heartbeat(void (*heartbeat)(void *arg), void *arg);

/* NULL: OpenSSL failed. RSA takes up to seconds. */
struct evp_pkey_st *key_new_ec(const char *curve); /* "P-256" */
struct evp_pkey_st *key_new_rsa(size_t bits);

/* The key in a PEM text. NULL: none that parses. *encrypted (if not NULL): one needs a
 * password, and there is no way to ask for it here. */
struct evp_pkey_st *key_read(struct str pem, bool *encrypted);

/* The key as PEM (PKCS #8): a secret of *n bytes and a NUL. NULL: OpenSSL failed. */
char *key_text(const struct evp_pkey_st *key, size_t *n);

/* A copy of the key for one signature; free it right afterwards. NULL: no memory. */
struct evp_pkey_st *key_once(struct evp_pkey_st *key);

#endif
