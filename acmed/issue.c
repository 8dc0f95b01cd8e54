#include "acmed/issue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "acmed/acme_json.h"
#include "acmed/backoff.h"
#include "acmed/csr.h"
#include "acmed/issue_dns.h"
#include "acmed/record.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/fd.h"
#include "base/log.h"

enum {
    SPACE_NEEDED = 256 * 1024,    /* bytes free in the store before anything is ordered */
    CLOCK_OFF_MS = 5 * 60 * 1000, /* more between our clock and the CA's is told */
    LOOK_MS = 1000,               /* at the wall clock, which may jump */
    FIRST_LOOK_MS = 500,          /* after the start: let the workers come up */
};

static struct ledger_names names_of(const struct issue *is)
{
    return (struct ledger_names){is->conf->names, is->conf->n_names};
}

static const struct conf_acme *acme_of(const struct issue *is)
{
    return &is->issuer->heritage->conf->acme;
}

static bool open_folder(struct issue *is)
{
    if (is->folder < 0)
        is->folder = record_open(acme_of(is)->store, "orders", is->name, true);
    return is->folder >= 0;
}

void issue_init(struct issue *is, struct issuer *issuer, const struct conf_cert *conf,
                const char *name, uint64_t now_ms)
{
    *is = (struct issue){.issuer = issuer,
                         .conf = conf,
                         .name = name,
                         .folder = -1,
                         .due_ms = now_ms + FIRST_LOOK_MS};
    if (issuer && open_folder(is))
        cert_state_load(is->folder, &is->state);
}

static void end_run(struct issue *is)
{
    if (is->run)
        is->issuer->runs--;
    job_end(is->run);
    is->run = NULL;
    is->due_ms = 0;
    hook_release(&is->dns);
    order_release(&is->order);
}

void issue_release(struct issue *is)
{
    end_run(is);
    for (int i = 0; i < ISSUE_DROPS; i++)
        hook_release(&is->drop[i]);
    fd_close(&is->folder);
}

static void save_state(struct issue *is)
{
    static struct log_gate gate;

    if ((!open_folder(is) || cert_state_save(is->folder, &is->state) < 0) &&
        log_gate_open(&gate))
        log_warn("certificate %s: cannot write down its state: %s", is->conf->name,
                 strerror(errno));
}

/* ---- starting */

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

_Static_assert((int)CONF_KEY_P384 == CSR_P384 && (int)CONF_KEY_RSA2048 == CSR_RSA2048 &&
                   (int)CONF_KEY_RSA4096 == CSR_RSA4096,
               "the configuration and csr.h number keys alike");

/* A fresh key, and everything written down that the CA will count. */
static bool begin_order(struct issue *is, char error[TABLE_REASON])
{
    struct ca *ca = &is->issuer->ca;
    uint64_t now_s = clock_wall_ms() / 1000;

    if (!has_space(is, error))
        return false;
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
    ledger_attempt(&ca->ledger, names_of(is), now_s);
    ledger_order(&ca->ledger, now_s);
    if (!ca->account.url[0])
        ledger_account(&ca->ledger, now_s);
    return issuer_save_ledger(is->issuer, error);
}

/* 0: it may begin now. Else how long to wait; why tells. */
static uint64_t limits_wait_ms(const struct issue *is, const struct issue_live *live,
                               const char **why)
{
    const struct ca *ca = &is->issuer->ca;
    uint64_t now_s = clock_wall_ms() / 1000;
    /* Only a CA that answers ARI exempts renewals, by what they replace. */
    bool exempt = live->plan.from_ca && renew_window_good(&is->state.ari);
    uint64_t wait = ledger_wait(&ca->ledger, names_of(is), exempt, now_s, why);

    if (wait == 0 && !ca->account.url[0])
        wait = ledger_wait_account(&ca->ledger, now_s, why);
    return wait * 1000;
}

static void fill_challenges(const struct issue *is, struct job *job)
{
    static const char *const known[] = {
        [JOB_HTTP_01] = "http-01",
        [JOB_TLS_ALPN_01] = "tls-alpn-01",
        [JOB_DNS_01] = "dns-01",
    };
    const struct conf_acme *acme = acme_of(is);
    size_t n = 0;

    for (size_t i = 0; i < acme->n_challenges && n < JOB_CHALLENGES; i++)
        for (int kind = JOB_HTTP_01; kind < JOB_CHALLENGE_KINDS; kind++)
            if (strcmp(acme->challenges[i], known[kind]) == 0)
                job->challenges[n++] = (enum job_challenge)kind;
    if (n == 0)
        job->challenges[0] = JOB_HTTP_01;
}

