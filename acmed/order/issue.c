#include "acmed/order/issue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acmed/key/secret.h"
#include "acmed/net/acme_json.h"
#include "acmed/order/backoff.h"
#include "acmed/order/issue_core.h"
#include "acmed/order/issue_dns.h"
#include "acmed/order/issue_end.h"
#include "acmed/order/issue_record.h"
#include "acmed/order/issue_start.h"
#include "acmed/order/order_store.h"
#include "acmed/order/problem_text.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/fd.h"
#include "base/log.h"

enum {
    LOOK_MS = 1000,               /* the wall clock may jump, so check it often */
    FIRST_LOOK_MS = 500,          /* after start, so that the workers can come up */
    ISSUE_VALID_MS = 3600 * 1000, /* between two looks at a pair that is not valid yet; the
                                     clock may be corrected meanwhile */
};

void issue_init(struct issue *is, struct ca_set *ca_set, const struct conf_cert *conf,
                const char *name, uint64_t now_ms)
{
    *is = (struct issue){.ca_set = ca_set,
                         .conf = conf,
                         .name = name,
                         .dir = -1,
                         .due_ms = now_ms + FIRST_LOOK_MS};
    if (!ca_set || !issue_open_dir(is))
        return;
    if (cert_state_load(is->dir, &is->state) < 0)
        log_warn("certificate %s: orders/%s/state in the store is damaged; past failures and "
                 "the planned renewal are forgotten",
                 conf->name, name);
    is->state.begun = order_is_there(is->dir);
    if (dns_records_load(is->dir, &is->dns.records) < 0)
        log_warn(
            "certificate %s: orders/%s/records in the store is damaged; TXT records that "
            "acme.hook has published may stay in DNS: look at _acme-challenge of its names",
            conf->name, name);
}

void issue_release(struct issue *is)
{
    issue_dns_release(is);
    issue_end_run(is);
    dns_records_release(&is->dns.records);
    fd_close(&is->dir);
}

bool issue_wait_valid(struct issue *is, uint64_t not_before_wall_ms)
{
    uint64_t now = clock_wall_ms(), wait = not_before_wall_ms - now + 1000;
    int64_t by_ca = (int64_t)now + is->clock_off_ms + PLAN_CLOCK_MS;
    char text[TABLE_REASON], when[CLOCK_ISO_SIZE];

    if ((int64_t)not_before_wall_ms > by_ca)
        return false;
    snprintf(text, sizeof text,
             "the new certificate is not valid before %s because the clock here is behind the "
             "CA's; it goes live when it is valid",
             clock_iso(when, not_before_wall_ms));
    log_warn("certificate %s: %s", is->conf->name, text);
    issue_end_run(is); /* the order stays, and is resumed */
    plan_postpone(&is->state, wait < ISSUE_VALID_MS ? wait : ISSUE_VALID_MS, text, now);
    issue_save_state(is);
    issue_says(is);
    return true;
}

/* ---- events */

/* The order is new to us: a first one, or one that replaces a lost one. */
static bool note_order(struct issue *is, const char *url, char error[TABLE_REASON])
{
    if (strcmp(is->order.url, url) == 0)
        return true;
    issue_dns_all_go(is); /* those of the previous order */
    if (is->order.url[0]) {
        is->order.begun_s = clock_wall_ms() / 1000;
        if (!issue_record_attempt(is, false, error))
            return false;
    }
    snprintf(is->order.url, sizeof is->order.url, "%s", url);
    is->state.begun = order_save_url(is->dir, is->wanted_for, &is->order) == 0;
    if (!is->state.begun)
        ca_set_store_error(is->ca_set, errno, error);
    return is->state.begun;
}

