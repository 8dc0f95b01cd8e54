#include "acmed/cert/pem_bundle.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "acmed/key/key.h"
#include "acmed/key/secret.h"

enum {
    CERTS_MAX = 100,  /* in one file; more is a list of roots, not a chain */
    CIPHER_SIZE = 48, /* of a cipher's name in an error */
};

struct reading {
    const struct pem_bundle *bundle;
    const char *password;
    EVP_PKEY *key;
    STACK_OF(X509) * certs;
    char *error;
};

static enum pem_bundle_result bad(const struct reading *r, const char *path, const char *what)
{
    snprintf(r->error, PEM_BUNDLE_ERROR, "%.300s: %s", path, what);
    return PEM_BUNDLE_BAD;
}

/* ---- OpenSSL's errors */

/* Was a cipher or digest not available? "Algorithm (RC2-40-CBC : 0), ..." names it. Empties the
 * error queue. */
static bool lacked(char cipher[CIPHER_SIZE])
{
    static const char before[] = "Algorithm (";
    const char *data, *at;
    unsigned long code;
    bool found = false;
    int flags;

    snprintf(cipher, CIPHER_SIZE, "?");
    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        if (ERR_GET_LIB(code) != ERR_LIB_EVP || ERR_GET_REASON(code) != ERR_R_UNSUPPORTED)
            continue;
        at = flags & ERR_TXT_STRING ? strstr(data, before) : NULL;
        if (at && !found) {
            at += sizeof before - 1;
            snprintf(cipher, CIPHER_SIZE, "%.*s", (int)strcspn(at, " )"), at);
        }
        found = true;
    }
    return found;
}

static enum pem_bundle_result pem_bundle_not_opened(const struct reading *r, const char *path,
                                                    const char *convert)
{
    char cipher[CIPHER_SIZE];

    if (!lacked(cipher))
        return bad(r, path, "the password is wrong");
    snprintf(
        r->error, PEM_BUNDLE_ERROR,
        "%.300s: is encrypted with an old cipher (%s), which OpenSSL reads with its legacy "
        "provider only; convert it, import new.pem, and remove that: %s %.300s -out "
        "new.pem",
        path, cipher, convert, path);
    return PEM_BUNDLE_BAD;
}

/* ---- PKCS #12 */

static PKCS12 *parse_p12(struct str text)
{
    const unsigned char *p = (const unsigned char *)text.p;
    PKCS12 *p12 = text.n ? d2i_PKCS12(NULL, &p, (long)text.n) : NULL;

    ERR_clear_error();
    return p12;
}

/* Checks the password against the MAC of the whole file. If none was given, the file may have
 * no password or an empty one, which PKCS #12 distinguishes; *password is set accordingly. */
static bool opens(PKCS12 *p12, const char **password)
{
    if (!PKCS12_mac_present(p12))
        return true;
    if (*password)
        return PKCS12_verify_mac(p12, *password, -1) == 1;
    if (PKCS12_verify_mac(p12, NULL, 0) == 1)
        return true;
    *password = "";
    return PKCS12_verify_mac(p12, "", 0) == 1;
}

static enum pem_bundle_result read_p12(struct reading *r, PKCS12 *p12)
{
    static const char convert[] = "openssl pkcs12 -legacy -nodes -in";
    const char *path = r->bundle->path, *password = r->password;
    X509 *leaf = NULL;
    bool given = password != NULL, opened = opens(p12, &password);

    if (r->bundle->key_path)
        return bad(r, path,
                   "is PKCS #12, which contains its own key: leave out --key. If it has none, "
                   "convert it first (openssl pkcs12 -nokeys), and import the PEM file with "
                   "--key");
    if (!opened && !given)
        return PEM_BUNDLE_LOCKED;
    if (!opened)
        return pem_bundle_not_opened(r, path, convert);
    ERR_clear_error();
    if (PKCS12_parse(p12, password, &r->key, &leaf, &r->certs) != 1)
        return given || PKCS12_mac_present(p12) ? pem_bundle_not_opened(r, path, convert)
                                                : PEM_BUNDLE_LOCKED;
    if (!r->certs)
        r->certs = sk_X509_new_null();
    if (leaf && (!r->certs || sk_X509_push(r->certs, leaf) <= 0))
        X509_free(leaf);
    if (!r->key)
        return bad(
            r, path,
            "holds no key: export it together with its private key, or convert it (openssl "
            "pkcs12 -nokeys) and import the PEM file with --key");
    return PEM_BUNDLE_GOOD;
}

/* ---- PEM */

static int give_password(char *buf, int size, int writing, void *arg)
{
    const struct reading *r = arg;
    size_t n = r->password ? strlen(r->password) : 0;

    (void)writing;
    if (!r->password || n > (size_t)size)
        return -1;
    memcpy(buf, r->password, n);
    return (int)n;
}

