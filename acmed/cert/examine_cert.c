#include "acmed/cert/examine_cert.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "acmed/cert/pem.h"
#include "acmed/key/secret.h"
#include "acmed/order/policy.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "shm/certs.h"

struct examination {
    const struct conf *conf;
    const struct conf_cert *cert;
    const struct examine_rules *rules;
    examine_tell *tell;
    void *to;
};

void examine_cert_init(void)
{
    secret_init(SECRET_HEAP);
}

static void examine_cert_advise(void *to, const char *text)
{
    struct examination *x = to;

    x->tell(x->to, x->cert, false, text);
}

/* Does the store have a pair from a CA or from files that would be served instead? */
static bool store_has_one(const struct examination *x)
{
    struct store store = {.certs_fd = -1};
    enum cert_source noted = CERT_NONE;
    char dir[CERT_DIR_SIZE], error[TABLE_REASON];
    struct pem_pair pair = {0};
    struct pem_info info;
    uint32_t generation = 0;
    bool has = false;

    cert_dir(dir, x->cert->name);
    store_peek(&store, x->conf->acme.store);
    if (store.certs_fd >= 0)
        generation = store_current(&store, dir);
    if (generation && store_read(&store, dir, generation, &pair, &noted) == 0 &&
        pem_check(&pair, x->cert->names, x->cert->n_names, clock_wall_ms(), &info, error) == 0)
        has = pem_source(noted, &info) != CERT_SELF_SIGNED;
    pem_pair_release(&pair);
    store_release(&store);
    return has;
}

static void bad_pair(struct examination *x, const char *why)
{
    char text[PATH_MAX + 256];
    bool served = x->rules->stored && store_has_one(x);

    snprintf(text, sizeof text, "%s%s", why, served ? "; the previous pair is served" : "");
    x->tell(x->to, x->cert, !served, text);
}

/* NULL: the finding was reported. */
static char *examine_cert_read_file(struct examination *x, const char *path, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = fd < 0 ? NULL : secret_read(fd, STORE_PEM_MAX, n);
    int error = errno;
    char why[PATH_MAX + 128];

    fd_close(&fd);
    if (text)
        return text;
    snprintf(why, sizeof why, "cannot read %s: %s%s", path,
             error == EFBIG ? "longer than 256 KiB" : strerror(error),
             error == EACCES && !x->rules->readable
                 ? "; check as root, or as the user that starts it"
                 : "");
    if (error == EACCES && !x->rules->readable)
        examine_cert_advise(x, why);
    else
        bad_pair(x, why);
    return NULL;
}

/* Of two certificates for the same names, the second is examined together with the first. */
static void examine_dual(struct examination *x, const struct pem_pair *pair)
{
    const struct conf_cert *c = x->cert, *first = c->dual;
    struct pem_pair other = {0};
    char text[2 * CERT_DIR_SIZE + 128];
    int fd;

    if (!first || first->index > c->index || first->source != CONF_CERT_FILES)
        return;
    fd = open(first->chain, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    other.chain = fd < 0 ? NULL : secret_read(fd, STORE_PEM_MAX, &other.n_chain);
    fd_close(&fd);
    if (other.chain && !pem_kinds_differ(&other, pair)) {
        snprintf(text, sizeof text,
                 "certificates %s and %s have the same names and the same kind of key, so only "
                 "one is served; give one an ECDSA key and the other an RSA key",
                 first->name, c->name);
        examine_cert_advise(x, text);
    }
    pem_pair_release(&other);
}

static void examine_pair(struct examination *x)
{
    const struct conf_cert *c = x->cert;
    struct pem_pair pair = {0};
    struct pem_info info;
    uint64_t now = clock_wall_ms();
    char why[TABLE_REASON];

    pair.chain = examine_cert_read_file(x, c->chain, &pair.n_chain);
    if (pair.chain)
        pair.key = examine_cert_read_file(x, c->key, &pair.n_key);
    if (pair.key && pem_check(&pair, c->names, c->n_names, now, &info, why) < 0) {
        bad_pair(x, why);
    } else if (pair.key) {
        if (*info.warning)
            examine_cert_advise(x, info.warning);
        pem_advise(&pair, now, examine_cert_advise, x);
        examine_dual(x, &pair);
    }
    pem_pair_release(&pair);
}

/* Reports why it will not be ordered. */
static void examine_order(struct examination *x)
{
    bool meant;
    const char *why = policy_refuses(x->conf, x->cert, &meant);

    if (why && !policy_here(x->cert))
        examine_cert_advise(x, why);
}

void examine_cert(const struct conf *conf, const struct conf_cert *cert,
                  const struct examine_rules *rules, examine_tell *tell, void *to)
{
    struct examination x = {conf, cert, rules, tell, to};

    if (cert->source == CONF_CERT_FILES)
        examine_pair(&x);
    else if (cert->source == CONF_CERT_ACME)
        examine_order(&x);
}
