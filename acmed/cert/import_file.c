#include "acmed/cert/import_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "acmed/cert/import_put.h"
#include "acmed/cert/pem.h"
#include "acmed/cert/pem_bundle.h"
#include "acmed/cert/revoked.h"
#include "acmed/key/password.h"
#include "acmed/key/secret.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/escape.h"
#include "base/fd.h"

enum { UMASK = 027, CHAIN_MODE = 0644, KEY_MODE = 0600 };

struct import_file {
    const struct conf *conf;
    const struct import_request *request;
    const struct conf_cert *cert;
    struct pem_pair pair;
    struct pem_info info;
};

/* ---- reading */

/* A secret; NULL: after a message. */
static char *import_file_read_file(const char *path, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = fd < 0 ? NULL : secret_read(fd, STORE_PEM_MAX, n);

    if (!text)
        escape_print(stderr, "pasgate: cannot read %s: %s\n", path,
                     errno == EFBIG ? "longer than 256 KiB" : strerror(errno));
    fd_close(&fd);
    return text;
}

/* NULL: after a message. */
static char *find_password(const struct import_request *request, const char *of)
{
    char what[PATH_MAX + 16], *password;

    if (request->password_file) {
        password = password_of_file(request->password_file);
        if (!password)
            escape_print(stderr, "pasgate: cannot read %s: %s\n", request->password_file,
                         errno == EFBIG ? "longer than 1 KiB" : strerror(errno));
        return password;
    }
    snprintf(what, sizeof what, "Password of %.4000s", of);
    password = password_ask(what);
    if (!password)
        escape_print(stderr, "pasgate: %s has a password: %s\n", of,
                     errno == ENXIO ? "there is no terminal to ask for it; write it to a file "
                                      "and use --password-file FILE"
                                    : "none was given");
    return password;
}

static bool read_bundle(const struct import_request *request, const struct pem_bundle *bundle,
                        struct pem_pair *pair)
{
    char error[PEM_BUNDLE_ERROR], *password = NULL;
    enum pem_bundle_result result = pem_bundle_read(bundle, NULL, pair, error);

    if (result == PEM_BUNDLE_LOCKED) {
        password = find_password(request, request->key ? request->key : request->file);
        if (!password)
            return false;
        result = pem_bundle_read(bundle, password, pair, error);
        secret_free(password);
    }
    if (result != PEM_BUNDLE_GOOD)
        escape_print(stderr, "pasgate: %s\n", error);
    return result == PEM_BUNDLE_GOOD;
}

static bool read_pair(const struct import_request *request, struct pem_pair *pair)
{
    size_t n = 0, n_key = 0;
    char *text = import_file_read_file(request->file, &n);
    char *key = text && request->key ? import_file_read_file(request->key, &n_key) : NULL;
    struct pem_bundle bundle = {request->file, str_make(text, n), request->key,
                                str_make(key, n_key)};
    bool good = text && (key || !request->key) && read_bundle(request, &bundle, pair);

    secret_free(text);
    secret_free(key);
    return good;
}

/* ---- finding the certificate */

static bool import_file_fits(struct import_file *x, const struct conf_cert *cert,
                             char error[TABLE_REASON])
{
    error[0] = '\0';
    if (pem_check(&x->pair, cert->names, cert->n_names, clock_wall_ms(), &x->info, error) < 0)
        return false;
    if (!x->info.covers)
        snprintf(error, TABLE_REASON, "%s", x->info.warning);
    else if (clock_wall_ms() >= x->info.not_after_wall_ms)
        snprintf(error, TABLE_REASON, "the certificate has expired");
    else if (!pem_suits(&x->info, cert))
        snprintf(error, TABLE_REASON,
                 "its key is %s, and this certificate is to have the other kind", x->info.key);
    else if (cert->source == CONF_CERT_SELF)
        snprintf(error, TABLE_REASON,
                 "it is self_signed in the configuration: write chain and key there to say "
                 "where the files go");
    return !*error;
}

static bool is_called(const struct conf_cert *cert, const char *name)
{
    char dir[CERT_DIR_SIZE];

    return strcmp(cert->name, name) == 0 || strcmp(cert_dir(dir, cert->name), name) == 0;
}