/* Records what the event reports. false: error says why it cannot be. */
static bool note_progress(struct issue *is, const struct job_event *event,
                          char error[TABLE_REASON])
{
    if (event->account_url && *event->account_url &&
        !ca_set_account_is(issue_ca(is), event->account_url)) {
        snprintf(error, TABLE_REASON, "the store cannot be written to");
        return false;
    }
    if (event->state == JOB_STATE_ACCOUNT) /* the CA is about to count one more order */
        return issue_record_order(is, error);
    return !event->order_url || !*event->order_url || note_order(is, event->order_url, error);
}

/* Whether an order may be created, now that the CA's clock is known. */
static bool clock_agrees(struct issue *is, const struct issue_live *live)
{
    if (is->by_hand || is->kind != JOB_ISSUE)
        return true;
    is->clock_wait_ms =
        plan_clock_wait(&is->state, &live->plan, is->clock_off_ms, clock_wall_ms());
    return is->clock_wait_ms == 0;
}

static void issue_on_progress(struct issue *is, const struct issue_live *live,
                              const struct job_event *event)
{
    bool noted;

    clock_hear(&is->ca_set->clock, event->clock_off_ms);
    is->clock_off_ms = event->clock_off_ms;
    /* A new order is about to be created, but a resumed one must not be replaced. */
    is->gone = is->resumes && event->state == JOB_STATE_ACCOUNT;
    if (is->gone || (event->state == JOB_STATE_ACCOUNT && !clock_agrees(is, live))) {
        job_reply(is->run, false);
        return;
    }
    noted = note_progress(is, event, is->refused);
    /* A rate log that is full is not over in a minute. */
    is->store_refused = !noted && issue_ca(is)->rate_log.n < RATE_LOG_ENTRIES;
    if (noted && event->state == JOB_STATE_VALIDATED)
        issue_dns_all_go(is);
    if (!noted)
        log_warn("certificate %s: its order is stopped: %s", is->conf->name, is->refused);
    job_reply(is->run, noted);
}

static enum issue_news on_order_failed(struct issue *is, const struct issue_live *live,
                                       const struct job_event *event)
{
    const struct order_options options = issue_options(is);
    const struct job_problem problem = event->problem;
    uint32_t unreached = is->state.fallback.ca_failures;
    struct job_problem named = problem;
    char text[PROBLEM_TEXT_SIZE];
    bool soon;

    if (is->clock_wait_ms) {
        issue_record_refund(is);
        return issue_held_by_clock(is, live, is->clock_wait_ms);
    }
    if (is->gone)
        return issue_drop(is, live, "the CA no longer has it");
    if (*is->refused && is->store_refused) {
        char refused[TABLE_REASON];

        snprintf(refused, sizeof refused, "%s", is->refused); /* the run ends with it */
        issue_record_refund(is);
        return issue_no_store(is, live, refused, ISSUE_STORE_ASKED_MS);
    }
    if (*issue_dns_says(is)) { /* the CA has not been asked yet */
        snprintf(named.type, sizeof named.type, "net.hook");
        snprintf(named.detail, sizeof named.detail, "%s", issue_dns_says(is));
    }
    if (*is->refused)
        snprintf(named.detail, sizeof named.detail, "%s", is->refused);
    problem_text_find_name(&named, is->conf->names, is->conf->n_names);
    problem_text_for(&named, event->clock_off_ms, text, sizeof text);
    problem_text_of_ca(is->ca, text, sizeof text);
    if (problem.account_gone)
        ca_set_account_is(issue_ca(is), "");
    issue_record_refund(is);
    if (problem.order_gone)
        issue_forget_order(is);
    soon = fallback_failed(&is->state.fallback, &options, is->ca, &named) &&
           !problem.retry_after_s;
    if (is->state.fallback.ca_failures == 0)
        plan_reached(&is->state, &live->plan, unreached);
    issue_fail_as(is, live, (uint64_t)problem.retry_after_s * 1000, text,
                  soon                         ? ISSUE_FAILURE_KIND
                  : fallback_unreached(&named) ? ISSUE_FAILURE_REACHING
                                               : ISSUE_FAILURE);
    if (soon)
        log_info("certificate %s: the next try uses another kind of challenge", is->conf->name);
    return ISSUE_FAILED;
}

