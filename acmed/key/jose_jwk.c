/* Converts keys of other clients from JWK (RFC 7517, 7518 section 6) to PEM. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#include "acmed/key/jose.h"
#include "acmed/key/key.h"

enum {
    NUMBER_MAX = 1024, /* bytes of one number: 8192-bit RSA */
    NUMBERS = 8,       /* of an RSA key */
    POINT_MAX = 1 + 2 * 48,
};

/* A key under construction. */
struct made {
    OSSL_PARAM_BLD *build;
    BIGNUM *number[NUMBERS];
    int n;
};

static bool jose_jwk_add_number(struct made *m, const char *name, struct str text)
{
    uint8_t bytes[NUMBER_MAX];
    ptrdiff_t n = jose_b64_decode(text, bytes, sizeof bytes);
    BIGNUM *number = n > 0 ? BN_secure_new() : NULL;
    bool added = number && BN_bin2bn(bytes, (int)n, number) &&
                 OSSL_PARAM_BLD_push_BN(m->build, name, number) == 1;

    m->number[m->n] = number; /* the builder only borrows it */
    m->n += number != NULL;
    explicit_bzero(bytes, sizeof bytes);
    return added;
}

static EVP_PKEY *jose_jwk_finish(struct made *m, const char *type)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(m->build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;

    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *make_rsa(struct made *m, const struct jose_jwk *jwk)
{
    bool whole = jose_jwk_add_number(m, OSSL_PKEY_PARAM_RSA_N, jwk->n) &&
                 jose_jwk_add_number(m, OSSL_PKEY_PARAM_RSA_E, jwk->e) &&
                 jose_jwk_add_number(m, OSSL_PKEY_PARAM_RSA_D, jwk->d);
    bool factors = whole && jwk->p.n &&
                   jose_jwk_add_number(m, OSSL_PKEY_PARAM_RSA_FACTOR1, jwk->p) &&
                   jose_jwk_add_number(m, OSSL_PKEY_PARAM_RSA_FACTOR2, jwk->q) &&
                   jose_jwk_add_number(m, OSSL_PKEY_PARAM_RSA_EXPONENT1, jwk->dp) &&
                   jose_jwk_add_number(m, OSSL_PKEY_PARAM_RSA_EXPONENT2, jwk->dq) &&
                   jose_jwk_add_number(m, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, jwk->qi);

    return factors ? jose_jwk_finish(m, "RSA") : NULL;
}

/* x and y in the format of an uncompressed point, each of full width. */
static size_t make_point(const struct jose_jwk *jwk, size_t width, uint8_t out[POINT_MAX])
{
    out[0] = 4;
    if (jose_b64_decode(jwk->x, out + 1, width) != (ptrdiff_t)width ||
        jose_b64_decode(jwk->y, out + 1 + width, width) != (ptrdiff_t)width)
        return 0;
    return 1 + 2 * width;
}

static EVP_PKEY *make_ec(struct made *m, const struct jose_jwk *jwk)
{
    bool big = str_eq(jwk->crv, STR("P-384"));
    uint8_t point[POINT_MAX];
    size_t n = make_point(jwk, big ? 48 : 32, point);

    if ((!big && !str_eq(jwk->crv, STR("P-256"))) || n == 0 ||
        OSSL_PARAM_BLD_push_utf8_string(m->build, OSSL_PKEY_PARAM_GROUP_NAME,
                                        big ? "P-384" : "P-256", 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(m->build, OSSL_PKEY_PARAM_PUB_KEY, point, n) != 1 ||
        !jose_jwk_add_number(m, OSSL_PKEY_PARAM_PRIV_KEY, jwk->d))
        return NULL;
    return jose_jwk_finish(m, "EC");
}

/* Whether the public and private halves belong together. */
static bool sound(EVP_PKEY *key)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool good = ctx && EVP_PKEY_pairwise_check(ctx) == 1;

    EVP_PKEY_CTX_free(ctx);
    return good;
}

char *jose_key_from_jwk(const struct jose_jwk *jwk, size_t *n)
{
    struct made m = {.build = OSSL_PARAM_BLD_new()};
    EVP_PKEY *key = NULL;
    char *pem = NULL;

    if (m.build && str_eq(jwk->kty, STR("RSA")))
        key = make_rsa(&m, jwk);
    else if (m.build && str_eq(jwk->kty, STR("EC")))
        key = make_ec(&m, jwk);
    if (key && sound(key))
        pem = key_text(key, n);
    EVP_PKEY_free(key);
    OSSL_PARAM_BLD_free(m.build);
    for (int i = 0; i < m.n; i++)
        BN_clear_free(m.number[i]);
    ERR_clear_error();
    return pem;
}
