#include "acmed/order/issue_start.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "acmed/key/csr.h"
#include "acmed/order/backoff.h"
#include "acmed/order/issue_core.h"
#include "acmed/order/issue_dns.h"
#include "acmed/order/issue_end.h"
#include "acmed/order/issue_record.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"

enum {
    SPACE_NEEDED = 256 * 1024,    /* bytes free in the store, or nothing is ordered */
    FILES_NEEDED = 32,            /* likewise, files that can be made */
    PREFLIGHT_RUN_MS = 60 * 1000, /* of a preflight; after that the order starts without */
};

/* ---- jobs */

static void fill_order(const struct issue *is, const struct issue_live *live, struct job *job)
{
    const struct order_options options = issue_options(is);

    job->names = is->conf->names;
    job->n_names = is->conf->n_names;
    fallback_kinds(&is->state.fallback, &options, job->challenges);
    if (job->kind == JOB_ISSUE && live->plan.from_ca && issue_live_ca(is) == (int)is->ca)
        job->replaces = live->ari_id;
}

static uint64_t run_ms(const struct issue *is, const struct job *job)
{
    uint64_t ms = CA_SET_RUN_MS;

    if (job->kind == JOB_PREFLIGHT)
        return PREFLIGHT_RUN_MS;
    for (int i = 0; job->kind == JOB_ISSUE && i < JOB_CHALLENGES; i++)
        if (job->challenges[i] == JOB_DNS_01)
            ms += issue_dns_run_ms(is->conf->n_names, issue_acme(is)->dns_wait_ms);
    return ms;
}

bool issue_start_job(struct issue *is, enum job_kind kind, const struct issue_live *live)
{
    const struct conf_acme *acme = issue_acme(is);
    const struct ca *ca =
        kind == JOB_RENEWAL_INFO ? &is->ca_set->ca[issue_live_ca(is)] : issue_ca(is);
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
        .profile_required = ca->profile_required,
        .preferred_chain = acme->preferred_chain,
        .order_url = is->order.url,
        .http_port = acme->http_port,
        .resolver = acme->resolver,
        .dns_wait_ms = acme->dns_wait_ms,
    };

    if (kind == JOB_RENEWAL_INFO)
        job.renewal_id = live->ari_id;
    else
        fill_order(is, live, &job);
    job.deadline_ms = run_ms(is, &job);
    if (kind != JOB_ISSUE)
        keys = (struct signer_keys){0};
    is->run = job_start(is->ca_set->forkserver, &job, &keys, is->ca_set->heritage->table);
    if (!is->run)
        return false;
    is->kind = kind;
    is->ca_set->runs++;
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
    is->kind = kind;
    issue_record_refund(is);
    return issue_fail(is, live, 0, error);
}

/* ---- an order */

/* Orders nothing that could not be stored. */
static bool has_space(const struct issue *is, char error[TABLE_REASON])
{
    struct statvfs fs;
    bool full, no_files;

    if (fstatvfs(is->dir, &fs) < 0)
        return true;
    full = fs.f_blocks > 0 && (uint64_t)fs.f_bavail * fs.f_frsize < SPACE_NEEDED;
    no_files = fs.f_files > 0 && fs.f_favail < FILES_NEEDED;
    if (full || no_files)
        snprintf(error, TABLE_REASON, "the store %.90s %s; nothing is ordered",
                 issue_acme(is)->store, full ? "is full" : "has no inodes left for files");
    return !full && !no_files;
}

/* An order that starts while the first one creates the account gets the same account, because
 * the CA knows it by its key. */
static bool makes_account(const struct ca *ca)
{
    return !ca->account.url[0] && !ca->making;
}

/* Creates a key and records everything that the CA will count, except the order itself, which
 * is recorded just before it is created (order/issue.c). */
