#include "acmed/cert/pem_leaf.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <time.h>

#include "shm/stored_leaf.h"

static uint64_t pem_leaf_wall_ms(const ASN1_TIME *at)
{
    struct tm tm;
    time_t t;

    if (!ASN1_TIME_to_tm(at, &tm) || (t = timegm(&tm)) < 0)
        return 0;
    return (uint64_t)t * 1000;
}

bool pem_leaf_read(const struct pem_pair *pair, struct pem_leaf *leaf)
{
    BIO *bio = BIO_new_mem_buf(pair->chain, (int)pair->n_chain);
    X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

    *leaf = (struct pem_leaf){0};
    if (cert) {
        leaf->not_before_wall_ms = pem_leaf_wall_ms(X509_get0_notBefore(cert));
        leaf->not_after_wall_ms = pem_leaf_wall_ms(X509_get0_notAfter(cert));
        leaf->names = stored_leaf_names(cert);
    }
    X509_free(cert);
    BIO_free(bio);
    ERR_clear_error();
    return leaf->names != NULL;
}
