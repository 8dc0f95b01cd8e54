#include "acmed/order/issue_record.h"

#include <stdio.h>

#include "acmed/order/issue_core.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"

/* Why the rate log took no more; always false. */
static bool not_recorded(const struct ca *ca, size_t n, char error[TABLE_REASON])
{
    snprintf(error, TABLE_REASON, "the rate log of %.80s %s; nothing is ordered", ca->directory,
             ca->rate_log.n + n > RATE_LOG_ENTRIES ? "is full" : "cannot grow: no memory");
    return false;
}

/* The attempt will not reach the CA. */
static void take_back(struct issue *is, bool account)
{
    struct rate_log *rate_log = &issue_ca(is)->rate_log;

    rate_log_refund(rate_log, issue_names(is), is->order.begun_s);
    if (account)
        rate_log_refund_account(rate_log, is->order.begun_s);
}

bool issue_record_attempt(struct issue *is, bool account, char error[TABLE_REASON])
{
    struct ca *ca = issue_ca(is);
    struct rate_log_names names = issue_names(is);

    if (rate_log_attempt(&ca->rate_log, names, is->order.begun_s) < 0)
        return not_recorded(ca, names.n, error);
    if (account && rate_log_account(&ca->rate_log, is->order.begun_s) < 0) {
        not_recorded(ca, 1, error);
        take_back(is, false);
        return false;
    }
    if (ca_set_save_rate_log(is->ca_set, ca, error))
        return true;
    take_back(is, account);
    return false;
}

bool issue_record_order(struct issue *is, char error[TABLE_REASON])
{
    struct ca *ca = issue_ca(is);

    if (rate_log_order(&ca->rate_log, clock_wall_ms() / 1000) < 0)
        return not_recorded(ca, 1, error);
    return ca_set_save_rate_log(is->ca_set, ca, error);
}

void issue_record_success(struct issue *is)
{
    struct ca *ca = issue_ca(is);
    char error[TABLE_REASON];

    if (rate_log_success(&ca->rate_log, issue_names(is), is->order.begun_s,
                         clock_wall_ms() / 1000) < 0)
        log_warn("certificate %s: not counted in the rate log of %s, which is full or out of "
                 "memory; the CA may refuse the next one for these names earlier than expected",
                 is->conf->name, ca->directory);
    if (!ca_set_save_rate_log(is->ca_set, ca, error))
        log_warn("%s", error);
}

void issue_record_refund(struct issue *is)
{
    struct ca *ca = issue_ca(is);
    char error[TABLE_REASON];

    if (is->kind != JOB_ISSUE || is->order.url[0])
        return;
    take_back(is, !ca->account.url[0] && is->makes_account);
    ca_set_save_rate_log(is->ca_set, ca, error);
}
