#include "acmed/order/account_op.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "acmed/cert/store.h"
#include "acmed/key/jose.h"
#include "acmed/key/secret.h"
#include "acmed/order/kvfile.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"

const char account_op_busy[] = "an exchange with the CA is in progress: try again";
const char account_op_doubt[] = "the CA has not said yet which of the account's two keys is "
                                "valid: try again when it can be reached";

static void end_run(struct account_op *e)
{
    if (e->run)
        e->ca_set->runs -= e->places;
    job_end(e->run);
    e->run = NULL;
    e->places = 0;
}

void account_op_release(struct account_op *e)
{
    end_run(e);
    pem_pair_release(&e->pair);
    secret_free(e->next);
    *e = (struct account_op){0};
}

int account_op_fd(const struct account_op *e)
{
    return e->run ? job_fd(e->run) : -1;
}

/* ---- is next.pem valid? */

/* NULL: there is none, or *unread: it cannot be read, which ca_set_look() tells. */
static char *left_behind(const struct ca_set *ca_set, const struct ca *ca, size_t *n,
                         bool *unread)
{
    char dir[CERT_DIR_SIZE];
    int fd = kvfile_open(ca_set->heritage->conf->acme.store, "accounts",
                         account_dir(dir, ca->directory), false);
    char *next = fd < 0 ? NULL : account_load_next(fd, n);

    *unread = !next && store_unreadable(errno);
    fd_close(&fd);
    return next;
}

/* The key in next.pem may be the valid one, so it must not be replaced. */
static bool is_in_doubt(const struct ca_set *ca_set, const struct ca *ca)
{
    size_t n = 0;
    bool unread = false;
    char *next = ca->settled ? NULL : left_behind(ca_set, ca, &n, &unread);
    bool doubt = next || unread;

    secret_free(next);
    return doubt;
}

/* ---- start */

static const char *cannot_begin(struct ca_set *ca_set, struct ca *ca, uint32_t places)
{
    static char error[TABLE_ERROR];

    if (ca_set->forkserver < 0)
        return ca_set->unusable;
    if (ca_set->runs + places > CA_SET_RUNS)
        return account_op_busy;
    return ca_set_ready(ca_set, ca, error) && ca->dir >= 0 ? NULL : error;
}

/* The operation owns the texts that the job borrows. */
static bool account_op_start(struct account_op *e, uint32_t places)
{
    const struct conf_acme *acme = &e->ca_set->heritage->conf->acme;
    const struct account *account = &e->ca->account;
    bool new_key = e->kind == JOB_ACCOUNT && !e->tells;
    const struct signer_keys keys = {
        .account =
            new_key ? str_make(e->next, e->n_next) : str_make(account->key, account->n_key),
        .next_account = new_key ? STR_EMPTY : str_make(e->next, e->n_next),
        .certificate = str_make(e->pair.key, e->pair.n_key),
    };
    const struct job job = {
        .kind = e->kind,
        .directory = e->ca->directory,
        .ca_file = e->ca->ca_file,
        .agree_tos = acme->agree_tos,
        .account_url = new_key || e->by_key ? "" : account->url,
        .account_must_exist = e->kind != JOB_REVOKE && !e->tells,
        .contact = e->tells ? e->ca->email : "",
        .certificate = str_make(e->pair.chain, e->pair.n_chain),
        .reason = e->reason,
        .deadline_ms = ACCOUNT_OP_RUN_MS,
    };

    e->run = job_start(e->ca_set->forkserver, &job, &keys, e->ca_set->heritage->table);
    if (!e->run)
        return false;
    e->places = places;
    e->ca_set->runs += places;
    return true;
}

/* Starts the operation, or releases it. */
static const char *start_or_not(struct account_op *e, uint32_t places)
{
    static char error[TABLE_ERROR];

    if (account_op_start(e, places))
        return NULL;
    snprintf(error, sizeof error, "cannot begin: %s", strerror(errno));
    account_op_release(e);
    return error;
}

