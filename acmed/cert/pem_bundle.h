/* Converts an operator's files into a pair for the store or for configured files: PKCS #12
 * (.p12, .pfx), or PEM in one or two files, in any order, with or without a password on the
 * key. OpenSSL stays behind this header. `pasgate cert import` only. */
#ifndef ACMED_CERT_PEM_BUNDLE_H
#define ACMED_CERT_PEM_BUNDLE_H

#include "acmed/cert/store.h"
#include "base/str.h"

enum { PEM_BUNDLE_ERROR = 1024 };

struct pem_bundle {
    const char *path; /* of the certificates; for messages and advice */
    struct str text;
    const char *key_path; /* NULL: the key is in the same file */
    struct str key_text;
};

enum pem_bundle_result {
    PEM_BUNDLE_GOOD,
    PEM_BUNDLE_LOCKED, /* a password is needed, and none was given */
    PEM_BUNDLE_BAD,    /* error says what is wrong, and what helps */
};

/* password NULL: none. *pair: first the certificate of that key, then each one that issued the
 * one before it, as far as the bundle has them, without the root. The caller releases it. */
enum pem_bundle_result pem_bundle_read(const struct pem_bundle *bundle, const char *password,
                                       struct pem_pair *pair, char error[PEM_BUNDLE_ERROR]);

#endif