static bool issue_start_prepare(struct issue *is, char error[TABLE_REASON])
{
    struct ca *ca = issue_ca(is);

    _Static_assert((int)CONF_KEY_P384 == CSR_P384 && (int)CONF_KEY_RSA2048 == CSR_RSA2048 &&
                       (int)CONF_KEY_RSA4096 == CSR_RSA4096,
                   "the configuration and csr.h number keys alike");

    order_release(&is->order);
    is->state.begun = 0;
    is->order.key = csr_key_new((enum csr_key_type)is->conf->key_type[0], &is->order.n_key);
    is->order.begun_s = clock_wall_ms() / 1000;
    if (!is->order.key) {
        snprintf(error, TABLE_REASON, "cannot create a key");
        return false;
    }
    if (order_save_key(is->dir, is->order.key, is->order.n_key) < 0) {
        ca_set_store_error(is->ca_set, errno, error);
        return false;
    }
    if (!issue_record_attempt(is, makes_account(ca), error))
        return false;
    if (makes_account(ca))
        ca->making = is->makes_account = true;
    return true;
}

/* 0: it may start now. Else how long to wait; *why is the reason. */
static uint64_t limits_wait_ms(const struct issue *is, const struct issue_live *live,
                               const char **why)
{
    struct ca *ca = issue_ca(is);
    struct rate_log_names names = issue_names(is);
    uint64_t now_s = clock_wall_ms() / 1000;
    /* Only a CA that responds to ARI exempts renewals, and only those that replace its own
     * certificate. */
    bool exempt = live->plan.from_ca && renew_window_good(&is->state.ari) &&
                  issue_live_ca(is) == (int)is->ca;
    uint64_t wait;

    names.life_s = live->plan.from_ca ? renew_lifetime(&live->plan.life) / 1000 : 0;
    wait = is->urgent ? rate_log_wait_urgent(&ca->rate_log, names, now_s, why)
                      : rate_log_wait(&ca->rate_log, names, exempt, now_s, why);

    if (wait == 0 && makes_account(ca))
        wait = rate_log_wait_account(&ca->rate_log, now_s, why);
    return wait * 1000;
}

/* Selects the CA that the fallback chose, and checks all that can be checked without asking it.
 * true: continue. */
static bool choose_ca(struct issue *is, const struct issue_live *live, enum issue_news *news)
{
    const struct order_options options = issue_options(is);
    char error[TABLE_ERROR], when[CLOCK_ISO_SIZE];
    uint64_t wait, now = clock_wall_ms();
    const char *why;

    is->ca = fallback_ca(&is->state.fallback, &options);
    if (!ca_set_ready(is->ca_set, issue_ca(is), error)) {
        *news = issue_no_store(is, live, error, ISSUE_STORE_MS);
        return false;
    }
    is->wanted_for = order_wanted(issue_ca(is)->directory, issue_ca(is)->profile,
                                  is->conf->names, is->conf->n_names);
    order_load(is->dir, is->wanted_for, &is->order);
    if (is->resumes && !is->order.url[0]) {
        *news = issue_drop(is, live, "it was for other names, another CA or profile");
        return false;
    }
    wait = is->order.url[0] ? 0 : limits_wait_ms(is, live, &why);
    if (!is->urgent)
        wait = plan_limit_wait(&live->plan, wait, clock_wall_ms());
    if (wait == 0)
        return true;
    plan_postpone(&is->state, wait, why, now);
    issue_save_state(is);
    log_warn("certificate %s: not ordered now: %s; next try %s", is->conf->name, why,
             clock_iso(when, plan_order_at(&is->state, &live->plan, now)));
    *news = ISSUE_CHANGED;
    return false;
}

static enum issue_news order(struct issue *is, const struct issue_live *live)
{
    static const char *const how[FALLBACK_CAS] = {"is ordered", "staging dry run started",
                                                  "is ordered from the second CA,"};
    char error[TABLE_REASON];

    if (!is->order.url[0] && !issue_start_prepare(is, error))
        return issue_no_store(is, live, error, ISSUE_STORE_MS);
    log_info("certificate %s: %s at %s", is->conf->name,
             is->order.url[0] ? "continues its order" : how[is->ca], issue_ca(is)->directory);
    return begin_job(is, JOB_ISSUE, live);
}

