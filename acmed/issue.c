#include "acmed/issue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acmed/acme_json.h"
#include "acmed/backoff.h"
#include "acmed/issue_dns.h"
#include "acmed/issue_internal.h"
#include "acmed/order_store.h"
#include "acmed/record.h"
#include "acmed/secret.h"
#include "acmed/words.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/fd.h"
#include "base/log.h"

enum {
    LOOK_MS = 1000,      /* at the wall clock, which may jump */
    FIRST_LOOK_MS = 500, /* after the start: let the workers come up */
};

struct ledger_names issue_names(const struct issue *is)
{
    return (struct ledger_names){is->conf->names, is->conf->n_names};
}

static const struct conf_acme *acme_of(const struct issue *is)
{
    return &is->issuer->heritage->conf->acme;
}

bool issue_open_folder(struct issue *is)
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
    if (issuer && issue_open_folder(is))
        cert_state_load(is->folder, &is->state);
}

void issue_end_run(struct issue *is)
{
    if (is->run)
        is->issuer->runs--;
    job_end(is->run);
    is->run = NULL;
    is->due_ms = 0;
    if (is->makes_account)
        issue_ca(is)->making = false;
    is->makes_account = false;
    hook_release(&is->dns);
    order_release(&is->order);
}

void issue_release(struct issue *is)
{
    issue_end_run(is);
    for (int i = 0; i < ISSUE_DROPS; i++)
        hook_release(&is->drop[i]);
    fd_close(&is->folder);
}

void issue_save_state(struct issue *is)
{
    static struct log_gate gate;

    if ((!issue_open_folder(is) || cert_state_save(is->folder, &is->state) < 0) &&
        log_gate_open(&gate))
        log_warn("certificate %s: cannot write down its state: %s", is->conf->name,
                 strerror(errno));
}

enum issue_news issue_fail(struct issue *is, const struct issue_live *live,
                           uint64_t retry_after_ms, const char *problem)
{
    char when[CLOCK_ISO_SIZE];

    issue_end_run(is);
    plan_failed(&is->state, &live->plan, retry_after_ms, problem, clock_wall_ms(),
                issuer_random());
    issue_save_state(is);
    issue_says(is);
    log_warn("certificate %s: not ordered, failure %u: %s; next try %s%s%s", is->conf->name,
             is->state.failures, problem, clock_iso(when, is->state.next_try),
             is->doing[0] ? ": " : "", is->doing);
    return ISSUE_FAILED;
}

/* ---- events */

/* The CA is about to count one more. */
static bool note_new_order(struct issue *is)
{
    char error[TABLE_REASON];
    struct ca *ca = issue_ca(is);

    ledger_order(&ca->ledger, clock_wall_ms() / 1000);
    return issuer_save_ledger(is->issuer, ca, error);
}

/* Another order than the one that we know: a first one, or one in place of one that is gone. */
static bool note_order(struct issue *is, const char *url)
{
    char error[TABLE_REASON];
    struct ca *ca = issue_ca(is);

    if (strcmp(is->order.url, url) == 0)
        return true;
    if (is->order.url[0]) {
        is->order.begun_s = clock_wall_ms() / 1000;
        ledger_attempt(&ca->ledger, issue_names(is), is->order.begun_s);
        if (!issuer_save_ledger(is->issuer, ca, error))
            return false;
    }
    snprintf(is->order.url, sizeof is->order.url, "%s", url);
    return order_save_url(is->folder, is->wanted_for, &is->order) == 0;
}

static void on_progress(struct issue *is, const struct job_event *event)
{
    bool noted = true;

    if (event->account_url && *event->account_url)
        noted = issuer_account_is(issue_ca(is), event->account_url);
    if (noted && event->state == JOB_STATE_ACCOUNT)
        noted = note_new_order(is);
    else if (noted && event->order_url && *event->order_url)
        noted = note_order(is, event->order_url);
    if (!noted)
        log_warn("certificate %s: the store does not take what has to be kept", is->conf->name);
    job_answer(is->run, noted);
}

