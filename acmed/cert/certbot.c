#include "acmed/cert/certbot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "acmed/cert/certbot_internal.h"
#include "acmed/cert/pem.h"
#include "acmed/cert/revoked.h"
#include "acmed/order/account_store.h"
#include "acmed/order/kvfile.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/escape.h"
#include "base/fd.h"

enum {
    UMASK = 027,     /* same as acmed's */
    TELL_MAX = 1024, /* bytes of the report on one certificate */
};

/* One running import. */
struct work {
    const struct certbot *c;
    struct store store;
    bool dry_run;
    bool some, failed; /* something was imported or there already; the store failed */
    FILE *out;
};

/* ---- certificates */

static void certbot_tell(struct work *w, struct certbot_lineage *lineage, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void certbot_tell(struct work *w, struct certbot_lineage *lineage, const char *fmt, ...)
{
    va_list ap;

    char text[TELL_MAX];

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    escape_print(w->out, "live/%s: %s\n", lineage->name, text);
    lineage->taken = true;
}

static const char *day(char out[CLOCK_ISO_SIZE], uint64_t wall_ms)
{
    clock_iso(out, wall_ms)[10] = '\0';
    return out;
}

/* Is it good for this configured certificate? false: *info and error may tell why not. */
static bool certbot_fits(const struct certbot_lineage *lineage, const struct conf_cert *cert,
                         struct pem_info *info, char error[TABLE_REASON])
{
    return pem_check(&lineage->pair, cert->names, cert->n_names, clock_wall_ms(), info,
                     error) == 0 &&
           info->covers && clock_wall_ms() < info->not_after_wall_ms && pem_suits(info, cert);
}

/* The one that expires last, from the right CA as far as that is known; NULL: none fits. */
static struct certbot_lineage *
certbot_choose(const struct certbot *c, const struct conf_cert *cert, struct pem_info *best)
{
    struct certbot_lineage *found = NULL;
    struct pem_info info;
    char error[TABLE_REASON];

    for (size_t i = 0; i < c->n_lineages; i++) {
        struct certbot_lineage *lineage = &c->lineage[i];

        if (*lineage->error || !certbot_fits(lineage, cert, &info, error) ||
            (*lineage->server && strcmp(lineage->server, c->conf->acme.directory) != 0) ||
            (found && info.not_after_wall_ms <= best->not_after_wall_ms))
            continue;
        found = lineage;
        *best = info;
    }
    return found;
}

/* When the CA certificate expires that the store has for this certificate; 0: none is good. If
 * one is noted as live, only that one counts: an import may have been killed between writing a
 * generation and noting it. */
static uint64_t stored_until(const struct work *w, const struct conf_cert *cert,
                             const char *dir)
{
    uint32_t generations[STORE_KEEP];
    int n = w->store.certs_fd < 0 ? 0 : store_list(&w->store, dir, generations, STORE_KEEP);
    uint32_t current = n > 0 ? store_current(&w->store, dir) : 0;
    uint64_t until = 0;

    for (int i = 0; i < n; i++) {
        enum cert_source source = CERT_NONE;
        struct pem_pair pair;
        struct pem_info info;
        char error[TABLE_REASON];

        if ((current && generations[i] != current) ||
            store_read(&w->store, dir, generations[i], &pair, &source) < 0)
            continue;
        if (source == CERT_ACME && !revoked_at(&w->store, dir, generations[i], &pair) &&
            pem_check(&pair, cert->names, cert->n_names, clock_wall_ms(), &info, error) == 0 &&
            info.covers && info.not_after_wall_ms > until)
            until = info.not_after_wall_ms;
        pem_pair_release(&pair);
    }
    return until;
}

static void put_certificate(struct work *w, const struct conf_cert *cert,
                            struct certbot_lineage *lineage, const struct pem_info *info)
{
    char dir[CERT_DIR_SIZE], until[CLOCK_ISO_SIZE];
    uint64_t stored = stored_until(w, cert, cert_dir(dir, cert->name));
    uint32_t generation;

    day(until, stored);
    if (stored >= info->not_after_wall_ms) {
        certbot_tell(w, lineage, "skipped: the store has one for %s until %s", cert->name,
                     until);
        w->some = true;
        return;
    }
    day(until, info->not_after_wall_ms);
    if (w->dry_run) {
        certbot_tell(w, lineage, "would become that of %s, until %s", cert->name, until);
        w->some = true;
        return;
    }
    generation = store_write(&w->store, dir, 0, &lineage->pair, CERT_ACME);
    if (generation == 0 || store_set_current(&w->store, dir, generation) < 0) {
        certbot_tell(w, lineage, "cannot write to the store: %s", strerror(errno));
        w->failed = true;
        return;
    }
    if (revoked_list_marked(&w->store, dir))
        store_prune(&w->store, dir);
    certbot_tell(w, lineage, "is generation %u of %s, until %s%s%s", generation, cert->name,
                 until, *info->incomplete ? "; warning: " : "", info->incomplete);
    w->some = true;
}

/* dns-01 needs a hook, so tells the operator about it. */
static void certbot_hint(const struct work *w, const struct certbot_lineage *lineage)
{
    const char *by = lineage->authenticator;
    bool dns = strncmp(by, "dns", 3) == 0 || strcmp(by, "manual") == 0;

    for (size_t i = 0; i < w->c->conf->acme.n_challenges; i++)
        dns &= strcmp(w->c->conf->acme.challenges[i], "dns-01") != 0;
    if (dns)
        escape_print(w->out,
                     "renewal/%s.conf: certbot validates it by %s: the equivalent is "
                     "acme.challenges = [ \"dns-01\" ] with acme.hook\n",
                     lineage->name, by);
}

/* Reports why it was not imported. */
static void tell_left(struct work *w, struct certbot_lineage *lineage)
{
    const struct conf *conf = w->c->conf;
    struct pem_info info;
    char error[TABLE_REASON] = "", until[CLOCK_ISO_SIZE];

    if (*lineage->error) {
        certbot_tell(w, lineage, "skipped: %s", lineage->error);
        return;
    }
    for (size_t i = 0; i < conf->n_certs; i++) {
        const struct conf_cert *cert = &conf->certs[i];
        bool good = certbot_fits(lineage, cert, &info, error);

        if (*error) {
            certbot_tell(w, lineage, "skipped: %s", error);
        } else if (info.covers && !pem_suits(&info, cert)) {
            certbot_tell(w, lineage,
                         "skipped: its key is %s, and %s is to have the other kind of key",
                         info.key, cert->name);
        } else if (info.covers && !good) {
            certbot_tell(w, lineage, "skipped: it expired on %s",
                         day(until, info.not_after_wall_ms));
        } else if (good && cert->source != CONF_CERT_ACME) {
            certbot_tell(w, lineage, "skipped: certificate %s is not ordered by ACME",
                         cert->name);
        } else if (good && *lineage->server &&
                   strcmp(lineage->server, conf->acme.directory) != 0) {
            certbot_tell(w, lineage, "skipped: it is from %s, and acme.directory is another CA",
                         lineage->server);
        } else if (good) {
            certbot_tell(w, lineage, "skipped: another one for %s is valid longer", cert->name);
        }
        if (lineage->taken)
            return;
    }
    certbot_tell(w, lineage,
                 "skipped: it does not cover all names of any configured certificate");
}

static void refuse_revoked(const struct work *w, struct certbot_lineage *lineage)
{
    char until[CLOCK_ISO_SIZE], why[TABLE_NOTE];
    bool readable = revoked_readable(&w->store, why);
    uint64_t at = *lineage->error ? 0 : revoked_at(&w->store, NULL, 0, &lineage->pair);

    if (!readable && !*lineage->error)
        snprintf(lineage->error, sizeof lineage->error,
                 "it may have been revoked by pasgate: %.60s/certs/.revoked cannot be read",
                 w->c->conf->acme.store);
    else if (at)
        snprintf(lineage->error, sizeof lineage->error, "it was revoked by pasgate on %s",
                 day(until, at));
}

static void import_certificates(struct work *w)
{
    const struct certbot *c = w->c;
    struct certbot_lineage *lineage;
    struct pem_info info;

    revoked_list_all(&w->store); /* acmed may have been killed before it did */
    for (size_t i = 0; i < c->n_lineages; i++)
        refuse_revoked(w, &c->lineage[i]);
    for (size_t i = 0; i < c->conf->n_certs; i++) {
        const struct conf_cert *cert = &c->conf->certs[i];

        if (cert->source == CONF_CERT_ACME && (lineage = certbot_choose(c, cert, &info))) {
            put_certificate(w, cert, lineage, &info);
            certbot_hint(w, lineage);
        }
    }
    for (size_t i = 0; i < c->n_lineages; i++)
        if (!c->lineage[i].taken)
            tell_left(w, &c->lineage[i]);
}

/* ---- the account */

/* The account that certbot renews with, else the first good one. */
static const struct certbot_account *choose_account(const struct certbot *c)
{
    const struct certbot_account *found = NULL;

    for (size_t i = 0; i < c->n_accounts; i++) {
        const struct certbot_account *a = &c->account[i];

        for (size_t j = 0; a->key && j < c->n_lineages; j++)
            if (c->lineage[j].taken && strcmp(c->lineage[j].account, a->id) == 0)
                return a;
        if (a->key && !found)
            found = a;
    }
    return found;
}

/* Does the store have an account already? Does not make its directory, because of dry runs. */
static bool certbot_has_account(const struct work *w, const char *directory)
{
    char dir[CERT_DIR_SIZE];
    int fd =
        kvfile_open(w->c->conf->acme.store, "accounts", account_dir(dir, directory), false);
    struct account account = {0};
    bool has = fd >= 0 && account_load(fd, &account) == 0 && account.key;

    account_release(&account);
    fd_close(&fd);
    return has;
}

static int put_account(const struct work *w, const struct certbot_account *a)
{
    int rc = -1, fd = account_open(w->c->conf->acme.store, a->directory);

    if (fd >= 0 && account_save_key(fd, a->key, a->n_key) == 0)
        rc = account_save_url(fd, a->url, NULL);
    fd_close(&fd);
    return rc;
}

static void tell_others(const struct work *w)
{
    const char *ours = certbot_server(w->c->conf->acme.directory);

    for (int i = 0; i < w->c->n_servers; i++) {
        const char *name = w->c->servers[i]->d_name;
        size_t n = strlen(name);

        if (strncmp(ours, name, n) != 0 || (ours[n] != '/' && ours[n] != '\0'))
            escape_print(w->out, "accounts/%s: skipped: acme.directory is another CA\n", name);
    }
}

static void import_account(struct work *w)
{
    const struct certbot_account *chosen = choose_account(w->c);

    for (size_t i = 0; i < w->c->n_accounts; i++) {
        const struct certbot_account *a = &w->c->account[i];

        escape_print(w->out, "accounts/%s/%s: ", certbot_server(a->directory), a->id);
        if (*a->error) {
            escape_print(w->out, "skipped: %s\n", a->error);
        } else if (a != chosen) {
            escape_print(w->out, "skipped: account %s is used\n", chosen ? chosen->id : "");
        } else if (certbot_has_account(w, a->directory)) {
            escape_print(w->out, "skipped: the store has an account there\n");
            w->some = true;
        } else if (!w->dry_run && put_account(w, a) < 0) {
            escape_print(w->out, "cannot write to the store: %s\n", strerror(errno));
            w->failed = true;
        } else {
            escape_print(w->out, "%s account %s\n", w->dry_run ? "would be our" : "is our",
                         *a->url ? a->url : "(its URL will be requested)");
            w->some = true;
        }
    }
    tell_others(w);
    if (w->c->n_accounts == 0)
        escape_print(w->out, "accounts/%s: none found; a new account is made when needed\n",
                     certbot_server(w->c->conf->acme.directory));
}

/* ---- interface */

int certbot_import(struct certbot *certbot, bool dry_run, FILE *out)
{
    const char *path = certbot->conf->acme.store;
    struct work w = {.c = certbot, .store = {.certs_fd = -1}, .dry_run = dry_run, .out = out};

    umask(UMASK);
    if (dry_run) {
        store_peek(&w.store, path);
    } else if (store_open(&w.store, path) < 0) {
        escape_print(out, "cannot open the store %s: %s%s\n", path, store_says(errno),
                     errno == EBUSY ? ": stop it, import, and start it again" : "");
        store_release(&w.store);
        return -1;
    }
    import_certificates(&w);
    import_account(&w);
    store_release(&w.store);
    if (!w.some)
        escape_print(out, "nothing to import\n");
    return w.some && !w.failed ? 0 : -1;
}