static enum pem_bundle_result read_pem_key(struct reading *r)
{
    const struct pem_bundle *b = r->bundle;
    const char *path = b->key_path ? b->key_path : b->path;
    struct str text = b->key_path ? b->key_text : b->text;
    BIO *bio;
    bool encrypted;

    r->key = key_read(text, &encrypted);
    if (r->key)
        return PEM_BUNDLE_GOOD;
    if (!encrypted)
        return bad(r, path,
                   b->key_path ? "holds no key in PEM"
                               : "holds no key in PEM: give the file of the key with --key");
    if (!r->password)
        return PEM_BUNDLE_LOCKED;
    bio = BIO_new_mem_buf(text.p, (int)text.n);
    r->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_password, r) : NULL;
    BIO_free(bio);
    return r->key ? PEM_BUNDLE_GOOD
                  : pem_bundle_not_opened(
                        r, path, "openssl pkey -provider legacy -provider default -in");
}

static enum pem_bundle_result pem_bundle_read_pem(struct reading *r)
{
    struct str text = r->bundle->text;
    BIO *bio = BIO_new_mem_buf(text.p ? text.p : "", (int)text.n);
    X509 *cert;

    r->certs = sk_X509_new_null();
    while (bio && r->certs && sk_X509_num(r->certs) < CERTS_MAX &&
           (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        if (sk_X509_push(r->certs, cert) <= 0)
            X509_free(cert);
    BIO_free(bio);
    ERR_clear_error();
    if (sk_X509_num(r->certs) <= 0)
        return bad(r, r->bundle->path, "holds no certificate, neither in PEM nor PKCS #12");
    return read_pem_key(r);
}

/* ---- both */

static X509 *leaf_of(const struct reading *r)
{
    for (int i = 0; i < sk_X509_num(r->certs); i++)
        if (X509_check_private_key(sk_X509_value(r->certs, i), r->key) == 1)
            return sk_X509_value(r->certs, i);
    return NULL;
}

static bool signed_itself(X509 *cert)
{
    return X509_check_issued(cert, cert) == X509_V_OK;
}

static X509 *issuer_of(const struct reading *r, X509 *cert)
{
    for (int i = 0; i < sk_X509_num(r->certs); i++) {
        X509 *other = sk_X509_value(r->certs, i);

        if (X509_check_issued(other, cert) == X509_V_OK &&
            X509_verify(cert, X509_get0_pubkey(other)) == 1)
            return other;
    }
    return NULL;
}

/* NULL: no memory. */
static char *chain_text(const struct reading *r, X509 *leaf, size_t *n)
{
    BIO *bio = BIO_new(BIO_s_mem());
    X509 *cert = leaf;
    char *bytes, *text = NULL;
    long size;
    bool good = bio != NULL;

    for (int i = 0; good && cert && i <= sk_X509_num(r->certs); i++) {
        good = PEM_write_bio_X509(bio, cert) == 1;
        cert = signed_itself(cert) ? NULL : issuer_of(r, cert);
        if (cert && signed_itself(cert))
            cert = NULL; /* clients have the root, or do not trust it */
    }
    if (good && (size = BIO_get_mem_data(bio, &bytes)) > 0 &&
        (text = secret_copy(str_make(bytes, (size_t)size))))
        *n = (size_t)size;
    BIO_free(bio);
    return text;
}

static enum pem_bundle_result pem_bundle_make_pair(const struct reading *r,
                                                   struct pem_pair *pair)
{
    X509 *leaf = leaf_of(r);

    if (sk_X509_num(r->certs) <= 0)
        return bad(r, r->bundle->path, "holds no certificate");
    if (!leaf)
        return bad(r, r->bundle->path, "the key does not match any certificate in it");
    pair->chain = chain_text(r, leaf, &pair->n_chain);
    pair->key = key_text(r->key, &pair->n_key);
    if (pair->chain && pair->key)
        return PEM_BUNDLE_GOOD;
    pem_pair_release(pair);
    return bad(r, r->bundle->path, "no memory");
}

enum pem_bundle_result pem_bundle_read(const struct pem_bundle *bundle, const char *password,
                                       struct pem_pair *pair, char error[PEM_BUNDLE_ERROR])
{
    struct reading r = {.bundle = bundle, .password = password, .error = error};
    PKCS12 *p12 = parse_p12(bundle->text);
    enum pem_bundle_result result;

    *pair = (struct pem_pair){0};
    error[0] = '\0';
    result = p12 ? read_p12(&r, p12) : pem_bundle_read_pem(&r);
    if (result == PEM_BUNDLE_GOOD)
        result = pem_bundle_make_pair(&r, pair);
    PKCS12_free(p12);
    EVP_PKEY_free(r.key);
    sk_X509_pop_free(r.certs, X509_free);
    ERR_clear_error();
    return result;
}