const char *account_op_revoke(struct account_op *e, struct ca_set *ca_set, struct ca *ca,
                              struct pem_pair *pair, uint32_t generation, unsigned reason)
{
    const char *why = cannot_begin(ca_set, ca, 1);

    if (why) {
        pem_pair_release(pair);
        return why;
    }
    *e = (struct account_op){.ca_set = ca_set,
                             .ca = ca,
                             .kind = JOB_REVOKE,
                             .by_key = ca->account.url[0] == '\0',
                             .pair = *pair,
                             .generation = generation,
                             .reason = reason};
    *pair = (struct pem_pair){0};
    return start_or_not(e, 1);
}

static const char *no_account(const struct ca *ca)
{
    return ca->account.url[0] ? NULL : "there is no account yet at this CA";
}

const char *account_op_rollover(struct account_op *e, struct ca_set *ca_set, struct ca *ca)
{
    const char *why = cannot_begin(ca_set, ca, CA_SET_RUNS);
    static char error[TABLE_ERROR];

    if (why || (why = no_account(ca)))
        return why;
    if (is_in_doubt(ca_set, ca))
        return account_op_doubt;
    *e = (struct account_op){.ca_set = ca_set, .ca = ca, .kind = JOB_ROLLOVER};
    e->next = jose_key_new(&e->n_next);
    if (!e->next || account_save_next(ca->dir, e->next, e->n_next) < 0) {
        ca_set_store_error(ca_set, e->next ? errno : ENOMEM, error);
        account_op_release(e);
        return error;
    }
    return start_or_not(e, CA_SET_RUNS);
}

const char *account_op_close(struct account_op *e, struct ca_set *ca_set, struct ca *ca)
{
    const char *why = cannot_begin(ca_set, ca, CA_SET_RUNS);

    /* Also for an account of which only the key is known: the CA finds it by the key. */
    if (why)
        return why;
    if (is_in_doubt(ca_set, ca))
        return account_op_doubt;
    *e = (struct account_op){.ca_set = ca_set, .ca = ca, .kind = JOB_CLOSE};
    return start_or_not(e, CA_SET_RUNS);
}

/* ---- finding out which key is valid */

bool account_op_unsettled(struct account_op *e, struct ca_set *ca_set, struct ca *ca,
                          uint64_t now_ms)
{
    const char *why;
    char *next;
    size_t n = 0;
    bool unread;

    if (ca->settled || ca_set->forkserver < 0)
        return false;
    if (account_op_runs(e) || now_ms < ca->settle_ms || ca_set->runs > 0)
        return true;
    ca->settle_ms = now_ms + ((uint64_t)ACCOUNT_OP_AGAIN_MS << ca->settle_n);
    next = left_behind(ca_set, ca, &n, &unread);
    if (!next) {
        ca->settled = !unread;
        return unread;
    }
    if (ca->settle_n == 0)
        log_info(
            "account at %s: finding out which of its two keys is valid; nothing is ordered "
            "until that is known",
            ca->directory);
    if (ca->settle_n < ACCOUNT_OP_DOUBLINGS)
        ca->settle_n++;
    *e = (struct account_op){.ca_set = ca_set,
                             .ca = ca,
                             .kind = JOB_ACCOUNT,
                             .settles = true,
                             .next = next,
                             .n_next = n};
    why = cannot_begin(ca_set, ca, CA_SET_RUNS);
    if (why)
        account_op_release(e);
    else
        why = start_or_not(e, CA_SET_RUNS);
    if (why)
        log_warn("account at %s: %s", ca->directory, why);
    return true;
}

/* ---- contact address */

/* If it is not known what the CA was told, and no email is set, the account keeps its
 * contact. */
static bool contact_changed(const struct ca *ca)
{
    const struct account *a = &ca->account;

    return a->url[0] && (a->told ? strcmp(a->contact, ca->email) != 0 : *ca->email != '\0');
}