/* Reports the parts that the CA refused and the order left out. */
static void tell_left_out(struct issue *is, struct str lines)
{
    while (lines.n) {
        size_t end = str_index(lines, '\n');
        struct str line = str_head(lines, end);
        char note[TABLE_NOTE];

        lines = str_skip(lines, end < lines.n ? end + 1 : end);
        log_warn("certificate %s: %.*s", is->conf->name, STR_ARG(line));
        issue_note(is, str_fit(note, sizeof note, line));
    }
}

/* A staging dry run succeeded: its certificate is discarded, and the real order comes next. */
static enum issue_news dry_run_succeeded(struct issue *is)
{
    issue_record_success(is);
    log_info("certificate %s: staging dry run succeeded at %s", is->conf->name,
             issue_ca(is)->directory);
    issue_forget_order(is);
    issue_end_run(is);
    plan_hurry(&is->state, 0, clock_wall_ms());
    is->state.wanted |= is->by_hand;
    issue_save_state(is);
    issue_says(is);
    return ISSUE_CHANGED;
}

static enum issue_news on_certificate(struct issue *is, const struct issue_live *live,
                                      const struct job_event *event, struct pem_pair *pair)
{
    *pair = (struct pem_pair){0};
    tell_left_out(is, event->info);
    is->proved_by = event->challenge;
    if (fallback_succeeded(&is->state.fallback, is->ca, is->proved_by))
        return dry_run_succeeded(is);
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
    plan_responded(&is->state, &live->plan, &window, retry_after_ms, clock_wall_ms(),
                   ca_set_random());
    if (renew_window_good(&window) &&
        (window.start != before.start || window.end != before.end))
        log_info("certificate %s: the CA suggests renewal (ARI); planned for %s%s%s",
                 is->conf->name, clock_iso(when, is->state.renew_at),
                 info.explanation[0] ? ", see " : "", info.explanation);
    issue_end_run(is);
    issue_save_state(is);
    return ISSUE_CHANGED;
}

/* The CA cannot be reached, so an order would fail too. */
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
    clock_hear(&is->ca_set->clock, event->clock_off_ms);
    is->clock_off_ms = event->clock_off_ms;
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

    for (;;) {
        job_serve(is->run, &event);
        switch (event.type) {
        case JOB_NOTHING:
            is->due_ms = job_due_ms(is->run);
            if (is->dns.hook.pid && is->due_ms > now_ms + LOOK_MS)
                is->due_ms = now_ms + LOOK_MS;
            return ISSUE_NOTHING;
        case JOB_PROGRESS:
            issue_on_progress(is, live, &event);
            break;
        case JOB_DNS_PUT:
            issue_dns_put(is, &event);
            break;
        case JOB_DNS_DROP: /* the next try may still need it; issue_dns_all_go() removes it */
            break;
        case JOB_DONE:
        case JOB_FAILED:
            return on_end(is, live, &event, pair);
        }
    }
}

/* Whether it was suspended since the last look, or the clock was set. */
static void note_clock(struct issue *is, const struct issue_live *live)
{
    uint64_t now = clock_wall_ms(), boot = clock_boot_ms();
    uint64_t back = plan_set_back_by(is->seen_ms, is->seen_boot_ms, now, boot);

    is->away |= plan_was_away(is->seen_ms, now);
    is->seen_ms = now;
    is->seen_boot_ms = boot;
    if (!back)
        return;
    plan_set_back(&is->state, &live->plan, back);
    issue_save_state(is);
}

static void come_back(struct issue *is, const struct plan_live *live)
{
    is->away = false;
    if (!is->state.begun)
        plan_start(&is->state, live, clock_wall_ms(), ca_set_random());
}

enum issue_news issue_tick(struct issue *is, const struct issue_live *live, uint64_t now_ms,
                           struct pem_pair *pair)
{
    struct cert_state before = is->state;
    struct plan_live plan = live->plan;
    enum plan_step step;
    uint64_t until;

