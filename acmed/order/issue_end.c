#include "acmed/order/issue_end.h"

#include <stdio.h>
#include <string.h>

#include "acmed/order/issue_core.h"
#include "acmed/order/issue_dns.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"

void issue_end_run(struct issue *is)
{
    if (is->run)
        is->ca_set->runs--;
    job_end(is->run);
    is->run = NULL;
    is->due_ms = 0;
    if (is->makes_account)
        issue_ca(is)->making = false;
    is->makes_account = false;
    is->clock_wait_ms = 0;
    is->gone = false;
    is->refused[0] = '\0';
    issue_dns_end_run(is);
    order_release(&is->order);
}

/* The time logged is that of the next order: a certificate that is good, and was only requested
 * by hand, is not due early because the request failed. */
enum issue_news issue_fail_as(struct issue *is, const struct issue_live *live,
                              uint64_t retry_after_ms, const char *problem,
                              enum issue_failure how)
{
    uint64_t now = clock_wall_ms(), at;
    char when[CLOCK_ISO_SIZE];

    issue_end_run(is);
    plan_failed(&is->state, &live->plan, retry_after_ms, problem, now, ca_set_random());
    if (how == ISSUE_FAILURE_KIND)
        plan_hurry(&is->state, FALLBACK_QUICK_MS, now);
    if (how == ISSUE_FAILURE_REACHING)
        plan_unreached(&is->state, &live->plan, now, ca_set_random());
    at = plan_order_at(&is->state, &live->plan, now);
    issue_save_state(is);
    issue_says(is);
    log_warn("certificate %s: not ordered, failure %u: %s; next try %s%s%s", is->conf->name,
             is->state.failures, problem, clock_iso(when, at > now ? at : now),
             is->doing[0] ? ": " : "", is->doing);
    return ISSUE_FAILED;
}

enum issue_news issue_fail(struct issue *is, const struct issue_live *live,
                           uint64_t retry_after_ms, const char *problem)
{
    return issue_fail_as(is, live, retry_after_ms, problem, ISSUE_FAILURE);
}

enum issue_news issue_no_store(struct issue *is, const struct issue_live *live,
                               const char *problem, uint64_t wait_ms)
{
    uint64_t now = clock_wall_ms(), at;
    bool known = is->no_store && strcmp(is->state.problem, problem) == 0;
    char when[CLOCK_ISO_SIZE], often[40] = "";

    issue_end_run(is);
    is->no_store = true;
    plan_postpone(&is->state, wait_ms, problem, now);
    issue_says(is);
    if (known)
        return ISSUE_CHANGED;
    issue_save_state(is);
    at = plan_order_at(&is->state, &live->plan, now);
    if (at <= now + wait_ms) /* else it was asked for by hand, and is not due */
        snprintf(often, sizeof often, "tried every %d s, ", (int)(wait_ms / 1000));
    log_warn("certificate %s: not ordered: %s; %snext try %s", is->conf->name, problem, often,
             clock_iso(when, at));
    return ISSUE_FAILED;
}

enum issue_news issue_drop(struct issue *is, const struct issue_live *live, const char *why)
{
    uint64_t now = clock_wall_ms();
    char when[CLOCK_ISO_SIZE];

    issue_end_run(is);
    issue_forget_order(is);
    issue_dns_all_go(is);
    plan_dropped(&is->state, now);
    issue_save_state(is);
    issue_says(is);
    log_warn("certificate %s: the unfinished order is abandoned: %s; the live certificate is "
             "good, next try %s",
             is->conf->name, why, clock_iso(when, plan_order_at(&is->state, &live->plan, now)));
    return ISSUE_CHANGED;
}

enum issue_news issue_held_by_clock(struct issue *is, const struct issue_live *live,
                                    uint64_t wait_ms)
{
    char text[TABLE_REASON], when[CLOCK_ISO_SIZE], span[CLOCK_SPAN_SIZE];

    snprintf(text, sizeof text,
             "the clock here is %s ahead of the CA's; set it right. By the CA's clock the "
             "renewal is not due before %s: nothing is ordered",
             clock_span(span, (uint64_t)-is->clock_off_ms),
             clock_iso(when, plan_due_by_dates(&is->state, &live->plan)));
    if (strcmp(is->state.problem, text) != 0)
        log_warn("certificate %s: %s", is->conf->name, text);
    issue_end_run(is);
    plan_hold_by_clock(&is->state, wait_ms, text, clock_wall_ms());
    issue_save_state(is);
    issue_says(is);
    return ISSUE_CHANGED;
}
