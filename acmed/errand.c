#include "acmed/errand.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acmed/jose.h"
#include "acmed/record.h"
#include "acmed/secret.h"
#include "base/conf.h"
#include "base/fd.h"
#include "base/log.h"

const char errand_busy[] = "the CA is being talked to just now: ask again";

static void end_run(struct errand *e)
{
    if (e->run)
        e->issuer->runs -= e->places;
    job_end(e->run);
    e->run = NULL;
    e->places = 0;
}

void errand_release(struct errand *e)
{
    end_run(e);
    pem_pair_release(&e->pair);
    secret_free(e->next);
    *e = (struct errand){0};
}

int errand_fd(const struct errand *e)
{
    return e->run ? job_fd(e->run) : -1;
}

/* ---- beginning */

static const char *cannot_begin(struct issuer *issuer, struct ca *ca, uint32_t places)
{
    static char error[TABLE_REASON];

    if (issuer->nursery < 0)
        return "the network half does not run; see the log";
    if (issuer->runs + places > ISSUER_RUNS)
        return errand_busy;
    return issuer_ready(issuer, ca, error) && ca->folder >= 0 ? NULL : error;
}

/* The texts of the job are lent by the errand. */
static bool start(struct errand *e, uint32_t places)
{
    const struct conf_acme *acme = &e->issuer->heritage->conf->acme;
    const struct account *account = &e->ca->account;
    bool new_key = e->kind == JOB_ACCOUNT;
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
        .account_must_exist = e->kind != JOB_REVOKE,
        .certificate = str_make(e->pair.chain, e->pair.n_chain),
        .reason = e->reason,
        .deadline_ms = ERRAND_RUN_MS,
    };

    e->run = job_start(e->issuer->nursery, &job, &keys, e->issuer->heritage->table);
    if (!e->run)
        return false;
    e->places = places;
    e->issuer->runs += places;
    return true;
}

/* Starts it, or leaves nothing behind. */
static const char *start_or_not(struct errand *e, uint32_t places)
{
    static char error[TABLE_REASON];

    if (start(e, places))
        return NULL;
    snprintf(error, sizeof error, "cannot begin: %s", strerror(errno));
    errand_release(e);
    return error;
}

const char *errand_revoke(struct errand *e, struct issuer *issuer, struct ca *ca,
                          struct pem_pair *pair, uint32_t generation, unsigned reason)
{
    const char *why = cannot_begin(issuer, ca, 1);