static bool start_job(struct issue *is, enum job_kind kind, const struct issue_live *live)
{
    const struct conf_acme *acme = acme_of(is);
    const struct account *account = &is->issuer->ca.account;
    struct signer_keys keys = {.account = str_make(account->key, account->n_key),
                               .certificate = str_make(is->order.key, is->order.n_key),
                               .eab_hmac = str_from(acme->eab_hmac_key)};
    struct job job = {
        .kind = kind,
        .directory = is->issuer->ca.directory,
        .ca_file = acme->ca_file,
        .contact = acme->email,
        .agree_tos = acme->agree_tos,
        .account_url = account->url,
        .eab_kid = acme->eab_kid,
        .names = is->conf->names,
        .n_names = is->conf->n_names,
        .profile = acme->profile,
        .preferred_chain = acme->preferred_chain,
        .order_url = is->order.url,
        .deadline_ms = ISSUER_RUN_MS,
    };

    if (kind == JOB_RENEWAL_INFO) {
        keys = (struct signer_keys){0};
        job.renewal_id = live->ari_id;
    } else {
        fill_challenges(is, &job);
        if (live->plan.from_ca)
            job.replaces = live->ari_id;
    }
    is->run = job_start(is->issuer->nursery, &job, &keys, is->issuer->heritage->table);
    if (!is->run)
        return false;
    is->kind = kind;
    is->issuer->runs++;
    return true;
}

static enum issue_news fail(struct issue *is, const struct issue_live *live,
                            uint64_t retry_after_ms, const char *problem)
{
    char when[CLOCK_ISO_SIZE];

    end_run(is);
    plan_failed(&is->state, &live->plan, retry_after_ms, problem, clock_wall_ms(),
                issuer_random());
    save_state(is);
    log_warn("certificate %s: not ordered, failure %u: %s; next try %s", is->conf->name,
             is->state.failures, problem, clock_iso(when, is->state.next_try));
    return ISSUE_FAILED;
}

static enum issue_news start_order(struct issue *is, const struct issue_live *live)
{
    char error[TABLE_REASON];
    const char *why;
    uint64_t wait;

    is->wanted = false;
    if (!open_folder(is)) {
        issuer_store_error(is->issuer, errno, error);
        return fail(is, live, 0, error);
    }
    if (!issuer_ready(is->issuer, error))
        return fail(is, live, 0, error);
    is->wanted_for = order_wanted(is->issuer->ca.directory, acme_of(is)->profile,
                                  is->conf->names, is->conf->n_names);
    order_load(is->folder, is->wanted_for, &is->order);
    if (!is->order.url[0]) {
        wait = limits_wait_ms(is, live, &why);
        if (wait > 0) {
            plan_postpone(&is->state, wait, why, clock_wall_ms());
            save_state(is);
            log_warn("certificate %s: not ordered now: %s", is->conf->name, why);
            return ISSUE_CHANGED;
        }
        if (!begin_order(is, error))
            return fail(is, live, 0, error);
    }
    log_info("certificate %s: %s at %s", is->conf->name,
             is->order.url[0] ? "goes on with its order" : "is ordered",
             is->issuer->ca.directory);
    if (!start_job(is, JOB_ISSUE, live)) {
        snprintf(error, sizeof error, "cannot begin: %s", strerror(errno));
        return fail(is, live, 0, error);
    }
    return ISSUE_CHANGED;
}

/* ---- events */

/* Another order than the one that we know: a first one, or one in place of one that is gone. */
static bool note_order(struct issue *is, const char *url)
{
    char error[TABLE_REASON];

    if (strcmp(is->order.url, url) == 0)
        return true;
    if (is->order.url[0]) { /* counts as one more */
        is->order.begun_s = clock_wall_ms() / 1000;
        ledger_attempt(&is->issuer->ca.ledger, names_of(is), is->order.begun_s);
        ledger_order(&is->issuer->ca.ledger, is->order.begun_s);
        if (!issuer_save_ledger(is->issuer, error))
            return false;
    }
    snprintf(is->order.url, sizeof is->order.url, "%s", url);
    return order_save_url(is->folder, is->wanted_for, &is->order) == 0;
}

