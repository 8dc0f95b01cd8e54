#include "acmed/issuer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "acmed/job.h"
#include "acmed/jose.h"
#include "acmed/order_store.h"
#include "acmed/policy.h"
#include "acmed/store.h"
#include "base/clock.h"
#include "base/conf.h"
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

static void fill_cas(struct issuer *issuer, const struct conf_acme *acme)
{
    const struct conf_fallback *f = &acme->fallback;
    struct ca first = {.directory = acme->directory,
                       .email = acme->email,
                       .ca_file = acme->ca_file,
                       .profile = acme->profile,
                       .eab_kid = acme->eab_kid,
                       .eab_hmac = acme->eab_hmac_key,
                       .folder = -1};

    issuer->ca[LADDER_FIRST] = first;
    issuer->ca[LADDER_STAGING] = first; /* one operator's, with the same rules */
    issuer->ca[LADDER_STAGING].directory = acme->staging;
    issuer->ca[LADDER_SECOND] = (struct ca){.directory = f->directory,
                                            .email = *f->email ? f->email : acme->email,
                                            .ca_file = f->ca_file,
                                            .profile = f->profile,
                                            .eab_kid = f->eab_kid,
                                            .eab_hmac = f->eab_hmac_key,
                                            .folder = -1};
}

void issuer_init(struct issuer *issuer, const struct heritage *heritage)
{
    *issuer = (struct issuer){.heritage = heritage, .nursery = -1};
    fill_cas(issuer, &heritage->conf->acme);
    if (!anything_to_order(heritage->conf))
        return;
    issuer->nursery = job_open();
    if (issuer->nursery < 0)
        log_error("nothing can be ordered: no process for the network: %s", strerror(errno));
}

void issuer_release(struct issuer *issuer)
{
    fd_close(&issuer->nursery);
    for (int i = 0; i < LADDER_CAS; i++) {
        fd_close(&issuer->ca[i].folder);
        account_release(&issuer->ca[i].account);
        ledger_release(&issuer->ca[i].ledger);
    }
}

uint64_t issuer_hash(const char *directory)
{
    uint64_t hash = order_wanted(directory, "", NULL, 0);

    return hash ? hash : 1;
}

void issuer_store_error(const struct issuer *issuer, int error, char out[TABLE_REASON])
{
    snprintf(out, TABLE_REASON, "cannot write to the store %.90s: %s",
             issuer->heritage->conf->acme.store, store_says(error));
}

/* A key of our own for this CA, on disk before the CA hears of it. */
static bool make_key(struct ca *ca)
{
    ca->account.key = jose_key_new(&ca->account.n_key);
    if (!ca->account.key)
        errno = ENOMEM;
    else if (account_save_key(ca->folder, ca->account.key, ca->account.n_key) == 0)
        return true;
    int error = errno;
    account_release(&ca->account);
    errno = error;
    return false;
}

/* Opened once; what is on disk is read again when the first time failed. */
static bool open_ca(struct ca *ca, const char *store)
{
    if (ca->folder >= 0)
        return true;
    ca->folder = account_open(store, ca->directory);
    if (ca->folder < 0)
        return false;
    if (account_load(ca->folder, &ca->account) < 0 && errno == EPROTO)
        log_warn("the account at %s is damaged on disk: the CA is asked for it again",
                 ca->directory);
    if (ledger_load(&ca->ledger, ca->folder, clock_wall_ms() / 1000) < 0)
        log_warn("the ledger of %s is damaged: it goes on with what can be read",
                 ca->directory);
    return true;
}

bool issuer_ready(struct issuer *issuer, struct ca *ca, char error[TABLE_REASON])
{
    if (issuer->nursery < 0) {
        snprintf(error, TABLE_REASON, "the network half could not be started");
        return false;
    }
    if (open_ca(ca, issuer->heritage->conf->acme.store) && (ca->account.key || make_key(ca)))
        return true;
    issuer_store_error(issuer, errno, error);
    return false;
}

bool issuer_account_is(struct ca *ca, const char *url)
{
    struct account *account = &ca->account;

    if (strcmp(account->url, url) == 0)
        return true;
    if (account_save_url(ca->folder, url) < 0) {
        log_warn("cannot write down the account: %s", strerror(errno));
        return false;
    }
    snprintf(account->url, sizeof account->url, "%s", url);
    if (*url)
        log_info("account at %s: %s", ca->directory, url);
    return true;
}

bool issuer_save_ledger(struct issuer *issuer, struct ca *ca, char error[TABLE_REASON])
{
    if (ledger_save(&ca->ledger, ca->folder, clock_wall_ms() / 1000) == 0)
        return true;
    issuer_store_error(issuer, errno, error);
    return false;
}

uint64_t issuer_random(void)
{
    uint64_t number = 0;

    /* The pool is ready long before us; if not, 0 spreads nothing, and harms nothing. */
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
        number = 0;
    return number;
}
