#include "acmed/key/jose.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "acmed/key/key.h"
#include "acmed/key/secret.h"

enum {
    KEY_BYTES_MAX = 512, /* of one number of a public key: 4096-bit RSA */
    RSA_BITS_MIN = 2048, /* the minimum that CAs ask for */
    RSA_BITS_MAX = 8 * KEY_BYTES_MAX,
    HMAC_MAX = 256, /* bytes of an EAB key; usually 32 or 64 */
};

struct jose_key {
    EVP_PKEY *pkey;
    const char *algorithm; /* of JWS */
    const char *curve;     /* of JWK; NULL: RSA */
    const EVP_MD *digest;
    int coordinate; /* bytes; EC only */
};

/* ---- base64url */

static const char letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *jose_b64_encode(const void *bytes, size_t n)
{
    const uint8_t *in = bytes;
    char *out = malloc(n / 3 * 4 + 5), *to = out;
    uint32_t bits = 0;
    unsigned have = 0;

    if (!out)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        bits = (bits << 8 | in[i]) & 0xffff; /* only 6 old bits and 8 new ones are needed */
        for (have += 8; have >= 6; have -= 6)
            *to++ = letters[bits >> (have - 6) & 63];
    }
    if (have)
        *to++ = letters[bits << (6 - have) & 63];
    *to = '\0';
    return out;
}

static int letter_value(char c)
{
    const char *at = c ? strchr(letters, c) : NULL;

    return at ? (int)(at - letters) : -1;
}

ptrdiff_t jose_b64_decode(struct str text, uint8_t *out, size_t cap)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;

    if (text.n % 4 == 1)
        return -1;
    for (size_t i = 0; i < text.n; i++) {
        int value = letter_value(text.p[i]);

        if (value < 0)
            return -1;
        bits = (bits << 6 | (uint32_t)value) & 0xfffff;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        if (n == cap)
            return -1;
        out[n++] = (uint8_t)(bits >> have);
    }
    return bits & ((1u << have) - 1) ? -1 : (ptrdiff_t)n;
}

/* ---- keys */

char *jose_key_new(size_t *n)
{
    EVP_PKEY *pkey = key_new_ec("P-256");
    char *pem = pkey ? key_text(pkey, n) : NULL;

    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return pem;
}

static bool is_group(const EVP_PKEY *pkey, const char *name)
{
    char group[32] = "";

    return EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group,
                                          NULL) == 1 &&
           strcmp(group, name) == 0;
}

/* Sets how a key of this type signs. false: unsupported. */
static bool set_type(struct jose_key *key)
{
    int bits = EVP_PKEY_get_bits(key->pkey);

    key->digest = EVP_sha256();
    if (EVP_PKEY_is_a(key->pkey, "RSA")) {
        key->algorithm = "RS256";
        return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX;
    }
    if (!EVP_PKEY_is_a(key->pkey, "EC"))
        return false;
    if (is_group(key->pkey, "prime256v1")) {
        key->algorithm = "ES256";
        key->curve = "P-256";
        key->coordinate = 32;
        return true;
    }
    key->algorithm = "ES384";
    key->curve = "P-384";
    key->coordinate = 48;
    key->digest = EVP_sha384();
    return is_group(key->pkey, "secp384r1");
}

struct jose_key *jose_key_read(struct str pem)
{
    struct jose_key *key = calloc(1, sizeof *key);

    if (key)
        key->pkey = key_read(pem, NULL);
    if (key && key->pkey && set_type(key))
        return key;
    jose_key_free(key);
    return NULL;
}

void jose_key_free(struct jose_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey); /* OpenSSL wipes it */
    free(key);
}

/* One number of the public half in base64url, padded to `width` bytes (0: no leading zero). */
static char *public_number(const struct jose_key *key, const char *name, int width)
{
    uint8_t bytes[KEY_BYTES_MAX];
    BIGNUM *number = NULL;
    char *text = NULL;
    int n;

    if (EVP_PKEY_get_bn_param(key->pkey, name, &number) == 1) {
        n = width ? width : BN_num_bytes(number);
        if (n <= KEY_BYTES_MAX && BN_bn2binpad(number, bytes, n) == n)
            text = jose_b64_encode(bytes, (size_t)n);
    }
    BN_free(number);
    return text;
}

char *jose_jwk(const struct jose_key *key, char out[JOSE_JWK_SIZE])
{
    const bool ec = key->curve != NULL;
    char *one = public_number(key, ec ? OSSL_PKEY_PARAM_EC_PUB_X : OSSL_PKEY_PARAM_RSA_E,
                              key->coordinate);
    char *two = public_number(key, ec ? OSSL_PKEY_PARAM_EC_PUB_Y : OSSL_PKEY_PARAM_RSA_N,
                              key->coordinate);

    out[0] = '\0';
    if (one && two && ec)
        snprintf(out, JOSE_JWK_SIZE,
                 "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", key->curve, one,
                 two);
    else if (one && two)
        snprintf(out, JOSE_JWK_SIZE, "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", one, two);
    free(one);
    free(two);
    return out;
}

char *jose_digest(struct str text, char out[JOSE_THUMBPRINT_SIZE])
{
    uint8_t digest[32];
    char *encoded = NULL;

    if (EVP_Digest(text.p ? text.p : "", text.n, digest, NULL, EVP_sha256(), NULL) == 1)
        encoded = jose_b64_encode(digest, sizeof digest);
    snprintf(out, JOSE_THUMBPRINT_SIZE, "%s", encoded ? encoded : "");
    free(encoded);
    return out;
}

char *jose_thumbprint(const struct jose_key *key, char out[JOSE_THUMBPRINT_SIZE])
{
    char jwk[JOSE_JWK_SIZE];

    return jose_digest(str_from(jose_jwk(key, jwk)), out);
}

