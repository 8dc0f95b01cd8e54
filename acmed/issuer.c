#include "acmed/issuer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "acmed/job.h"
#include "acmed/jose.h"
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

void issuer_init(struct issuer *issuer, const struct heritage *heritage)
{
    *issuer =
        (struct issuer){.heritage = heritage,
                        .nursery = -1,
                        .ca = {.directory = heritage->conf->acme.directory, .folder = -1}};
    if (!anything_to_order(heritage->conf))
        return;
    issuer->nursery = job_open();
    if (issuer->nursery < 0)
        log_error("nothing can be ordered: no process for the network: %s", strerror(errno));
}

void issuer_release(struct issuer *issuer)
{
    fd_close(&issuer->nursery);
    fd_close(&issuer->ca.folder);
    account_release(&issuer->ca.account);
    ledger_release(&issuer->ca.ledger);
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

bool issuer_ready(struct issuer *issuer, char error[TABLE_REASON])
{
    struct ca *ca = &issuer->ca;

    if (issuer->nursery < 0) {
        snprintf(error, TABLE_REASON, "the network half could not be started");
        return false;
    }
    if (open_ca(ca, issuer->heritage->conf->acme.store) && (ca->account.key || make_key(ca)))
        return true;
    issuer_store_error(issuer, errno, error);
    return false;
}

bool issuer_account_is(struct issuer *issuer, const char *url)
{
    struct account *account = &issuer->ca.account;

    if (strcmp(account->url, url) == 0)
        return true;
    if (account_save_url(issuer->ca.folder, url) < 0) {
        log_warn("cannot write down the account: %s", strerror(errno));
        return false;
    }
    snprintf(account->url, sizeof account->url, "%s", url);
    if (*url)
        log_info("account at %s: %s", issuer->ca.directory, url);
    return true;
}

bool issuer_save_ledger(struct issuer *issuer, char error[TABLE_REASON])
{
    struct ca *ca = &issuer->ca;

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
