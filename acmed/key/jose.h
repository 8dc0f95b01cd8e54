/* JWS as ACME requires it (RFC 7515, 8555 section 6.2), HS256 for external accounts, JWK
 * thumbprints (RFC 7638). Account keys that we create are P-256 and sign as ES256. Keys
 * imported from another client, and the keys of certificates to be revoked, may also be P-384
 * (ES384) or RSA (RS256). OpenSSL stays behind this header. acmed's signing half only. */
#ifndef ACMED_KEY_JOSE_H
#define ACMED_KEY_JOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    JOSE_JWK_SIZE = 800,       /* of a 4096-bit RSA key, with NUL */
    JOSE_THUMBPRINT_SIZE = 44, /* base64url of SHA-256, with NUL */
    JOSE_SIGNATURE = 512,      /* most bytes: 4096-bit RSA */
};

struct jose_key;

/* A new P-256 key as PEM: a secret (key/secret.h) of *n bytes and a NUL. NULL: OpenSSL
 * failed. */
char *jose_key_new(size_t *n);

/* A private key in JWK form, its members in base64url: RSA (with its factors), P-256 or P-384.
 * Returns PEM, like jose_key_new(). NULL: invalid, or its parts do not fit together. */
struct jose_jwk {
    struct str kty, crv, x, y, d, n, e, p, q, dp, dq, qi;
};
char *jose_key_from_jwk(const struct jose_jwk *jwk, size_t *n);

/* NULL: does not parse, or is not of a type named above. */
struct jose_key *jose_key_read(struct str pem);
void jose_key_free(struct jose_key *key);

/* The public half with its members in the order of RFC 7638, and its digest. Both return
 * out. */
char *jose_jwk(const struct jose_key *key, char out[JOSE_JWK_SIZE]);
char *jose_thumbprint(const struct jose_key *key, char out[JOSE_THUMBPRINT_SIZE]);

/* base64url without padding. Encode: heap, NUL-terminated; NULL: no memory. Decode: strict (no
 * padding, no other characters, no stray bits); bytes written, or -1. */
char *jose_b64_encode(const void *bytes, size_t n);
ptrdiff_t jose_b64_decode(struct str text, uint8_t *out, size_t cap);

/* base64url of the SHA-256 of the text; dns-01 publishes that of a key authorization. */
char *jose_digest(struct str text, char out[JOSE_THUMBPRINT_SIZE]);

/* Signs any bytes; EC signatures are r and s in raw form and full length. Bytes written, or
 * 0. */
size_t jose_sign(const struct jose_key *key, const void *bytes, size_t n,
                 uint8_t out[JOSE_SIGNATURE]);
/* Whether the signature is valid under the key's public half. */
bool jose_verify(const struct jose_key *key, const void *bytes, size_t n,
                 const uint8_t *signature, size_t n_signature);

/* A JWS in flattened JSON, on the heap; NULL: no memory, or a text would need escaping in JSON.
 * kid "": use jwk; nonce "": none (inner JWS of a rollover). */
char *jose_jws(const struct jose_key *key, const char *kid, const char *nonce, const char *url,
               struct str payload);
/* externalAccountBinding: HS256 over the key's JWK (RFC 8555 section 7.3.4). hmac: base64url.
 * Also NULL when that does not decode. */
char *jose_eab(const struct jose_key *key, const char *kid, struct str hmac, const char *url);

#endif