static void tell_clock(const struct job_event *event)
{
    static struct log_gate gate;
    int64_t off = event->clock_off_ms;

    if ((off > PREFLIGHT_CLOCK_MS || off < -PREFLIGHT_CLOCK_MS) && log_gate_open(&gate))
        log_warn("the clock here and that of the CA differ by %lld s: set it right",
                 (long long)(off / 1000));
}

/* Takes back what was written down in advance, and the CA has nothing of to count: without an
 * order no name can have failed. */
static void pardon(struct issue *is)
{
    struct ca *ca = issue_ca(is);
    char error[TABLE_REASON];

    if (is->kind != JOB_ISSUE || is->order.url[0])
        return;
    ledger_pardon(&ca->ledger, issue_names(is), is->order.begun_s);
    if (!ca->account.url[0] && is->makes_account)
        ledger_pardon_account(&ca->ledger, is->order.begun_s);
    issuer_save_ledger(is->issuer, ca, error);
}

static enum issue_news on_order_failed(struct issue *is, const struct issue_live *live,
                                       const struct job_event *event)
{
    const struct ladder_ways ways = issue_ways(is);
    const struct job_problem problem = event->problem;
    struct job_problem named = problem;
    char text[WORDS_SIZE];
    enum issue_news news;
    bool soon;

    words_find_name(&named, is->conf->names, is->conf->n_names);
    words_for(&named, event->clock_off_ms, text, sizeof text);
    if (problem.account_gone)
        issuer_account_is(issue_ca(is), "");
    pardon(is);
    if (problem.order_gone)
        order_forget(is->folder);
    soon = ladder_failed(&is->state.ladder, &ways, is->ca, &problem) && !problem.retry_after_s;
    news = issue_fail(is, live, (uint64_t)problem.retry_after_s * 1000, text);
    if (soon) {
        plan_hurry(&is->state, LADDER_QUICK_MS, clock_wall_ms());
        issue_save_state(is);
        log_info("certificate %s: another kind of challenge is tried in a few seconds",
                 is->conf->name);
    }
    return news;
}

/* A rehearsal went well: what it brought is thrown away, and the order itself comes now. */
static enum issue_news on_rehearsed(struct issue *is)
{
    struct ca *ca = issue_ca(is);
    char text[TABLE_REASON];

    ledger_success(&ca->ledger, issue_names(is), is->order.begun_s, clock_wall_ms() / 1000);
    if (!issuer_save_ledger(is->issuer, ca, text))
        log_warn("%s", text);
    log_info("certificate %s: rehearsed well at %s", is->conf->name, ca->directory);
    order_forget(is->folder);
    issue_end_run(is);
    plan_hurry(&is->state, 0, clock_wall_ms());
    issue_save_state(is);
    is->wanted = is->by_hand;
    issue_says(is);
    return ISSUE_CHANGED;
}

static enum issue_news on_certificate(struct issue *is, const struct issue_live *live,
                                      const struct job_event *event, struct pem_pair *pair)
{
    *pair = (struct pem_pair){0};
    is->proved_by = event->challenge;
    if (ladder_succeeded(&is->state.ladder, is->ca, is->proved_by))
        return on_rehearsed(is);
    *pair = (struct pem_pair){.chain = secret_copy(event->chain),
                              .n_chain = event->chain.n,
                              .key = secret_copy(str_make(is->order.key, is->order.n_key)),
                              .n_key = is->order.n_key};
    if (pair->chain && pair->key)
        return ISSUE_CAME;
    pem_pair_release(pair);
    return issue_fail(is, live, 0, "no memory");
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
    issue_end_run(is);
    issue_save_state(is);
    return ISSUE_CHANGED;
}

/* The CA cannot be reached: then there is no use in an order either. */
static bool stands_in_the_way(const struct job_event *event)
{
    const char *type = event->problem.type;

    return event->type == JOB_FAILED && strcmp(type, "net.broken") != 0 &&
           strcmp(type, "net.deadline") != 0;
}

/* ---- the run */

