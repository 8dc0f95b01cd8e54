/* Private keys: made, read and written, so that nothing of them stays outside of the secure
 * heap (key/secret.h). For the files of acmed that use OpenSSL, whose EVP_PKEY has only its tag
 * here; EVP_PKEY_free() frees. */
#ifndef ACMED_KEY_KEY_H
#define ACMED_KEY_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct evp_pkey_st;

/* From now on pulse(arg) is called several times a second while a key of RSA is made: that may
 * take longer than others wait for a sign of life. NULL: no longer. */
void key_set_pulse(void (*pulse)(void *arg), void *arg);

/* NULL: OpenSSL failed. RSA takes up to seconds. */
struct evp_pkey_st *key_new_ec(const char *curve); /* "P-256" */
struct evp_pkey_st *key_new_rsa(size_t bits);

/* The key in a PEM text. NULL: there is none that parses; *encrypted (if not NULL) tells
 * whether one asked for a password, which nobody is there to give. */
struct evp_pkey_st *key_read(struct str pem, bool *encrypted);

/* The key as PEM (PKCS #8): a secret of *n bytes with a NUL behind. NULL: OpenSSL failed. */
char *key_text(const struct evp_pkey_st *key, size_t *n);

/* The key to sign with, once: to be freed right after that. NULL: no memory. */
struct evp_pkey_st *key_once(struct evp_pkey_st *key);

#endif
