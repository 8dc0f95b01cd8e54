/* JWS as ACME wants it (RFC 7515, 8555 section 6.2), HS256 for external accounts, JWK
 * thumbprints (RFC 7638). Our account keys are P-256 and sign as ES256; those that were brought
 * along from another client may be P-384 (ES384) or RSA (RS256) as well, and so may the keys of
 * certificates that are to be revoked. OpenSSL stays behind this header. acmed's signing half
 * only. */
#ifndef ACMED_KEY_JOSE_H
#define ACMED_KEY_JOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    JOSE_JWK_SIZE = 800,       /* of RSA with 4096 bits, and NUL */
    JOSE_THUMBPRINT_SIZE = 44, /* base64url of SHA-256, and NUL */
    JOSE_SIGNATURE = 512,      /* bytes at most: RSA with 4096 bits */
};

struct jose_key;

/* A new P-256 key as PEM: a secret (key/secret.h) with a NUL behind its *n bytes. NULL: OpenSSL
 * failed. */
char *jose_key_new(size_t *n);

/* A private key as JWK, by its members in base64url: RSA (with its factors), P-256 or P-384. As
 * PEM, like jose_key_new(). NULL: it is not one, or its parts do not fit together. */
struct jose_jwk {
    struct str kty, crv, x, y, d, n, e, p, q, dp, dq, qi;
};
char *jose_key_from_jwk(const struct jose_jwk *jwk, size_t *n);

/* NULL: does not parse, or is of another type than those above. */
struct jose_key *jose_key_read(struct str pem);
void jose_key_free(struct jose_key *key);

/* The public half with its members in the order of RFC 7638, and its digest. Return out. */
char *jose_jwk(const struct jose_key *key, char out[JOSE_JWK_SIZE]);
char *jose_thumbprint(const struct jose_key *key, char out[JOSE_THUMBPRINT_SIZE]);

/* base64url without padding. Encode: heap, NUL-terminated; NULL: no memory. Decode: strict
 * (no padding, no other letters, no stray bits); bytes written, or -1. */
char *jose_b64_encode(const void *bytes, size_t n);
ptrdiff_t jose_b64_decode(struct str text, uint8_t *out, size_t cap);

/* base64url of SHA-256 over the text: what dns-01 publishes of a key authorization. */
char *jose_digest(struct str text, char out[JOSE_THUMBPRINT_SIZE]);

/* Signs any bytes; EC signatures are raw r and s of full length. Bytes written, or 0. */
size_t jose_sign(const struct jose_key *key, const void *bytes, size_t n,
                 uint8_t out[JOSE_SIGNATURE]);
/* Whether such a signature holds under the key's public half. */
bool jose_verify(const struct jose_key *key, const void *bytes, size_t n,
                 const uint8_t *signature, size_t n_signature);

/* The flattened JSON of a JWS on the heap; NULL: no memory, or a text with what JSON would
 * have to escape. kid "" means jwk; nonce "" means none (rollover's inner JWS). */
char *jose_jws(const struct jose_key *key, const char *kid, const char *nonce, const char *url,
               struct str payload);
/* externalAccountBinding: HS256 over the key's JWK (RFC 8555 section 7.3.4). hmac: base64url.
 * NULL also when that does not decode. */
char *jose_eab(const struct jose_key *key, const char *kid, struct str hmac, const char *url);

#endif