static void on_progress(struct issue *is, const struct job_event *event)
{
    bool noted = true;

    if (event->account_url && *event->account_url)
        noted = issuer_account_is(is->issuer, event->account_url);
    if (noted && event->order_url && *event->order_url)
        noted = note_order(is, event->order_url);
    if (!noted)
        log_warn("certificate %s: the store does not take what has to be kept", is->conf->name);
    job_answer(is->run, noted);
}

static void tell_clock(const struct job_event *event)
{
    static struct log_gate gate;
    int64_t off = event->clock_off_ms;

    if ((off > CLOCK_OFF_MS || off < -CLOCK_OFF_MS) && log_gate_open(&gate))
        log_warn("the clock here and that of the CA differ by %lld s: set it right",
                 (long long)(off / 1000));
}

/* In plain words, with what to change where we know it. */
static void tell_problem(const struct job_event *event, char out[TABLE_REASON])
{
    const struct job_problem *p = &event->problem;
    int64_t off = event->clock_off_ms;
    bool clock = off > CLOCK_OFF_MS || off < -CLOCK_OFF_MS;
    size_t n;

    if (strncmp(p->type, "net.", 4) == 0)
        n = (size_t)snprintf(out, TABLE_REASON, "%.140s", p->detail);
    else
        n = (size_t)snprintf(out, TABLE_REASON, "the CA says %.30s%s%.60s: %.100s", p->type,
                             p->name[0] ? " of " : "", p->name, p->detail);
    if (clock && n < TABLE_REASON)
        snprintf(out + n, TABLE_REASON - n, " (our clock is off by %lld s)",
                 (long long)(off / 1000));
}

/* Takes back what was written down in advance, and the CA has nothing of to count: without an
 * order no name can have failed. */
static void pardon(struct issue *is)
{
    struct ca *ca = &is->issuer->ca;
    char error[TABLE_REASON];

    if (is->order.url[0])
        return;
    ledger_pardon(&ca->ledger, names_of(is), is->order.begun_s);
    if (!ca->account.url[0])
        ledger_pardon_account(&ca->ledger, is->order.begun_s);
    issuer_save_ledger(is->issuer, error);
}

static enum issue_news on_order_failed(struct issue *is, const struct issue_live *live,
                                       const struct job_event *event)
{
    const struct job_problem *p = &event->problem;
    uint64_t retry_after_ms = (uint64_t)p->retry_after_s * 1000;
    char text[TABLE_REASON];

    tell_clock(event);
    tell_problem(event, text);
    if (p->account_gone)
        issuer_account_is(is->issuer, "");
    pardon(is);
    if (p->order_gone)
        order_forget(is->folder);
    return fail(is, live, retry_after_ms, text);
}

static bool copy_text(char **to, size_t *n, struct str from)
{
    *to = malloc(from.n + 1);
    if (!*to)
        return false;
    memcpy(*to, from.p, from.n);
    (*to)[from.n] = '\0';
    *n = from.n;
    return true;
}

static enum issue_news on_certificate(struct issue *is, const struct issue_live *live,
                                      const struct job_event *event, struct pem_pair *pair)
{
    *pair = (struct pem_pair){0};
    tell_clock(event);
    if (copy_text(&pair->chain, &pair->n_chain, event->chain) &&
        copy_text(&pair->key, &pair->n_key, str_make(is->order.key, is->order.n_key)))
        return ISSUE_CAME;
    pem_pair_release(pair);
    return fail(is, live, 0, "no memory");
}

static enum issue_news on_renewal_info(struct issue *is, const struct issue_live *live,
                                       const struct job_event *event)
{
    uint64_t retry_after_ms = (uint64_t)event->retry_after_s * 1000;
    struct renew_window before = is->state.ari, window = {0};
    struct acme_renewal info;
    char when[CLOCK_ISO_SIZE];

    if (event->type == JOB_DONE && acme_json_renewal(event->info, &info))
        window = (struct renew_window){info.start_wall_ms, info.end_wall_ms};
    else if (event->type == JOB_FAILED)
        retry_after_ms = (uint64_t)event->problem.retry_after_s * 1000;
    plan_answered(&is->state, &live->plan, &window, retry_after_ms, clock_wall_ms(),
                  issuer_random());
    if (renew_window_good(&window) &&
        (window.start != before.start || window.end != before.end))
        log_info("certificate %s: the CA suggests to renew it; that is at %s%s%s",
                 is->conf->name, clock_iso(when, is->state.renew_at),
                 info.explanation[0] ? ", see " : "", info.explanation);
    end_run(is);
    save_state(is);
    return ISSUE_CHANGED;
}

