/* JOSE: base64url, the vectors of RFC 7515 and 7638, external accounts, what is refused. */
#include <stdlib.h>

#include "acmed/key/jose.h"
#include "acmed/key/secret.h"
#include "t/unit/tap.h"

/* RFC 7515 appendix A.3: the key as PEM, and the example's input and signature. */
static const char a3_pem[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEII6bEJ5xkJi/mASH3x9dd+nLKWBuvtImO19XwhPfhPSyoAoGCCqGSM49\n"
    "AwEHoUQDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEXH8UTNG72b\n"
    "focs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
    "-----END EC PRIVATE KEY-----\n";
static const char a3_input[] =
    "eyJhbGciOiJFUzI1NiJ9."
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
    "cnVlfQ";
static const char a3_signature[] =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

static void test_base64url(void)
{
    static const struct {
        const char *plain, *encoded;
    } pairs[] = {{"", ""},
                 {"f", "Zg"},
                 {"fo", "Zm8"},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg"},
                 {"fooba", "Zm9vYmE"},
                 {"foobar", "Zm9vYmFy"},
                 {"\xff\xfe\xfb", "__77"}};
    static const char *const bad[] = {"A",     "Zg==", "Zh",   "Zm9",
                                      "Zm 9v", "Zm+v", "Zm/v", "Zm9v\n"};
    uint8_t out[16];

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *text = jose_b64_encode(pairs[i].plain, strlen(pairs[i].plain));
        ptrdiff_t n = jose_b64_decode(str_from(pairs[i].encoded), out, sizeof out);

        is_str(text, pairs[i].encoded, "base64url of %zu bytes", strlen(pairs[i].plain));
        is_mem(out, (size_t)n, pairs[i].plain, strlen(pairs[i].plain), "  and back");
        free(text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        is_int(jose_b64_decode(str_from(bad[i]), out, sizeof out), -1, "refused: bad text %zu",
               i);
    is_int(jose_b64_decode(STR("Zm9v"), out, 2), -1, "refused: no room");
}

static void test_rfc7515(void)
{
    struct jose_key *key = jose_key_read(str_from(a3_pem));
    char jwk[JOSE_JWK_SIZE];
    uint8_t signature[JOSE_SIGNATURE];
    ptrdiff_t n = jose_b64_decode(str_from(a3_signature), signature, sizeof signature);

    is_int(n, 64, "RFC 7515 A.3: the signature is 64 bytes");
    if (!ok(key != NULL, "the key parses"))
        return;
    is_str(jose_jwk(key, jwk),
           "{\"crv\":\"P-256\",\"kty\":\"EC\","
           "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
           "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
           "its JWK, members in order");
    ok(jose_verify(key, a3_input, strlen(a3_input), signature, 64), "the signature holds");
    signature[5] ^= 1;
    ok(!jose_verify(key, a3_input, strlen(a3_input), signature, 64), "one bit else: not");
    ok(!jose_verify(key, a3_input, strlen(a3_input), signature, 63), "one byte less: not");
    for (int i = 0; i < 600; i++) /* one r or s in 128 starts with a zero byte */
        if (jose_sign(key, &i, sizeof i, signature) != 64 ||
            !jose_verify(key, &i, sizeof i, signature, 64)) {
            fail("signature %d", i);
            break;
        }
    pass("600 signatures of 64 bytes each hold");
    jose_key_free(key);
}

/* RFC 7638 section 3.1: the digest of the canonical form of its RSA key. */
static void test_thumbprint(void)
{
    static const char canonical[] =
        "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":"
        "\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tS"
        "oc"
        "_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-"
        "65YGjQR0"
        "_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"
        "bFTWhA"
        "I4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\"}";
    char out[JOSE_THUMBPRINT_SIZE], jwk[JOSE_JWK_SIZE], again[JOSE_THUMBPRINT_SIZE];
    struct jose_key *key = jose_key_read(str_from(a3_pem));

    is_str(jose_digest(str_from(canonical), out), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
           "RFC 7638: the thumbprint");
    jose_digest(str_from(jose_jwk(key, jwk)), out);
    is_str(jose_thumbprint(key, again), out, "ours is that of the JWK");
    is_int(strlen(again), 43, "43 letters");
    jose_key_free(key);
}

static void test_keys(void)
{
    size_t n = 0;
    char *pem = jose_key_new(&n);
    struct jose_key *key = jose_key_read(str_make(pem, n));

    ok(key != NULL, "a new key reads back");
    jose_key_free(key);
    ok(!jose_key_read(str_make(pem, n / 2)), "half a key is none");
    ok(!jose_key_read(STR("nonsense")) && !jose_key_read(STR_EMPTY), "nor is anything else");
    secret_free(pem);
}

/* The value of "name" in flat JSON, up to the next quote. */
static struct str member(const char *json, const char *name)
{
    char pattern[64];
    const char *at, *end;

    snprintf(pattern, sizeof pattern, "\"%s\":\"", name);
    at = strstr(json, pattern);
    if (!at)
        return STR_EMPTY;
    at += strlen(pattern);
    end = strchr(at, '"');
    return str_span(at, end);
}

static const char *decoded(struct str text)
{
    static char out[2048];
    ptrdiff_t n = jose_b64_decode(text, (uint8_t *)out, sizeof out - 1);

    out[n < 0 ? 0 : n] = '\0';
    return out;
}

static void test_jws(void)
{
    struct jose_key *key = jose_key_read(str_from(a3_pem));
    char *jws =
        jose_jws(key, "https://ca.test/acct/1", "n0", "https://ca.test/order", STR("{}"));
    uint8_t signature[JOSE_SIGNATURE];
    char input[2048];
    ptrdiff_t n;

    is_str(decoded(member(jws, "protected")),
           "{\"alg\":\"ES256\",\"kid\":\"https://ca.test/acct/1\",\"nonce\":\"n0\","
           "\"url\":\"https://ca.test/order\"}",
           "a JWS names the account");
    is_str(decoded(member(jws, "payload")), "{}", "  its payload");
    snprintf(input, sizeof input, "%.*s.%.*s", STR_ARG(member(jws, "protected")),
             STR_ARG(member(jws, "payload")));
    n = jose_b64_decode(member(jws, "signature"), signature, sizeof signature);
    ok(n == 64 && jose_verify(key, input, strlen(input), signature, 64), "  its signature");
    free(jws);

    jws = jose_jws(key, "", "n1", "https://ca.test/x", STR_EMPTY);
    ok(strstr(decoded(member(jws, "protected")), "\"jwk\":{\"crv\"") != NULL, "or has the JWK");
    is_int(member(jws, "payload").n, 0, "  POST-as-GET: an empty payload");
    free(jws);
    ok(!jose_jws(key, "", "n", "https://ca.test/\"x", STR_EMPTY), "a quote in a URL: none");
    jose_key_free(key);
}

static void test_eab(void)
{
    struct jose_key *key = jose_key_read(str_from(a3_pem));
    char *eab = jose_eab(key, "kid-1",
                         STR("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH7"
                             "5aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"),
                         "https://ca.test/new-account");
    char jwk[JOSE_JWK_SIZE];

    is_str(decoded(member(eab, "protected")),
           "{\"alg\":\"HS256\",\"kid\":\"kid-1\",\"url\":\"https://ca.test/new-account\"}",
           "EAB: HS256, the CA's kid, no nonce");
    is_str(decoded(member(eab, "payload")), jose_jwk(key, jwk), "  over the account's JWK");
    is_int(member(eab, "signature").n, 43, "  a MAC of 32 bytes");
    free(eab);
    ok(!jose_eab(key, "kid-1", STR("not base64url!"), "https://ca.test/"), "a bad key: none");
    ok(!jose_eab(key, "kid-1", STR_EMPTY, "https://ca.test/"), "no key: none");
    jose_key_free(key);
}

/* The keys of RFC 7515, appendices A.2 (whose factors are not given there) and A.3. */
static void test_jwk(void)
{
    struct jose_jwk ec = {
        .kty = STR("EC"),
        .crv = STR("P-256"),
        .x = STR("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
        .y = STR("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
        .d = STR("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"),
    };
    char jwk[JOSE_JWK_SIZE];
    struct jose_key *key;
    size_t n = 0;
    char *pem = jose_key_from_jwk(&ec, &n);

    ok(pem && strlen(pem) == n, "a P-256 key as JWK becomes PEM");
    key = jose_key_read(str_make(pem, n));
    ok(key && strstr(jose_jwk(key, jwk), ec.x.p) && strstr(jwk, ec.y.p), "it is the same key");
    jose_key_free(key);
    secret_free(pem);
    ec.d = STR("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LA");
    ok(!jose_key_from_jwk(&ec, &n), "halves of two keys are none");
    ec.x = STR("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVE");
    ok(!jose_key_from_jwk(&ec, &n), "nor is a number that is too short");
    ec.crv = STR("secp256k1");
    ok(!jose_key_from_jwk(&ec, &n), "nor another curve");
    ok(!jose_key_from_jwk(&(struct jose_jwk){.kty = STR("RSA"), .n = STR("AQAB")}, &n),
       "nor half of an RSA key");
    ok(!jose_key_from_jwk(&(struct jose_jwk){.kty = STR("oct")}, &n), "nor a secret");
}

int main(void)
{
    test_base64url();
    test_rfc7515();
    test_thumbprint();
    test_keys();
    test_jws();
    test_eab();
    test_jwk();
    return done();
}
