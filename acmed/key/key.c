#include "acmed/key/key.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "acmed/key/secret.h"

static void (*heartbeat)(void *arg);
static void *heartbeat_arg;

void key_set_heartbeat(void (*now)(void *arg), void *arg)
{
    heartbeat = now;
    heartbeat_arg = arg;
}

EVP_PKEY *key_new_ec(const char *curve)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
}

static int key_on_progress(EVP_PKEY_CTX *ctx)
{
    (void)ctx;
    if (heartbeat)
        heartbeat(heartbeat_arg);
    return 1;
}

EVP_PKEY *key_new_rsa(size_t bits)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;

    if (ctx && EVP_PKEY_keygen_init(ctx) == 1 &&
        EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits) == 1) {
        EVP_PKEY_CTX_set_cb(ctx, key_on_progress);
        EVP_PKEY_generate(ctx, &key);
    }
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static int no_password(char *buf, int size, int rwflag, void *arg)
{
    (void)buf, (void)size, (void)rwflag;
    *(bool *)arg = true;
    return -1;
}

EVP_PKEY *key_read(struct str pem, bool *encrypted)
{
    BIO *bio = BIO_new_mem_buf(pem.p ? pem.p : "", (int)pem.n); /* no copy */
    bool asked = false;
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, &asked) : NULL;

    BIO_free(bio);
    ERR_clear_error();
    if (encrypted)
        *encrypted = asked;
    return key;
}

char *key_text(const EVP_PKEY *key, size_t *n)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    char *bytes, *text = NULL;
    long size;

    if (bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
        (size = BIO_get_mem_data(bio, &bytes)) > 0 &&
        (text = secret_copy(str_make(bytes, (size_t)size))))
        *n = (size_t)size;
    BIO_free(bio);
    return text;
}

/* An RSA key that has signed keeps a second copy of its primes in ordinary memory, so a copy of
 * the key signs. */
EVP_PKEY *key_once(EVP_PKEY *key)
{
    if (EVP_PKEY_is_a(key, "RSA"))
        return EVP_PKEY_dup(key);
    return EVP_PKEY_up_ref(key) == 1 ? key : NULL;
}
