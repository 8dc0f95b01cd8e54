/* Session tickets (RFC 5077, RFC 8446 section 4.6.1) with the supervisor's key ring. */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <string.h>

#include "worker/tls/internal.h"

enum {
    TICKET_LIFE_S = TICKET_ROTATE_MS / 1000, /* a key decrypts for one to two rotations */
};

/* Return values of the callback (SSL_CTX_set_tlsext_ticket_key_evp_cb(3)). */
enum { TICKET_ERROR = -1, TICKET_NONE = 0, TICKET_GOOD = 1, TICKET_RENEW = 2 };

static bool ticket_mac_key(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->hmac,
                                          sizeof key->hmac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int ticket_seal(const struct tls_engine *engine, uint8_t *name, uint8_t *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    const struct ticket_key *key = &engine->ring.key[0];

    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(engine->ticket_cipher)) != 1 ||
        EVP_EncryptInit_ex2(cipher, engine->ticket_cipher, key->aes, iv, NULL) != 1 ||
        !ticket_mac_key(mac, key))
        return TICKET_ERROR;
    memcpy(name, key->name, sizeof key->name);
    return TICKET_GOOD;
}

static int ticket_open(const struct tls_engine *engine, const uint8_t *name, const uint8_t *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    for (int i = 0; i < TICKET_KEYS; i++) {
        const struct ticket_key *key = &engine->ring.key[i];

        if (CRYPTO_memcmp(name, key->name, sizeof key->name) != 0)
            continue;
        if (EVP_DecryptInit_ex2(cipher, engine->ticket_cipher, key->aes, iv, NULL) != 1 ||
            !ticket_mac_key(mac, key))
            return TICKET_ERROR;
        return i == 0 ? TICKET_GOOD : TICKET_RENEW;
    }
    return TICKET_NONE; /* leads to a full handshake */
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int sealing)
{
    const struct tls_engine *engine = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (!engine->have_ring)
        return TICKET_NONE;
    return sealing ? ticket_seal(engine, name, iv, cipher, mac)
                   : ticket_open(engine, name, iv, cipher, mac);
}

int tls_ticket_setup(struct tls_engine *engine, SSL_CTX *ctx)
{
    /* OpenSSL does not send tickets by itself: that would cost a packet right after the
     * handshake. See tls_ticket_send(). */
    if (SSL_CTX_set_num_tickets(ctx, 0) != 1)
        return -1;
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (!engine->conf->tls.tickets) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        return 0;
    }
    SSL_CTX_set_timeout(ctx, TICKET_LIFE_S);
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1 ? 0 : -1;
}

void tls_ticket_send(struct tls_conn *conn)
{
    conn->ticketed = true;
    if (conn->engine->have_ring && conn->engine->conf->tls.tickets &&
        SSL_version(conn->ssl) >= TLS1_3_VERSION)
        SSL_new_session_ticket(conn->ssl);
}

void tls_engine_tickets(struct tls_engine *engine, const struct ticket_ring *ring)
{
    OPENSSL_cleanse(&engine->ring, sizeof engine->ring);
    engine->ring = *ring;
    engine->have_ring = true;
}