/* By name. NULL: after a message. */
static const struct conf_cert *find_named(struct import_file *x)
{
    char error[TABLE_REASON];

    for (size_t i = 0; i < x->conf->n_certs; i++) {
        const struct conf_cert *cert = &x->conf->certs[i];

        if (!is_called(cert, x->request->name))
            continue;
        if (import_file_fits(x, cert, error))
            return cert;
        escape_print(stderr, "pasgate: %s is not for certificate %s: %s\n", x->request->file,
                     cert->name, error);
        return NULL;
    }
    escape_print(stderr, "pasgate: there is no certificate \"%s\" in %s\n", x->request->name,
                 x->conf->file);
    return NULL;
}

/* The only one that the file fits. NULL: after a message. */
static const struct conf_cert *find_fitting(struct import_file *x)
{
    const struct conf_cert *found = NULL;
    char error[TABLE_REASON], why[TABLE_REASON] = "";

    for (size_t i = 0; i < x->conf->n_certs; i++) {
        const struct conf_cert *cert = &x->conf->certs[i];

        if (import_file_fits(x, cert, error) && found) {
            escape_print(stderr,
                         "pasgate: %s matches certificates %s and %s: say which one, as in "
                         "`pasgate cert import %s %s`\n",
                         x->request->file, found->name, cert->name, x->request->file,
                         found->name);
            return NULL;
        }
        if (!*error)
            found = cert;
        else if (!*why)
            memcpy(why, error, sizeof why);
    }
    if (!found)
        escape_print(stderr, "pasgate: %s matches no certificate of %s%s%s\n", x->request->file,
                     x->conf->file, *why ? ": " : "", why);
    return found;
}

struct import_file *import_file_read(const struct conf *conf,
                                     const struct import_request *request)
{
    struct import_file *x = calloc(1, sizeof *x);
    char error[TABLE_REASON];

    secret_init(SECRET_HEAP_IMPORT);
    if (!x)
        return NULL;
    x->conf = conf;
    x->request = request;
    if (read_pair(request, &x->pair))
        x->cert = request->name ? find_named(x) : find_fitting(x);
    if (!x->cert) {
        import_file_free(x);
        return NULL;
    }
    import_file_fits(x, x->cert, error); /* sets x->info for this certificate again */
    return x;
}

void import_file_free(struct import_file *x)
{
    if (!x)
        return;
    pem_pair_release(&x->pair);
    free(x);
}

bool import_file_to_store(const struct import_file *x)
{
    return x->cert->source == CONF_CERT_ACME;
}

/* ---- into files */

static bool holds(const char *path, const char *text, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t had = 0;
    char *old = fd < 0 ? NULL : secret_read(fd, STORE_PEM_MAX, &had);
    bool same = old && had == n && memcmp(old, text, n) == 0;

    secret_free(old);
    fd_close(&fd);
    return same;
}

/* May the file be written? false: after a message. */
static bool may_replace(const struct import_file *x, const char *path, const char *text,
                        size_t n)
{
    struct stat st;

    if (x->request->force || lstat(path, &st) < 0 || holds(path, text, n))
        return true;
    escape_print(stderr,
                 "pasgate: %s already exists with other content: add --force to replace it\n",
                 path);
    return false;
}

static void say_not_put(const struct import_put_failure *failure)
{
    escape_print(stderr, "pasgate: cannot write %s: %s%s\n", failure->path, strerror(errno),
                 failure->mixed
                     ? "; key and chain may not match now: import again before a reload"
                     : "; both files are as they were");
    for (int i = 0; i < IMPORT_PUT_FILES; i++)
        if (failure->kept[i][0])
            escape_print(stderr, "pasgate: what was there is kept as %s until that import\n",
                         failure->kept[i]);
}

