/* Records of TLS 1.2 that OpenSSL's client cannot be made to send: of type handshake, with only
 * the header of a ClientHello. A server that does not renegotiate gets no plaintext out of
 * them, and responds to each with an alert. For ECDHE-ECDSA-AES128-GCM-SHA256. */
#ifndef T_TOOLS_TLS12_H
#define T_TOOLS_TLS12_H

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    TLS12_KEY = 16,
    TLS12_SALT = 4,
    TLS12_NONCE = 8,
    TLS12_TAG = 16,
    TLS12_HEAD = 5,
    TLS12_HELLO = 4,
    TLS12_RECORD = TLS12_HEAD + TLS12_NONCE + TLS12_HELLO + TLS12_TAG,
};

#define TLS12_CIPHER "ECDHE-ECDSA-AES128-GCM-SHA256"

/* The client's write key and salt (RFC 5246 section 6.3, RFC 5288 section 3). */
static bool tls12_key(SSL *ssl, unsigned char key[TLS12_KEY], unsigned char salt[TLS12_SALT])
{
    unsigned char master[48], seed[64], block[2 * TLS12_KEY + 2 * TLS12_SALT];
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    char digest[] = "SHA256", label[] = "key expansion";
    bool can;

    SSL_get_server_random(ssl, seed, 32);
    SSL_get_client_random(ssl, seed + 32, 32);
    can = SSL_SESSION_get_master_key(SSL_get0_session(ssl), master, sizeof master) ==
          sizeof master;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, sizeof master),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label, sizeof label - 1),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed),
        OSSL_PARAM_construct_end(),
    };
    can = can && EVP_KDF_derive(ctx, block, sizeof block, params) == 1;
    memcpy(key, block, TLS12_KEY);
    memcpy(salt, block + 2 * TLS12_KEY, TLS12_SALT);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return can;
}

static bool tls12_put(unsigned char to[TLS12_RECORD], EVP_CIPHER_CTX *ctx,
                      const unsigned char *key, const unsigned char *salt, uint64_t sequence)
{
    static const unsigned char hello[TLS12_HELLO] = {SSL3_MT_CLIENT_HELLO};
    unsigned char iv[TLS12_SALT + TLS12_NONCE], aad[8 + TLS12_HEAD];
    unsigned char *text = to + TLS12_HEAD + TLS12_NONCE;
    int n;

    for (int i = 0; i < 8; i++)
        aad[i] = (unsigned char)(sequence >> (56 - 8 * i));
    memcpy(aad + 8, (unsigned char[]){22, 3, 3, 0, TLS12_HELLO}, TLS12_HEAD);
    memcpy(iv, salt, TLS12_SALT);
    memcpy(iv + TLS12_SALT, aad, TLS12_NONCE);
    memcpy(to, (unsigned char[]){22, 3, 3, 0, TLS12_RECORD - TLS12_HEAD}, TLS12_HEAD);
    memcpy(to + TLS12_HEAD, aad, TLS12_NONCE);
    return EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, iv) == 1 &&
           EVP_EncryptUpdate(ctx, NULL, &n, aad, sizeof aad) == 1 &&
           EVP_EncryptUpdate(ctx, text, &n, hello, TLS12_HELLO) == 1 &&
           EVP_EncryptFinal_ex(ctx, text + TLS12_HELLO, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TLS12_TAG, text + TLS12_HELLO) == 1;
}

#endif