static enum issue_news on_end(struct issue *is, const struct issue_live *live,
                              const struct job_event *event, struct pem_pair *pair)
{
    tell_clock(event);
    if (is->kind == JOB_RENEWAL_INFO)
        return on_renewal_info(is, live, event);
    if (is->kind == JOB_PREFLIGHT && !stands_in_the_way(event))
        return issue_after_preflight(is, live, event);
    return event->type == JOB_DONE ? on_certificate(is, live, event, pair)
                                   : on_order_failed(is, live, event);
}

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
            return on_end(is, live, &event, pair);
        }
    }
}

static void note_absence(struct issue *is)
{
    uint64_t now = clock_wall_ms();

    is->away |= plan_was_away(is->seen_ms, now);
    is->seen_ms = now;
}

static void come_back(struct issue *is, const struct plan_live *live)
{
    is->away = false;
    if (!order_is_there(is->folder))
        plan_start(&is->state, live, clock_wall_ms(), issuer_random());
}

enum issue_news issue_tick(struct issue *is, const struct issue_live *live, uint64_t now_ms,
                           struct pem_pair *pair)
{
    struct cert_state before = is->state;
    struct plan_live plan = live->plan;
    enum plan_step step;
    uint64_t until;

    if (!is->issuer)
        return ISSUE_NOTHING;
    note_absence(is);
    issue_dns_drops(is, now_ms);
    if (is->run)
        return serve(is, live, now_ms, pair);
    if (now_ms < is->due_ms)
        return ISSUE_NOTHING;
    is->due_ms = now_ms + LOOK_MS;
    if (is->issuer->nursery < 0 || is->issuer->runs >= ISSUER_RUNS)
        return ISSUE_NOTHING;
    if (is->away)
        come_back(is, &plan);
    plan.can_ask &= issue_live_ca(is) >= 0;
    step = plan_next(&is->state, &plan, is->wanted, clock_wall_ms(), issuer_random(), &until);
    if (step == PLAN_ORDER)
        return issue_start(is, live);
    if (memcmp(&before, &is->state, sizeof before) != 0)
        issue_save_state(is);
    if (step == PLAN_ASK && !issue_start_job(is, JOB_RENEWAL_INFO, live))
        plan_no_answer(&is->state, 0, clock_wall_ms(), issuer_random());
    return memcmp(&before, &is->state, sizeof before) != 0 ? ISSUE_CHANGED : ISSUE_NOTHING;
}

void issue_settle(struct issue *is, const struct issue_live *live, const char *error)
{
    char text[TABLE_REASON];

    if (error) {
        issue_fail(is, live, 0, error);
        return;
    }
    ledger_success(&issue_ca(is)->ledger, issue_names(is), is->order.begun_s,
                   clock_wall_ms() / 1000);
    if (!issuer_save_ledger(is->issuer, issue_ca(is), text))
        log_warn("%s", text);
    order_forget(is->folder);
    issue_end_run(is);
    plan_issued(&is->state);
    is->state.issued_by = issuer_hash(issue_ca(is)->directory);
    issue_save_state(is);
    issue_says(is);
}

bool issue_busy(const struct issue *is)
{
    return is->wanted || (is->run && is->kind != JOB_RENEWAL_INFO);
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
    if (is->run && is->kind != JOB_RENEWAL_INFO)
        return NULL; /* on its way */
    if (is->issuer->nursery < 0)
        return "the network half does not run; see the log";
    if (good && !force)
        return "it is not due yet; --force renews it nevertheless";
    if (is->run)
        issue_end_run(is); /* only asked when to renew */
    is->wanted = true;
    is->due_ms = 0;
    return NULL;
}

void issue_hold(struct issue *is)
{
    if (!is->issuer)
        return;
    if (is->run)
        issue_end_run(is);
    plan_postpone(&is->state, BACKOFF_DAY_MS, "", clock_wall_ms());
    issue_save_state(is);
}

void issue_told(struct issue *is, uint64_t now_wall_ms)
{
    is->state.hook_at = now_wall_ms;
    if (is->issuer)
        issue_save_state(is);
}