/* ---- the run */

static enum issue_news serve(struct issue *is, const struct issue_live *live, uint64_t now_ms,
                             struct pem_pair *pair)
{
    struct job_event event;

    issue_dns_look(is, now_ms);
    for (;;) {
        job_serve(is->run, &event);
        switch (event.type) {
        case JOB_NOTHING:
            is->due_ms = job_due_ms(is->run);
            if (is->dns.pid && is->due_ms > now_ms + LOOK_MS)
                is->due_ms = now_ms + LOOK_MS;
            return ISSUE_NOTHING;
        case JOB_PROGRESS:
            on_progress(is, &event);
            break;
        case JOB_DNS_PUT:
            issue_dns_put(is, &event);
            break;
        case JOB_DNS_DROP:
            issue_dns_drop(is, &event);
            break;
        case JOB_DONE:
        case JOB_FAILED:
            if (is->kind == JOB_RENEWAL_INFO)
                return on_renewal_info(is, live, &event);
            return event.type == JOB_DONE ? on_certificate(is, live, &event, pair)
                                          : on_order_failed(is, live, &event);
        }
    }
}

enum issue_news issue_tick(struct issue *is, const struct issue_live *live, uint64_t now_ms,
                           struct pem_pair *pair)
{
    struct cert_state before = is->state;
    enum plan_step step;
    uint64_t until;

    if (!is->issuer)
        return ISSUE_NOTHING;
    issue_dns_drops(is, now_ms);
    if (is->run)
        return serve(is, live, now_ms, pair);
    if (now_ms < is->due_ms)
        return ISSUE_NOTHING;
    is->due_ms = now_ms + LOOK_MS;
    if (is->issuer->nursery < 0 || is->issuer->runs >= ISSUER_RUNS)
        return ISSUE_NOTHING;
    step = plan_next(&is->state, &live->plan, is->wanted, clock_wall_ms(), issuer_random(),
                     &until);
    if (step == PLAN_ORDER)
        return start_order(is, live);
    if (memcmp(&before, &is->state, sizeof before) != 0)
        save_state(is);
    if (step == PLAN_ASK && !start_job(is, JOB_RENEWAL_INFO, live))
        plan_no_answer(&is->state, 0, clock_wall_ms(), issuer_random());
    return memcmp(&before, &is->state, sizeof before) != 0 ? ISSUE_CHANGED : ISSUE_NOTHING;
}

void issue_settle(struct issue *is, const struct issue_live *live, const char *error)
{
    char text[TABLE_REASON];

    if (error) {
        fail(is, live, 0, error);
        return;
    }
    ledger_success(&is->issuer->ca.ledger, names_of(is), is->order.begun_s,
                   clock_wall_ms() / 1000);
    if (!issuer_save_ledger(is->issuer, text))
        log_warn("%s", text);
    order_forget(is->folder);
    end_run(is);
    plan_issued(&is->state);
    save_state(is);
}

int issue_fd(const struct issue *is)
{
    return is->run ? job_fd(is->run) : -1;
}

/* ---- the operator */

const char *issue_want(struct issue *is, const struct issue_live *live, bool force)
{
    bool good = live->plan.from_ca && live->plan.covers &&
                clock_wall_ms() < is->state.renew_at && is->state.failures == 0;

    if (!is->issuer)
        return "it is not ordered from a CA";
    if (is->run && is->kind == JOB_ISSUE)
        return NULL; /* on its way */
    if (is->issuer->nursery < 0)
        return "the network half does not run; see the log";
    if (good && !force)
        return "it is not due yet; --force renews it nevertheless";
    if (is->run)
        end_run(is); /* only asked when to renew */
    is->wanted = true;
    is->due_ms = 0;
    return NULL;
}

void issue_hold(struct issue *is)
{
    if (!is->issuer)
        return;
    if (is->run)
        end_run(is);
    plan_postpone(&is->state, BACKOFF_DAY_MS, "", clock_wall_ms());
    save_state(is);
}
