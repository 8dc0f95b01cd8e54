#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "acmed/csr.h"
#include "acmed/issue_internal.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"

enum {
    SPACE_NEEDED = 256 * 1024,    /* bytes free in the store before anything is ordered */
    PREFLIGHT_RUN_MS = 60 * 1000, /* of a preflight; then the order goes without */
};

static const struct conf_acme *acme_of(const struct issue *is)
{
    return &is->issuer->heritage->conf->acme;
}

/* ---- which way */

struct ladder_ways issue_ways(const struct issue *is)
{
    const struct conf_acme *acme = acme_of(is);
    const struct conf_cert *cert = is->conf;
    struct ladder_ways ways = {.staging = *acme->staging,
                               .second = *acme->fallback.directory,
                               .after = acme->fallback.after};

    ways.n_kinds = ladder_fitting(
        cert->names, cert->n_names, cert->n_challenges ? cert->challenges : acme->challenges,
        cert->n_challenges ? cert->n_challenges : acme->n_challenges, ways.kinds);
    return ways;
}

int issue_live_ca(const struct issue *is)
{
    const int who[] = {LADDER_FIRST, LADDER_SECOND};

    if (is->state.issued_by == 0)
        return LADDER_FIRST; /* of a time when there was only one */
    for (size_t i = 0; i < sizeof who / sizeof *who; i++) {
        const char *directory = is->issuer->ca[who[i]].directory;

        if (*directory && issuer_hash(directory) == is->state.issued_by)
            return who[i];
    }
    return -1;
}

void issue_says(struct issue *is)
{
    static const char *const now[LADDER_CAS] = {"is ordered", "rehearsing at staging",
                                                "is ordered from the second CA"};
    static const char *const next[LADDER_CAS] = {"", "next, a rehearsal at staging",
                                                 "next, the second CA is asked"};
    const struct ladder_ways ways = issue_ways(is);
    const char *text = is->state.failures ? next[ladder_ca(&is->state.ladder, &ways)] : "";

    if (is->run && is->kind == JOB_PREFLIGHT)
        text = "looking whether its names lead here";
    else if (is->run && is->kind == JOB_ISSUE)
        text = now[is->ca];
    snprintf(is->doing, sizeof is->doing, "%s", text);
}

/* ---- jobs */

static void fill_order(const struct issue *is, const struct issue_live *live, struct job *job)
{
    const struct ladder_ways ways = issue_ways(is);

    job->names = is->conf->names;
    job->n_names = is->conf->n_names;
    ladder_kinds(&is->state.ladder, &ways, job->challenges);
    if (job->kind == JOB_ISSUE && live->plan.from_ca && issue_live_ca(is) == (int)is->ca)
        job->replaces = live->ari_id;
}

bool issue_start_job(struct issue *is, enum job_kind kind, const struct issue_live *live)
{
    const struct conf_acme *acme = acme_of(is);
    const struct ca *ca =
        kind == JOB_RENEWAL_INFO ? &is->issuer->ca[issue_live_ca(is)] : issue_ca(is);
    const struct account *account = &ca->account;
    struct signer_keys keys = {.account = str_make(account->key, account->n_key),
                               .certificate = str_make(is->order.key, is->order.n_key),
                               .eab_hmac = str_from(ca->eab_hmac)};
    struct job job = {
        .kind = kind,
        .directory = ca->directory,
        .ca_file = ca->ca_file,
        .contact = ca->email,
        .agree_tos = acme->agree_tos,
        .account_url = account->url,
        .eab_kid = ca->eab_kid,
        .profile = ca->profile,
        .preferred_chain = acme->preferred_chain,
        .order_url = is->order.url,
        .http_port = acme->http_port,
        .resolver = acme->resolver,
        .deadline_ms = kind == JOB_PREFLIGHT ? PREFLIGHT_RUN_MS : ISSUER_RUN_MS,
    };

    if (kind == JOB_RENEWAL_INFO)
        job.renewal_id = live->ari_id;
    else
        fill_order(is, live, &job);
    if (kind != JOB_ISSUE)
        keys = (struct signer_keys){0};
    is->run = job_start(is->issuer->nursery, &job, &keys, is->issuer->heritage->table);
    if (!is->run)
        return false;
    is->kind = kind;
    is->issuer->runs++;
    issue_says(is);
    return true;
}

static enum issue_news begin_job(struct issue *is, enum job_kind kind,
                                 const struct issue_live *live)
{
    char error[TABLE_REASON];

    if (issue_start_job(is, kind, live))
        return ISSUE_CHANGED;
    snprintf(error, sizeof error, "cannot begin: %s", strerror(errno));
    return issue_fail(is, live, 0, error);
}

/* ---- an order */

/* So that no certificate is ordered that could not be kept. */
static bool has_space(const struct issue *is, char error[TABLE_REASON])
{
    struct statvfs fs;

    if (fstatvfs(is->folder, &fs) < 0 || fs.f_blocks == 0 ||
        (uint64_t)fs.f_bavail * fs.f_frsize >= SPACE_NEEDED)
        return true;
    snprintf(error, TABLE_REASON, "the store %.90s is full: nothing is ordered",
             acme_of(is)->store);
    return false;
}

/* Orders that begin while the first one makes the account get that one too: the CA knows it by
 * its key. */
static bool makes_account(const struct ca *ca)
{
    return !ca->account.url[0] && !ca->making;
}

/* A fresh key, and everything written down that the CA will count: the order itself when it is
 * about to be made (on_progress). */