void issue_look_at_store(struct issue *is)
{
    struct cert_state state = is->state;
    char error[TABLE_ERROR];

    if (!is->no_store || is->run || !backoff_over(is->state.next_try, clock_wall_ms()) ||
        !issue_open_dir(is) || !has_space(is, error) ||
        !ca_set_ready(is->ca_set, issue_ca(is), error))
        return;
    state.problem[0] = '\0';
    if (cert_state_save(is->dir, &state) < 0) /* perhaps a quota */
        return;
    is->state = state;
    is->no_store = false;
}

enum issue_news issue_start(struct issue *is, const struct issue_live *live)
{
    enum issue_news news = ISSUE_NOTHING;
    char error[TABLE_REASON], unusable[TABLE_NOTE];

    is->resumes = plan_resumes(&is->state, &live->plan, clock_wall_ms());
    is->by_hand = is->state.wanted || is->resumes;
    is->urgent = plan_urgent(&live->plan, clock_wall_ms());
    if (!issue_open_dir(is)) {
        ca_set_store_error(is->ca_set, errno, error);
        return issue_no_store(is, live, error, ISSUE_STORE_MS);
    }
    if (!choose_ca(is, live, &news))
        return news;
    if (!has_space(is, error)) /* not even for the certificate of an order that is open */
        return issue_no_store(is, live, error, ISSUE_STORE_MS);
    if (is->order.url[0])
        return order(is, live);
    if (!store_usable(issue_acme(is)->store, NULL, 0, unusable) ||
        !store_usable(issue_acme(is)->store, is->name, 0, unusable))
        return issue_no_store(is, live, unusable, ISSUE_STORE_MS);
    if (!issue_acme(is)->preflight || is->state.fallback.dry_run_passed)
        return order(is, live);
    return begin_job(is, JOB_PREFLIGHT, live);
}

/* ---- the preflight */

/* Except the clock: it may be corrected before the next preflight, and cert/hook_events.c
 * checks it all the time. */
static void tell_notes(struct issue *is, const struct preflight *found)
{
    char note[TABLE_NOTES][TABLE_NOTE] = {0};
    size_t skip = found->clock;

    memcpy(note, found->note + skip, (TABLE_NOTES - skip) * sizeof *note);
    if (memcmp(is->note, note, sizeof note) == 0)
        return;
    memcpy(is->note, note, sizeof note);
    for (int i = 0; i < TABLE_NOTES && is->note[i][0]; i++)
        log_warn("certificate %s: before the order: %s", is->conf->name, is->note[i]);
}

enum issue_news issue_after_preflight(struct issue *is, const struct issue_live *live,
                                      const struct job_event *event)
{
    const struct order_options options = issue_options(is);
    enum issue_news news = ISSUE_NOTHING;
    struct preflight found = {0};
    uint64_t clock_wait;
    char text[TABLE_NOTE + 64];

    if (event->type == JOB_DONE)
        preflight_read(&found, event->info, event->clock_off_ms);
    is->clock_off_ms = event->clock_off_ms;
    clock_wait = is->by_hand ? 0
                             : plan_clock_wait(&is->state, &live->plan, is->clock_off_ms,
                                               clock_wall_ms());
    issue_end_run(is);
    tell_notes(is, &found);
    if (clock_wait)
        return issue_held_by_clock(is, live, clock_wait);
    switch (preflight_judge(&found, &is->state.fallback, &options, is->ca,
                            is->by_hand ? 0 : is->state.failures)) {
    case PREFLIGHT_HOLD:
        snprintf(text, sizeof text, "not ordered, to save the CA's limits: %s", found.note[0]);
        return issue_fail(is, live, 0, text);
    case PREFLIGHT_DRY_RUN:
    case PREFLIGHT_GO:
        break;
    }
    issue_save_state(is);
    return choose_ca(is, live, &news) ? order(is, live) : news;
}