    if (!is->ca_set)
        return ISSUE_NOTHING;
    note_clock(is, live);
    if (!is->run && is->dns.records.n && !order_is_there(is->dir))
        issue_dns_all_go(is);
    if (is->run)
        return serve(is, live, now_ms, pair);
    if (now_ms < is->due_ms)
        return ISSUE_NOTHING;
    is->due_ms = now_ms + LOOK_MS;
    if (is->ca_set->forkserver < 0 || is->ca_set->runs >= CA_SET_RUNS)
        return ISSUE_NOTHING;
    issue_look_at_store(is);
    if (is->away)
        come_back(is, &plan);
    plan.can_ask &= issue_live_ca(is) >= 0;
    step = plan_next(&is->state, &plan, clock_wall_ms(), ca_set_random(), &until);
    if (step == PLAN_ORDER)
        return issue_start(is, live);
    if (memcmp(&before, &is->state, sizeof before) != 0)
        issue_save_state(is);
    if (step == PLAN_ASK && !issue_start_job(is, JOB_RENEWAL_INFO, live))
        plan_no_response(&is->state, 0, clock_wall_ms(), ca_set_random());
    return memcmp(&before, &is->state, sizeof before) != 0 ? ISSUE_CHANGED : ISSUE_NOTHING;
}

void issue_settle(struct issue *is, const struct issue_live *live, const char *error)
{
    if (error) {
        issue_fail(is, live, 0, error);
        return;
    }
    issue_record_success(is);
    issue_forget_order(is);
    issue_end_run(is);
    note_clock(is, live); /* the new time of issue is by the clock as it is now */
    plan_issued(&is->state, clock_wall_ms());
    is->state.issued_by = ca_set_hash(issue_ca(is)->directory);
    issue_save_state(is);
    issue_says(is);
}

void issue_not_stored(struct issue *is, const struct issue_live *live, const char *error)
{
    issue_no_store(is, live, error, ISSUE_STORE_ASKED_MS);
}

bool issue_busy(const struct issue *is)
{
    return is->state.wanted || (is->run && is->kind != JOB_RENEWAL_INFO);
}

int issue_fd(const struct issue *is)
{
    return is->run ? job_fd(is->run) : -1;
}

/* ---- the operator */

const char *issue_want(struct issue *is, const struct issue_live *live, bool force)
{
    if (!is->ca_set)
        return "it is not ordered from a CA";
    if (is->run && is->kind != JOB_RENEWAL_INFO) { /* in progress */
        is->state.wanted = 1; /* a successor is to tell the operator how it ends */
        issue_save_state(is);
        return NULL;
    }
    if (is->ca_set->forkserver < 0)
        return is->ca_set->unusable;
    if (!force && plan_rests(&is->state, &live->plan, clock_wall_ms()))
        return CERT_NOT_DUE;
    if (is->run)
        issue_end_run(is); /* it only asks when to renew */
    is->state.wanted = 1;  /* on disk, so that a successor continues */
    issue_save_state(is);
    is->due_ms = 0;
    return NULL;
}

void issue_hold(struct issue *is, uint64_t not_after_wall_ms)
{
    uint64_t now = clock_wall_ms();
    uint64_t left = not_after_wall_ms > now ? not_after_wall_ms - now : 0;

    if (!is->ca_set)
        return;
    if (is->run)
        issue_end_run(is);
    issue_forget_order(is); /* for a newer certificate, which is not wanted now */
    plan_postpone(&is->state, left / 2 < BACKOFF_DAY_MS ? left / 2 : BACKOFF_DAY_MS, "", now);
    issue_save_state(is);
}

void issue_told(struct issue *is, uint64_t now_wall_ms)
{
    is->state.hook_at = now_wall_ms;
    if (is->ca_set)
        issue_save_state(is);
}