/* Reads an account that is on disk; creates none. */
static bool account_op_has_account(struct ca_set *ca_set, struct ca *ca)
{
    char dir[CERT_DIR_SIZE], error[TABLE_ERROR];
    int fd = kvfile_open(ca_set->heritage->conf->acme.store, "accounts",
                         account_dir(dir, ca->directory), false);
    bool there = fd >= 0 && faccessat(fd, "account", F_OK, 0) == 0;

    fd_close(&fd);
    return there && ca_set_ready(ca_set, ca, error); /* an order will report what is wrong */
}

void account_op_tell_contact(struct account_op *e, struct ca_set *ca_set, struct ca *ca,
                             uint64_t now_ms)
{
    const char *why;

    if (!*ca->directory || ca->contact_known || account_op_runs(e) || now_ms < ca->contact_ms ||
        ca_set->runs >= CA_SET_RUNS)
        return;
    ca->contact_ms = now_ms + ACCOUNT_OP_CONTACT_MS;
    if (!account_op_has_account(ca_set, ca) || !contact_changed(ca)) {
        ca->contact_known = true;
        return;
    }
    *e = (struct account_op){.ca_set = ca_set, .ca = ca, .kind = JOB_ACCOUNT, .tells = true};
    why = start_or_not(e, 1);
    if (why)
        log_warn("account at %s: %s", ca->directory, why);
}

static bool contact_told(struct account_op *e, char error[TABLE_ERROR])
{
    struct account *account = &e->ca->account;

    e->ca->contact_known = true;
    snprintf(account->contact, sizeof account->contact, "%s", e->ca->email);
    account->told = true;
    log_info(*e->ca->email ? "account at %s: the CA has the current %s"
                           : "account at %s: email removed at the CA, because %s was removed",
             e->ca->directory, e->ca->email_from);
    if (account_save_url(e->ca->dir, account->url, account->contact) == 0)
        return true;
    ca_set_store_error(e->ca_set, errno, error);
    return false;
}

/* The CA has accepted the next key. If it cannot be stored as key.pem, it stays as next.pem,
 * and the CA is asked again later. */
static bool take_next(struct account_op *e, char error[TABLE_ERROR])
{
    struct account *account = &e->ca->account;

    if (account_take_next(e->ca->dir) < 0) {
        ca_set_store_error(e->ca_set, errno, error);
        e->ca->settled = false;
        return false;
    }
    secret_free(account->key);
    account->key = e->next;
    account->n_key = e->n_next;
    e->next = NULL;
    e->n_next = 0;
    log_info("account at %s: its new key is in use", e->ca->directory);
    return true;
}

/* ---- progress */

static void settled(struct ca *ca)
{
    ca->settled = true;
    ca->settle_n = 0;
}

static bool account_op_done(struct account_op *e, char error[TABLE_ERROR])
{
    switch (e->kind) {
    case JOB_ACCOUNT:
        if (e->tells)
            return contact_told(e, error);
        if (!take_next(e, error))
            return false;
        settled(e->ca);
        return true;
    case JOB_ROLLOVER:
        return take_next(e, error);
    case JOB_CLOSE:
        log_info("account at %s: closed", e->ca->directory);
        account_forget(e->ca->dir);
        account_release(&e->ca->account);
        return true;
    default:
        return true;
    }
}

static void tell_problem(const struct job_problem *p, char error[TABLE_ERROR])
{
    if (strncmp(p->type, "net.", 4) == 0)
        snprintf(error, TABLE_ERROR, "%s", p->detail);
    else if (p->status && strcmp(p->type, "about:blank") == 0)
        snprintf(error, TABLE_ERROR, "the CA refuses (status %u%s%s)", p->status,
                 *p->detail ? ": " : "", p->detail);
    else
        snprintf(error, TABLE_ERROR, "the CA says %s: %s", p->type, p->detail);
}

