#include "acmed/order/ca_set.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "acmed/cert/store.h"
#include "acmed/key/jose.h"
#include "acmed/key/secret.h"
#include "acmed/order/job.h"
#include "acmed/order/kvfile.h"
#include "acmed/order/order_store.h"
#include "acmed/order/policy.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"

static bool anything_to_order(const struct conf *conf)
{
    bool meant;

    for (size_t i = 0; i < conf->n_certs; i++)
        if (!policy_refuses(conf, &conf->certs[i], &meant))
            return true;
    return false;
}

static void fill_cas(struct ca_set *ca_set, const struct conf_acme *acme)
{
    const struct conf_fallback *f = &acme->fallback;
    struct ca first = {.directory = acme->directory,
                       .email = acme->email,
                       .email_from = "acme.email",
                       .ca_file = acme->ca_file,
                       .profile = acme->profile,
                       .profile_required = acme->profile_required,
                       .eab_kid = acme->eab_kid,
                       .eab_hmac = acme->eab_hmac_key,
                       .dir = -1};

    first.rate_log.limits = rate_log_limits_of(acme->directory, &acme->limits);
    ca_set->ca[FALLBACK_FIRST] = first;
    ca_set->ca[FALLBACK_STAGING] = first; /* the same operator, so the same rules */
    ca_set->ca[FALLBACK_STAGING].directory = acme->staging;
    ca_set->ca[FALLBACK_STAGING].rate_log.limits =
        rate_log_limits_of(acme->staging, &acme->limits);
    ca_set->ca[FALLBACK_SECOND] =
        (struct ca){.directory = f->directory,
                    .email = *f->email ? f->email : acme->email,
                    .email_from = *f->email ? "acme.fallback.email" : "acme.email",
                    .ca_file = f->ca_file,
                    .profile = f->profile,
                    .profile_required = f->profile_required,
                    .eab_kid = f->eab_kid,
                    .eab_hmac = f->eab_hmac_key,
                    .dir = -1};
    ca_set->ca[FALLBACK_SECOND].rate_log.limits = rate_log_limits_of(f->directory, &f->limits);
}

static void no_helper(struct ca_set *ca_set, const char *what, const char *why)
{
    snprintf(ca_set->unusable, sizeof ca_set->unusable,
             "the network helper %s%s; it is started again within a minute, and until then "
             "nothing is ordered",
             what, why);
    log_error("%s", ca_set->unusable);
}

void ca_set_init(struct ca_set *ca_set, const struct heritage *heritage)
{
    *ca_set = (struct ca_set){.heritage = heritage, .forkserver = -1};
    fill_cas(ca_set, &heritage->conf->acme);
    if (!anything_to_order(heritage->conf))
        return;
    ca_set->forkserver = job_open();
    if (ca_set->forkserver < 0)
        no_helper(ca_set, "cannot be started: ", strerror(errno));
}

void ca_set_helper_ended(struct ca_set *ca_set)
{
    fd_close(&ca_set->forkserver);
    no_helper(ca_set, "exited", "");
}

void ca_set_release(struct ca_set *ca_set)
{
    fd_close(&ca_set->forkserver);
    for (int i = 0; i < FALLBACK_CAS; i++) {
        fd_close(&ca_set->ca[i].dir);
        account_release(&ca_set->ca[i].account);
        rate_log_release(&ca_set->ca[i].rate_log);
    }
}

void ca_set_store_gone(struct ca_set *ca_set)
{
    for (int i = 0; i < FALLBACK_CAS; i++)
        fd_close(&ca_set->ca[i].dir);
}

uint64_t ca_set_hash(const char *directory)
{
    uint64_t hash = order_wanted(directory, "", NULL, 0);

    return hash ? hash : 1;
}

void ca_set_store_error(const struct ca_set *ca_set, int error, char out[TABLE_REASON])
{
    snprintf(out, TABLE_REASON, "cannot write to the store %.90s: %s",
             ca_set->heritage->conf->acme.store, store_says(error));
}

/* Creates a key for this CA, on disk before the CA hears of it. */
static bool make_key(struct ca *ca)
{
    ca->account.key = jose_key_new(&ca->account.n_key);
    if (!ca->account.key)
        errno = ENOMEM;
    else if (account_save_key(ca->dir, ca->account.key, ca->account.n_key) == 0)
        return true;
    int error = errno;
    account_release(&ca->account);
    errno = error;
    return false;
}

/* The directory was deleted or replaced: writes our account into it, or takes over the account
 * that is there. */
static bool write_again(struct ca *ca, const struct account *found)
{
    struct account *ours = &ca->account;

    if (!found->key)
        return account_save_key(ca->dir, ours->key, ours->n_key) == 0 &&
               account_save_url(ca->dir, ours->url, ours->told ? ours->contact : NULL) == 0 &&
               rate_log_save(&ca->rate_log, ca->dir, clock_wall_ms() / 1000) == 0;
    account_release(ours);
    *ours = *found;
    return true;
}

/* The key exists but cannot be used. Only the operator knows whether it is still needed. */
static bool cannot_use_key(const struct ca_set *ca_set, const struct ca *ca, const char *why,
                           char error[TABLE_ERROR])
{
    char dir[CERT_DIR_SIZE];

    snprintf(error, TABLE_ERROR,
             "the account's key %.200s/accounts/%.200s/key.pem %s; restore it from a backup, "
             "or move it away: the next order then creates another account",
             ca_set->heritage->conf->acme.store, account_dir(dir, ca->directory), why);
    return false;
}