    if (why) {
        pem_pair_release(pair);
        return why;
    }
    *e = (struct errand){.issuer = issuer,
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

const char *errand_rollover(struct errand *e, struct issuer *issuer, struct ca *ca)
{
    const char *why = cannot_begin(issuer, ca, ISSUER_RUNS);
    static char error[TABLE_REASON];

    if (why || (why = no_account(ca)))
        return why;
    *e = (struct errand){.issuer = issuer, .ca = ca, .kind = JOB_ROLLOVER};
    e->next = jose_key_new(&e->n_next);
    if (!e->next || account_save_next(ca->folder, e->next, e->n_next) < 0) {
        issuer_store_error(issuer, e->next ? errno : ENOMEM, error);
        errand_release(e);
        return error;
    }
    return start_or_not(e, ISSUER_RUNS);
}

const char *errand_close(struct errand *e, struct issuer *issuer, struct ca *ca)
{
    const char *why = cannot_begin(issuer, ca, ISSUER_RUNS);

    if (why || (why = no_account(ca)))
        return why;
    *e = (struct errand){.issuer = issuer, .ca = ca, .kind = JOB_CLOSE};
    return start_or_not(e, ISSUER_RUNS);
}

/* ---- whose key is next.pem? */

static char *left_behind(const struct issuer *issuer, const struct ca *ca, size_t *n)
{
    char folder[CERT_FOLDER_SIZE];
    int fd = record_open(issuer->heritage->conf->acme.store, "accounts",
                         account_folder(folder, ca->directory), false);
    char *next = fd < 0 ? NULL : account_load_next(fd, n);

    fd_close(&fd);
    return next;
}

bool errand_unsettled(struct errand *e, struct issuer *issuer, struct ca *ca, uint64_t now_ms)
{
    const char *why;
    char *next;
    size_t n = 0;

    if (ca->settled || issuer->nursery < 0)
        return false;
    if (errand_runs(e) || now_ms < ca->settle_ms || issuer->runs > 0)
        return true;
    ca->settle_ms = now_ms + ERRAND_AGAIN_MS;
    next = left_behind(issuer, ca, &n);
    if (!next) {
        ca->settled = true;
        return false;
    }
    log_info("account at %s: finds out which of its two keys holds", ca->directory);
    *e = (struct errand){.issuer = issuer,
                         .ca = ca,
                         .kind = JOB_ACCOUNT,
                         .settles = true,
                         .next = next,
                         .n_next = n};
    why = cannot_begin(issuer, ca, ISSUER_RUNS);
    if (why)
        errand_release(e);
    else
        why = start_or_not(e, ISSUER_RUNS);
    if (why)
        log_warn("account at %s: %s", ca->directory, why);
    return true;
}

/* The CA has taken the next key. What does not fit on the disk stays as next.pem, and is
 * settled by a successor. */
static bool take_next(struct errand *e, char error[TABLE_REASON])
{
    struct account *account = &e->ca->account;

    if (account_take_next(e->ca->folder) < 0) {
        issuer_store_error(e->issuer, errno, error);
        e->ca->settled = false;
        return false;
    }
    secret_free(account->key);
    account->key = e->next;
    account->n_key = e->n_next;
    e->next = NULL;
    e->n_next = 0;
    log_info("account at %s: its new key holds", e->ca->directory);
    return true;
}

/* ---- going on */

static bool done(struct errand *e, char error[TABLE_REASON])
{
    switch (e->kind) {
    case JOB_ACCOUNT:
        e->ca->settled = true;
        return take_next(e, error);
    case JOB_ROLLOVER:
        return take_next(e, error);
    case JOB_CLOSE:
        log_info("account at %s: closed", e->ca->directory);
        account_forget(e->ca->folder);
        account_release(&e->ca->account);
        return true;
    default:
        return true;
    }
}

static void tell_problem(const struct job_problem *p, char error[TABLE_REASON])
{
    if (strncmp(p->type, "net.", 4) == 0)
        snprintf(error, TABLE_REASON, "%.150s", p->detail);
    else
        snprintf(error, TABLE_REASON, "the CA says %.30s: %.100s", p->type, p->detail);
}

/* true: it goes on in another way. A revocation may be by another account, and the key says as
 * much. A rollover may have been heard though its answer was lost, and to ask again is then
 * refused: so the CA is asked whose key it is. */
static bool again(struct errand *e, const struct job_problem *p)
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
    return start(e, places);
}

static void failed(struct errand *e, const struct job_problem *p, char error[TABLE_REASON])
{
    tell_problem(p, error);
    if (e->kind == JOB_ACCOUNT && p->account_gone) { /* the old one holds */
        account_drop_next(e->ca->folder);
        e->ca->settled = true;
    }
    if (e->error[0])
        snprintf(error, TABLE_REASON, "%s", e->error);
}

enum errand_news errand_tick(struct errand *e, char error[TABLE_REASON])
{
    enum errand_news news = ERRAND_NOTHING;
    struct job_event event;

    while (e->run && news == ERRAND_NOTHING) {
        job_serve(e->run, &event);
        switch (event.type) {
        case JOB_NOTHING:
            return ERRAND_NOTHING;
        case JOB_PROGRESS:
            job_answer(e->run, true);
            break;
        case JOB_DONE:
            news = done(e, error) ? ERRAND_DONE : ERRAND_FAILED;
            break;
        case JOB_FAILED:
            if (again(e, &event.problem))
                break;
            failed(e, &event.problem, error);
            news = ERRAND_FAILED;
            break;
        default:
            break;
        }
    }
    if (news != ERRAND_NOTHING)
        end_run(e);
    return news;
}