static int write_files(struct import_file *x, FILE *out)
{
    const struct conf_cert *cert = x->cert;
    const struct pem_pair *pair = &x->pair;
    const struct import_put_file file[IMPORT_PUT_FILES] = {
        {cert->key, pair->key, pair->n_key, KEY_MODE},
        {cert->chain, pair->chain, pair->n_chain, CHAIN_MODE}};
    struct import_put_failure failure;
    char until[CLOCK_ISO_SIZE];

    clock_iso(until, x->info.not_after_wall_ms);
    if (!may_replace(x, cert->key, pair->key, pair->n_key) ||
        !may_replace(x, cert->chain, pair->chain, pair->n_chain))
        return -1;
    if (!x->request->dry_run && import_put(file, &failure) < 0) {
        say_not_put(&failure);
        return -1;
    }
    escape_print(out, "%s: %s of certificate %s, until %.10s: %s and %s\n", x->request->file,
                 x->request->dry_run ? "would become the files" : "is in the files", cert->name,
                 until, cert->chain, cert->key);
    return 0;
}

/* ---- into the store */

static int write_store(struct import_file *x, FILE *out)
{
    const char *path = x->conf->acme.store;
    struct store store = {.certs_fd = -1};
    char dir[CERT_DIR_SIZE], until[CLOCK_ISO_SIZE];
    uint32_t generation = 0;
    int error;

    clock_iso(until, x->info.not_after_wall_ms);
    if (x->request->dry_run) {
        escape_print(out, "%s: would become that of %s, until %.10s\n", x->request->file,
                     x->cert->name, until);
        return 0;
    }
    umask(UMASK);
    if (store_open(&store, path) < 0) {
        escape_print(stderr, "pasgate: cannot open the store %s: %s%s\n", path,
                     store_says(errno),
                     errno == EBUSY ? ": stop it, import, and start it again" : "");
        store_release(&store);
        return -1;
    }
    cert_dir(dir, x->cert->name);
    generation = store_write(&store, dir, 0, &x->pair, CERT_ACME);
    if (generation && store_set_current(&store, dir, generation) < 0)
        generation = 0;
    error = errno;
    if (generation && revoked_list_marked(&store, dir))
        store_prune(&store, dir);
    store_release(&store);
    if (!generation) {
        escape_print(stderr, "pasgate: cannot write to the store %s: %s\n", path,
                     strerror(error));
        return -1;
    }
    escape_print(out,
                 "%s: is generation %u of %s, until %.10s; it is renewed from the CA in time\n",
                 x->request->file, generation, x->cert->name, until);
    return 0;
}

/* ---- both */

/* Would acmed refuse it because it was revoked through pasgate, or may have been? The store is
 * only read, as far as permissions allow. true: after a message. */
static bool was_revoked(const struct import_file *x)
{
    struct store store = {.certs_fd = -1};
    char when[CLOCK_ISO_SIZE], why[TABLE_NOTE];
    uint64_t at;
    bool readable;

    store_peek(&store, x->conf->acme.store);
    revoked_list_all(&store); /* acmed may have been killed before it did */
    readable = revoked_readable(&store, why);
    at = revoked_at(&store, NULL, 0, &x->pair);
    store_release(&store);
    if (!readable)
        escape_print(stderr,
                     "pasgate: %s: it cannot be checked whether this certificate was revoked, "
                     "because %s/certs/.revoked cannot be read; it is not imported\n",
                     x->request->file, x->conf->acme.store);
    else if (at)
        escape_print(stderr,
                     "pasgate: %s: this certificate, or another one with its key, was revoked "
                     "at %.16sZ; it is not imported, because browsers may refuse it\n",
                     x->request->file, clock_iso(when, at));
    return !readable || at != 0;
}

static void import_file_advise(void *to, const char *text)
{
    const struct import_file *x = to;

    escape_print(stderr, "pasgate: warning: %s: %s\n", x->request->file, text);
}

int import_file_write(struct import_file *x, FILE *out)
{
    int rc;

    if (was_revoked(x))
        return -1;
    rc = import_file_to_store(x) ? write_store(x, out) : write_files(x, out);
    if (rc < 0)
        return -1;
    fflush(out);
    if (*x->info.warning)
        import_file_advise(x, x->info.warning);
    pem_advise(&x->pair, clock_wall_ms(), import_file_advise, x);
    return 0;
}