/* ---- signatures */

/* DER to raw r and s, each left-padded (RFC 7518 section 3.4). */
static size_t raw_signature(const uint8_t *der, size_t n, int coordinate, uint8_t *out)
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)n);
    size_t written = 0;

    if (pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, coordinate) == coordinate &&
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + coordinate, coordinate) == coordinate)
        written = 2 * (size_t)coordinate;
    ECDSA_SIG_free(pair);
    return written;
}

/* Raw to DER, on the heap. NULL: not a pair of numbers. */
static uint8_t *der_signature(const uint8_t *raw, int coordinate, int *n)
{
    BIGNUM *r = BN_bin2bn(raw, coordinate, NULL),
           *s = BN_bin2bn(raw + coordinate, coordinate, NULL);
    ECDSA_SIG *pair = ECDSA_SIG_new();
    uint8_t *der = NULL;

    if (r && s && pair && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL; /* owned by the pair now */
        *n = i2d_ECDSA_SIG(pair, &der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return der;
}

size_t jose_sign(const struct jose_key *key, const void *bytes, size_t n,
                 uint8_t out[JOSE_SIGNATURE])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY *once = key_once(key->pkey);
    uint8_t signature[JOSE_SIGNATURE];
    size_t size = sizeof signature, written = 0;

    if (ctx && once && EVP_DigestSignInit(ctx, NULL, key->digest, NULL, once) == 1 &&
        EVP_DigestSign(ctx, signature, &size, bytes, n) == 1) {
        if (key->curve) {
            written = raw_signature(signature, size, key->coordinate, out);
        } else {
            memcpy(out, signature, size);
            written = size;
        }
    }
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(once);
    ERR_clear_error();
    return written;
}

bool jose_verify(const struct jose_key *key, const void *bytes, size_t n,
                 const uint8_t *signature, size_t n_signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t *der = NULL;
    bool good = false;
    int n_der = 0;

    if (key->curve && n_signature == 2 * (size_t)key->coordinate)
        der = der_signature(signature, key->coordinate, &n_der);
    if (ctx && (der || !key->curve) &&
        EVP_DigestVerifyInit(ctx, NULL, key->digest, NULL, key->pkey) == 1)
        good = EVP_DigestVerify(ctx, der ? der : signature, der ? (size_t)n_der : n_signature,
                                bytes, n) == 1;
    OPENSSL_free(der);
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return good;
}

/* ---- JWS */

/* Whether the text needs no escaping in a JSON string. */
static bool jose_plain(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\' || *text == 0x7f)
            return false;
    return true;
}

/* "protected.payload", which is what is signed. Frees both parts. */
static char *signing_input(char *protected, char *payload)
{
    char *input = NULL;

    if (!protected || !payload || asprintf(&input, "%s.%s", protected, payload) < 0)
        input = NULL;
    free(protected);
    free(payload);
    return input;
}

/* The flattened JSON of input and signature. Frees input. */
static char *flatten(char *input, const uint8_t *signature, size_t n)
{
    char *encoded = n ? jose_b64_encode(signature, n) : NULL, *dot = strchr(input, '.');
    char *jws = NULL;

    if (encoded &&
        asprintf(&jws, "{\"protected\":\"%.*s\",\"payload\":\"%s\",\"signature\":\"%s\"}",
                 (int)(dot - input), input, dot + 1, encoded) < 0)
        jws = NULL;
    free(encoded);
    free(input);
    return jws;
}

/* The protected header in base64url. */
static char *make_header(const char *algorithm, const char *jwk, const char *kid,
                         const char *nonce, const char *url)
{
    char *header = NULL, *encoded = NULL;
    int n;

    if (!jose_plain(kid) || !jose_plain(nonce) || !jose_plain(url))
        return NULL;
    n = asprintf(&header, "{\"alg\":\"%s\",%s%s%s%s%s%s,\"url\":\"%s\"}", algorithm,
                 jwk ? "\"jwk\":" : "\"kid\":\"", jwk ? jwk : kid, jwk ? "" : "\"",
                 nonce[0] ? ",\"nonce\":\"" : "", nonce, nonce[0] ? "\"" : "", url);
    if (n > 0) {
        encoded = jose_b64_encode(header, (size_t)n);
        free(header);
    }
    return encoded;
}

char *jose_jws(const struct jose_key *key, const char *kid, const char *nonce, const char *url,
               struct str payload)
{
    char jwk[JOSE_JWK_SIZE], *input;
    uint8_t signature[JOSE_SIGNATURE];
    size_t n;

    input = signing_input(
        make_header(key->algorithm, kid[0] ? NULL : jose_jwk(key, jwk), kid, nonce, url),
        jose_b64_encode(payload.p, payload.n));
    if (!input)
        return NULL;
    n = jose_sign(key, input, strlen(input), signature);
    return flatten(input, signature, n);
}

char *jose_eab(const struct jose_key *key, const char *kid, struct str hmac, const char *url)
{
    char jwk[JOSE_JWK_SIZE], *input = NULL;
    uint8_t secret[HMAC_MAX], mac[32];
    ptrdiff_t n = jose_b64_decode(hmac, secret, sizeof secret);
    unsigned n_mac = 0;

    if (n > 0) {
        jose_jwk(key, jwk);
        input = signing_input(make_header("HS256", NULL, kid, "", url),
                              jose_b64_encode(jwk, strlen(jwk)));
    }
    if (input &&
        !HMAC(EVP_sha256(), secret, (int)n, (const uint8_t *)input, strlen(input), mac, &n_mac))
        n_mac = 0;
    explicit_bzero(secret, sizeof secret);
    return input ? flatten(input, mac, n_mac) : NULL;
}