/* Reads the account in the directory, if any. false: error holds the reason. */
static bool ca_set_read_account(const struct ca_set *ca_set, const struct ca *ca, int dir,
                                struct account *found, char error[TABLE_ERROR])
{
    char why[128];
    struct jose_key *key;

    if (account_load(dir, found) < 0 && !found->key) {
        snprintf(why, sizeof why, "cannot be read: %s", strerror(errno));
        return cannot_use_key(ca_set, ca, why, error);
    }
    if (!found->key)
        return true;
    key = jose_key_read(str_make(found->key, found->n_key));
    jose_key_free(key);
    if (key)
        return true;
    account_release(found);
    return cannot_use_key(ca_set, ca, "is damaged", error);
}

/* Is there a next key that cannot be read? It may be the valid one (order/account_op.h). */
static bool next_is_unread(const struct ca_set *ca_set, const struct ca *ca, int dir,
                           char error[TABLE_ERROR])
{
    char name[CERT_DIR_SIZE];
    size_t n = 0;
    char *next = account_load_next(dir, &n);
    bool unread = !next && store_unreadable(errno);

    if (unread)
        snprintf(error, TABLE_ERROR,
                 "%.200s/accounts/%.200s/next.pem cannot be read (%s), and may be the "
                 "account's key: make it readable, or move it away; until then nothing is "
                 "ordered",
                 ca_set->heritage->conf->acme.store, account_dir(name, ca->directory),
                 strerror(errno));
    secret_free(next);
    return unread;
}

/* Checks an account that no order has needed yet. Creates nothing. */
static bool ca_set_look_at_account(const struct ca_set *ca_set, const struct ca *ca,
                                   char error[TABLE_ERROR])
{
    char name[CERT_DIR_SIZE];
    struct account found = {0};
    bool good = true;
    int dir;

    if (!*ca->directory || ca->dir >= 0)
        return true;
    dir = kvfile_open(ca_set->heritage->conf->acme.store, "accounts",
                      account_dir(name, ca->directory), false);
    if (dir < 0)
        return true;
    good = ca_set_read_account(ca_set, ca, dir, &found, error) &&
           !next_is_unread(ca_set, ca, dir, error);
    account_release(&found);
    fd_close(&dir);
    return good;
}

void ca_set_look(struct ca_set *ca_set)
{
    char error[TABLE_ERROR] = "";

    if (ca_set->forkserver < 0)
        return; /* which ->unusable says */
    if (ca_set_look_at_account(ca_set, &ca_set->ca[FALLBACK_FIRST], error))
        ca_set_look_at_account(ca_set, &ca_set->ca[FALLBACK_SECOND], error);
    if (*error && strcmp(error, ca_set->unusable) != 0)
        log_error("%s", error);
    snprintf(ca_set->unusable, sizeof ca_set->unusable, "%s", error);
}

/* Opens the CA's directory and reads it; after a failure, the next call reads it again. */
static bool open_ca(struct ca_set *ca_set, struct ca *ca, char error[TABLE_ERROR])
{
    struct account found;

    if (ca->dir >= 0 && kvfile_gone(ca->dir))
        fd_close(&ca->dir);
    if (ca->dir >= 0)
        return true;
    ca->dir = account_open(ca_set->heritage->conf->acme.store, ca->directory);
    if (ca->dir < 0) {
        ca_set_store_error(ca_set, errno, error);
        return false;
    }
    if (!ca_set_read_account(ca_set, ca, ca->dir, &found, error)) {
        fd_close(&ca->dir);
        return false;
    }
    if (ca->account.key) {
        if (write_again(ca, &found))
            return true;
        ca_set_store_error(ca_set, errno, error);
        fd_close(&ca->dir);
        return false;
    }
    ca->account = found;
    if (found.key && !found.url[0])
        log_info("account at %s: only its key is known; asking the CA for its URL",
                 ca->directory);
    if (rate_log_load(&ca->rate_log, ca->dir, clock_wall_ms() / 1000) < 0)
        log_warn("the rate log of %s is damaged; using what can be read", ca->directory);
    return true;
}

bool ca_set_ready(struct ca_set *ca_set, struct ca *ca, char error[TABLE_ERROR])
{
    if (ca_set->forkserver < 0) {
        snprintf(error, TABLE_ERROR, "%s", ca_set->unusable);
        return false;
    }
    if (!open_ca(ca_set, ca, error))
        return false;
    if (ca->account.key || make_key(ca))
        return true;
    ca_set_store_error(ca_set, errno, error);
    return false;
}

bool ca_set_account_is(struct ca *ca, const char *url)
{
    struct account *account = &ca->account;

    if (strcmp(account->url, url) == 0)
        return true;
    if (account_save_url(ca->dir, url, ca->email) < 0) {
        log_warn("account at %s: its URL cannot be stored: %s", ca->directory, strerror(errno));
        return false;
    }
    snprintf(account->url, sizeof account->url, "%s", url);
    snprintf(account->contact, sizeof account->contact, "%s", ca->email);
    account->told = true;
    if (*url)
        log_info("account at %s: %s", ca->directory, url);
    return true;
}

bool ca_set_save_rate_log(struct ca_set *ca_set, struct ca *ca, char error[TABLE_REASON])
{
    if (rate_log_save(&ca->rate_log, ca->dir, clock_wall_ms() / 1000) == 0)
        return true;
    ca_set_store_error(ca_set, errno, error);
    return false;
}

uint64_t ca_set_random(void)
{
    uint64_t number = 0;

    /* The kernel's pool is ready long before acmed starts. If not, 0 means no spreading, which
     * is harmless. */
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
        number = 0;
    return number;
}