static bool prepare(struct issue *is, char error[TABLE_REASON])
{
    struct ca *ca = issue_ca(is);
    uint64_t now_s = clock_wall_ms() / 1000;

    _Static_assert((int)CONF_KEY_P384 == CSR_P384 && (int)CONF_KEY_RSA2048 == CSR_RSA2048 &&
                       (int)CONF_KEY_RSA4096 == CSR_RSA4096,
                   "the configuration and csr.h number keys alike");

    order_release(&is->order);
    is->order.key = csr_key_new((enum csr_key_type)is->conf->key_type, &is->order.n_key);
    is->order.begun_s = now_s;
    if (!is->order.key) {
        snprintf(error, TABLE_REASON, "cannot make a key");
        return false;
    }
    if (order_save_key(is->folder, is->order.key, is->order.n_key) < 0) {
        issuer_store_error(is->issuer, errno, error);
        return false;
    }
    ledger_attempt(&ca->ledger, issue_names(is), now_s);
    if (makes_account(ca)) {
        ledger_account(&ca->ledger, now_s);
        ca->making = is->makes_account = true;
    }
    return issuer_save_ledger(is->issuer, ca, error);
}

/* 0: it may begin now. Else how long to wait; why tells. */
static uint64_t limits_wait_ms(const struct issue *is, const struct issue_live *live,
                               const char **why)
{
    const struct ca *ca = issue_ca(is);
    uint64_t now_s = clock_wall_ms() / 1000;
    /* Only a CA that answers ARI exempts renewals, by what they replace. */
    bool exempt = live->plan.from_ca && renew_window_good(&is->state.ari) &&
                  issue_live_ca(is) == (int)is->ca;
    uint64_t wait = ledger_wait(&ca->ledger, issue_names(is), exempt, now_s, why);

    if (wait == 0 && makes_account(ca))
        wait = ledger_wait_account(&ca->ledger, now_s, why);
    return wait * 1000;
}

/* Takes the CA that the ladder names, as far as possible without asking it. true: go on. */
static bool choose_ca(struct issue *is, const struct issue_live *live, enum issue_news *news)
{
    const struct ladder_ways ways = issue_ways(is);
    char error[TABLE_REASON];
    const char *why;
    uint64_t wait;

    is->ca = ladder_ca(&is->state.ladder, &ways);
    if (!issuer_ready(is->issuer, issue_ca(is), error)) {
        *news = issue_fail(is, live, 0, error);
        return false;
    }
    is->wanted_for = order_wanted(issue_ca(is)->directory, issue_ca(is)->profile,
                                  is->conf->names, is->conf->n_names);
    order_load(is->folder, is->wanted_for, &is->order);
    wait = is->order.url[0] ? 0 : limits_wait_ms(is, live, &why);
    if (wait == 0)
        return true;
    plan_postpone(&is->state, wait, why, clock_wall_ms());
    issue_save_state(is);
    log_warn("certificate %s: not ordered now: %s", is->conf->name, why);
    *news = ISSUE_CHANGED;
    return false;
}

static enum issue_news order(struct issue *is, const struct issue_live *live)
{
    static const char *const how[LADDER_CAS] = {"is ordered", "is rehearsed",
                                                "is ordered from the second CA,"};
    char error[TABLE_REASON];

    if (!is->order.url[0] && !prepare(is, error))
        return issue_fail(is, live, 0, error);
    log_info("certificate %s: %s at %s", is->conf->name,
             is->order.url[0] ? "goes on with its order" : how[is->ca],
             issue_ca(is)->directory);
    return begin_job(is, JOB_ISSUE, live);
}

enum issue_news issue_start(struct issue *is, const struct issue_live *live)
{
    enum issue_news news = ISSUE_NOTHING;
    char error[TABLE_REASON];

    is->by_hand = is->wanted;
    is->wanted = false;
    if (!issue_open_folder(is)) {
        issuer_store_error(is->issuer, errno, error);
        return issue_fail(is, live, 0, error);
    }
    if (!choose_ca(is, live, &news))
        return news;
    if (is->order.url[0])
        return order(is, live);
    if (!has_space(is, error))
        return issue_fail(is, live, 0, error);
    if (!acme_of(is)->preflight || is->state.ladder.rehearsed)
        return order(is, live);
    return begin_job(is, JOB_PREFLIGHT, live);
}

/* ---- the preflight */

static void tell_notes(struct issue *is, const struct preflight *found)
{
    if (memcmp(is->note, found->note, sizeof is->note) == 0)
        return;
    memcpy(is->note, found->note, sizeof is->note);
    for (int i = 0; i < TABLE_NOTES && is->note[i][0]; i++)
        log_warn("certificate %s: before the order: %s", is->conf->name, is->note[i]);
}

enum issue_news issue_after_preflight(struct issue *is, const struct issue_live *live,
                                      const struct job_event *event)
{
    const struct ladder_ways ways = issue_ways(is);
    enum issue_news news = ISSUE_NOTHING;
    struct preflight found = {0};
    char text[TABLE_REASON + 64];

    if (event->type == JOB_DONE)
        preflight_read(&found, event->info, event->clock_off_ms);
    issue_end_run(is);
    tell_notes(is, &found);
    switch (preflight_judge(&found, &is->state.ladder, &ways, is->ca,
                            is->by_hand ? 0 : is->state.failures)) {
    case PREFLIGHT_HOLD:
        snprintf(text, sizeof text, "held back, no order spent: %s", found.note[0]);
        return issue_fail(is, live, 0, text);
    case PREFLIGHT_REHEARSE:
    case PREFLIGHT_GO:
        break;
    }
    issue_save_state(is);
    return choose_ca(is, live, &news) ? order(is, live) : news;
}
