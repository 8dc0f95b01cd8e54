#include "acmed/issue_dns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"

enum { DNS_NAME = 288 }; /* bytes of a record's name */

static const char *hook_of(const struct issue *is)
{
    return is->issuer->heritage->conf->acme.hook;
}

static bool call_dns(struct issue *is, struct hook *hook, const struct job_event *event,
                     const char *what)
{
    char record[DNS_NAME];
    const struct hook_call call = {.program = hook_of(is),
                                   .event = what,
                                   .certificate = is->conf->name,
                                   .names = is->conf->names,
                                   .n_names = is->conf->n_names,
                                   .dns_name = record,
                                   .dns_value = event->value};

    if (!*hook_of(is))
        return false;
    snprintf(record, sizeof record, "_acme-challenge.%s", event->name);
    if (hook_start(hook, &call, clock_mono_ms()) == 0)
        return true;
    log_warn("certificate %s: hook %s: %s", is->conf->name, hook_of(is), strerror(errno));
    return false;
}

void issue_dns_put(struct issue *is, const struct job_event *event)
{
    is->dns_waits = call_dns(is, &is->dns, event, "dns-put");
    if (!is->dns_waits)
        job_answer(is->run, false);
}

void issue_dns_drop(struct issue *is, const struct job_event *event)
{
    for (int i = 0; i < ISSUE_DROPS; i++)
        if (!is->drop[i].pid) {
            call_dns(is, &is->drop[i], event, "dns-drop");
            return;
        }
    log_warn("certificate %s: the record of %s is left behind", is->conf->name, event->name);
}

void issue_dns_drops(struct issue *is, uint64_t now_ms)
{
    for (int i = 0; i < ISSUE_DROPS; i++)
        if (hook_poll(&is->drop[i], now_ms) == HOOK_BAD)
            log_warn("certificate %s: the hook did not take a record away", is->conf->name);
}

void issue_dns_look(struct issue *is, uint64_t now_ms)
{
    enum hook_result result = hook_poll(&is->dns, now_ms);

    if (result == HOOK_BAD)
        log_warn("certificate %s: the hook did not publish the record", is->conf->name);
    if (is->dns_waits && (result == HOOK_GOOD || result == HOOK_BAD)) {
        is->dns_waits = false;
        job_answer(is->run, result == HOOK_GOOD);
    }
}
