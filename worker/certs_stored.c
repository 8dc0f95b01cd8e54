#include "worker/certs_stored.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"
#include "shm/certs.h"
#include "shm/stored.h"
#include "shm/stored_leaf.h"
#include "worker/core/core.h"
#include "worker/tls/tls.h"

enum {
    PATH_MAX_BYTES = 4096,
    SHA256_SIZE = 32,
    LOOK_MS = 5000, /* for all directories; a disk may be slow, and the service must start */
};

struct leaf {
    X509 *cert;
    char *names; /* as stored_covers() takes them */
};

/* The list of revoked certificates. */
struct revoked {
    char *list; /* NULL: there is none, or it cannot be read */
    bool unreadable;
};

/* As acmed does (cert/revoked.h): what a certificate's own directory names as live is served
 * nevertheless, others are not, because they may be on the list. */
static struct revoked revoked_read(int certs_fd, const char *store)
{
    int fd = openat(certs_fd, STORED_REVOKED, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct revoked revoked = {.unreadable = fd >= 0 || errno != ENOENT};
    struct stat st;
    size_t n;

    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
        errno = EINVAL; /* a FIFO would read as empty */
    else if (fd >= 0)
        revoked.list = fd_read_all(fd, STORED_REVOKED_MAX, &n);
    if (revoked.list)
        revoked.unreadable = false;
    if (revoked.unreadable)
        log_warn("cannot read the list of revoked certificates %s/certs/%s: %s; no certificate "
                 "that the store has under another name is used",
                 store, STORED_REVOKED,
                 errno == EINVAL ? "it is not a regular file" : strerror(errno));
    fd_close(&fd);
    return revoked;
}

static void certs_stored_to_hex(char out[2 * SHA256_SIZE + 1],
                                const unsigned char digest[SHA256_SIZE])
{
    for (size_t i = 0; i < SHA256_SIZE; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static bool certs_stored_is_revoked(const char *list, X509 *cert)
{
    unsigned char digest[EVP_MAX_MD_SIZE], *spki = NULL;
    char leaf[2 * SHA256_SIZE + 1] = "", key[2 * SHA256_SIZE + 1] = "";
    int n = i2d_PUBKEY(X509_get0_pubkey(cert), &spki);

    if (X509_digest(cert, EVP_sha256(), digest, NULL) == 1)
        certs_stored_to_hex(leaf, digest);
    if (n > 0 && EVP_Digest(spki, (size_t)n, digest, NULL, EVP_sha256(), NULL) == 1)
        certs_stored_to_hex(key, digest);
    OPENSSL_free(spki);
    return stored_revoked(list, leaf, key);
}

static void leaf_release(struct leaf *leaf)
{
    X509_free(leaf->cert);
    free(leaf->names);
    ERR_clear_error();
}

/* false: it holds no certificate that clients would accept. */
static bool leaf_read(int certs_fd, const struct revoked *revoked,
                      const struct stored_folder *f, struct leaf *leaf)
{
    char path[CERT_DIR_SIZE + 32];
    FILE *file;
    int fd;

    *leaf = (struct leaf){0};
    snprintf(path, sizeof path, "%s/%u/revoked", f->name, f->generation);
    if (!f->generation || faccessat(certs_fd, path, F_OK, 0) == 0)
        return false;
    snprintf(path, sizeof path, "%s/%u/fullchain.pem", f->name, f->generation);
    fd = openat(certs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    leaf->cert = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    leaf->names = leaf->cert ? stored_leaf_names(leaf->cert) : NULL;
    if (leaf->names && X509_cmp_current_time(X509_get0_notBefore(leaf->cert)) < 0 &&
        X509_cmp_current_time(X509_get0_notAfter(leaf->cert)) > 0 &&
        X509_self_signed(leaf->cert, 1) != 1 &&
        !(revoked->list && certs_stored_is_revoked(revoked->list, leaf->cert)))
        return true;
    leaf_release(leaf);
    return false;
}

/* Of two certificates for the same names, each needs its own type of key. */
static bool suits(const struct leaf *leaf, const struct conf_cert *cert)
{
    return cert->source != CONF_CERT_SELF &&
           stored_covers(leaf->names, cert->names, cert->n_names) &&
           (!cert->dual || cert->source != CONF_CERT_ACME ||
            EVP_PKEY_is_a(X509_get0_pubkey(leaf->cert), "RSA") ==
                conf_key_is_rsa(cert->key_type[0]));
}

static bool load(struct worker *worker, uint32_t i, const struct stored_folder *f)
{
    char chain[PATH_MAX_BYTES], key[PATH_MAX_BYTES], error[TLS_ERROR_SIZE];
    const char *store = worker->conf->acme.store, *name = worker->conf->certs[i].name;

    snprintf(chain, sizeof chain, "%s/certs/%s/%u/fullchain.pem", store, f->name,
             f->generation);
    snprintf(key, sizeof key, "%s/certs/%s/%u/key.pem", store, f->name, f->generation);
    if (tls_engine_load(worker->tls, i, chain, key, error, sizeof error) < 0) {
        log_debug("certificate %s: generation %u of %s cannot be loaded: %s", name,
                  f->generation, f->name, error);
        return false;
    }
    log_debug("certificate %s: serving generation %u of %s from the store, which covers all "
              "its names",
              name, f->generation, f->name);
    return true;
}

/* Returns the number of certificates that were loaded from it. */
static uint32_t certs_stored_look_into(struct worker *worker, int certs_fd,
                                       const struct revoked *revoked,
                                       const struct stored_folder *f)
{
    char own[CERT_DIR_SIZE];
    struct leaf leaf;
    uint32_t n = 0;

    if (!leaf_read(certs_fd, revoked, f, &leaf))
        return 0;
    for (uint32_t i = 0; i < worker->conf->n_certs; i++)
        if (!tls_engine_has(worker->tls, i) && suits(&leaf, &worker->conf->certs[i]) &&
            (!revoked->unreadable ||
             strcmp(f->name, cert_dir(own, worker->conf->certs[i].name)) == 0))
            n += load(worker, i, f);
    leaf_release(&leaf);
    return n;
}

void certs_stored_load(struct worker *worker)
{
    char path[PATH_MAX_BYTES];
    uint64_t until_ms = clock_mono_ms() + LOOK_MS;
    struct stored_live live;
    struct stored stored = {0};
    struct revoked revoked;
    uint32_t n = 0;
    int fd;

    snprintf(path, sizeof path, "%s/certs", worker->conf->acme.store);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    revoked = revoked_read(fd, worker->conf->acme.store);
    stored_live_read(worker->table, &live);
    stored_read(fd, &live, &stored);
    for (size_t i = 0; i < stored.n && clock_mono_ms() < until_ms; i++)
        n += certs_stored_look_into(worker, fd, &revoked, &stored.v[i]);
    if (n)
        log_info("certificates that have another name in the store: %u; served until acmed has "
                 "checked them",
                 n);
    stored_release(&stored);
    stored_live_release(&live);
    free(revoked.list);
    close(fd);
}
