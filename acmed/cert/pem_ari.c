#include "acmed/cert/pem_ari.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

static size_t copy(uint8_t out[ARI_PART], const uint8_t *bytes, long n)
{
    if (!bytes || n <= 0 || n > ARI_PART)
        return 0;
    memcpy(out, bytes, (size_t)n);
    return (size_t)n;
}

/* The content octets of the DER INTEGER, with the leading 00 that a set high bit needs. */
static size_t serial_of(X509 *cert, uint8_t out[ARI_PART])
{
    uint8_t *der = NULL;
    const uint8_t *content;
    int n = i2d_ASN1_INTEGER(X509_get_serialNumber(cert), &der), tag, class;
    long length = 0;
    size_t copied = 0;

    content = der;
    if (n > 0 && !(ASN1_get_object(&content, &length, &tag, &class, n) & 0x80))
        copied = copy(out, content, length);
    OPENSSL_free(der);
    return copied;
}

char *pem_ari(char out[ARI_ID_SIZE], struct str chain)
{
    BIO *bio = BIO_new_mem_buf(chain.p, (int)chain.n);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    const ASN1_OCTET_STRING *key_id = cert ? X509_get0_authority_key_id(cert) : NULL;
    struct ari_parts parts = {0};

    if (key_id) {
        parts.n_key_id =
            copy(parts.key_id, ASN1_STRING_get0_data(key_id), ASN1_STRING_length(key_id));
        parts.n_serial = serial_of(cert, parts.serial);
    }
    ari_id(out, &parts);
    X509_free(cert);
    BIO_free(bio);
    ERR_clear_error();
    return out;
}