/* true: continues in another way. A revocation that the account may not sign, for example
 * because another account ordered the certificate, is signed by the certificate's key. A
 * rollover may have taken effect although its response was lost, and repeating it is then
 * refused; so the CA is asked which key is valid. */
static bool account_op_again(struct account_op *e, const struct job_problem *p)
{
    uint32_t places = e->places;

    if (e->kind == JOB_REVOKE && !e->by_key && strncmp(p->type, "net.", 4) != 0) {
        e->by_key = true;
    } else if (e->kind == JOB_ROLLOVER) {
        tell_problem(p, e->error);
        e->ca->settled = false;
        e->kind = JOB_ACCOUNT;
    } else {
        return false;
    }
    end_run(e);
    return account_op_start(e, places);
}

/* The CA accepts nothing more from the account, which is what was requested. Its key is kept as
 * closed.pem, because only the operator can say whether it was the right one. error "":
 * done. */
static void forget_closed(struct account_op *e, char error[TABLE_ERROR])
{
    error[0] = '\0';
    if (account_lay_aside(e->ca->dir) < 0) {
        ca_set_store_error(e->ca_set, errno, error);
        return;
    }
    log_info("account at %s: was already closed; its key is kept as closed.pem",
             e->ca->directory);
    account_release(&e->ca->account);
}

static void account_op_failed(struct account_op *e, const struct job_problem *p,
                              char error[TABLE_ERROR])
{
    bool known = e->ca->account.url[0];

    tell_problem(p, error);
    e->unknown =
        e->kind == JOB_REVOKE && (strcmp(p->type, "malformed") == 0 ||
                                  (p->status == 404 && strncmp(p->type, "net.", 4) != 0));
    if (e->kind == JOB_ACCOUNT && !e->tells && p->account_gone) { /* the old key holds */
        account_drop_next(e->ca->dir);
        settled(e->ca);
    }
    if (e->tells && (strcmp(p->type, "invalidContact") == 0 ||
                     strcmp(p->type, "unsupportedContact") == 0)) {
        e->ca->contact_known = true; /* it would refuse it each hour */
        snprintf(
            error, TABLE_ERROR,
            "the CA %s refused %s, so the account keeps its contact: set another one%s (%s)",
            e->ca->directory, e->ca->email_from,
            e->ca == &e->ca_set->ca[FALLBACK_SECOND] ? " as acme.fallback.email" : "",
            p->detail);
    }
    if (e->kind == JOB_CLOSE && (p->account_closed || (p->account_gone && known))) {
        forget_closed(e, error);
        return;
    }
    if (e->kind == JOB_CLOSE && p->account_gone)
        snprintf(error, TABLE_ERROR, "there is no account at this CA");
    if (e->error[0])
        snprintf(error, TABLE_ERROR, "%s", e->error);
}

enum account_op_news account_op_tick(struct account_op *e, char error[TABLE_ERROR])
{
    enum account_op_news news = ACCOUNT_OP_NOTHING;
    struct job_event event;

    while (e->run && news == ACCOUNT_OP_NOTHING) {
        job_serve(e->run, &event);
        switch (event.type) {
        case JOB_NOTHING:
            return ACCOUNT_OP_NOTHING;
        case JOB_PROGRESS:
            job_reply(e->run, true);
            break;
        case JOB_DONE:
            news = account_op_done(e, error) ? ACCOUNT_OP_DONE : ACCOUNT_OP_FAILED;
            break;
        case JOB_FAILED:
            if (account_op_again(e, &event.problem))
                break;
            account_op_failed(e, &event.problem, error);
            news = error[0] ? ACCOUNT_OP_FAILED : ACCOUNT_OP_DONE;
            break;
        default:
            break;
        }
    }
    if (news != ACCOUNT_OP_NOTHING)
        end_run(e);
    return news;
}
