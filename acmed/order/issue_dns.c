#include "acmed/order/issue_dns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "acmed/order/issue_core.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"

enum { BETWEEN_MS = 5000 }; /* between the end of a call and the start of the next */

uint64_t issue_dns_run_ms(size_t n_names, uint64_t dns_wait_ms)
{
    return n_names * (HOOK_DEADLINE_MS + BETWEEN_MS) + dns_wait_ms;
}

static const char *hook_of(const struct issue *is)
{
    return is->ca_set->heritage->conf->acme.hook;
}

/* If a record cannot be stored, a successor would not know of it, so it must not be
 * published. */
static bool issue_dns_save(struct issue *is)
{
    if (issue_open_dir(is) && dns_records_save(is->dir, &is->dns.records) == 0)
        return true;
    log_warn("certificate %s: cannot store its DNS records: %s", is->conf->name,
             strerror(errno));
    return false;
}

static struct dns_record *issue_dns_find(struct issue *is, const struct dns_record *r)
{
    return dns_records_find(&is->dns.records, r->name, r->target, r->value, false);
}

static bool call(struct issue *is, const struct dns_record *record, uint64_t now_ms)
{
    char name[DNS_RECORD_NAME + 16];
    const struct hook_call call = {.program = hook_of(is),
                                   .event = record->state == DNS_RECORD_GOES ? "dns-drop"
                                                                             : "dns-put",
                                   .certificate = is->conf->name,
                                   .names = is->conf->names,
                                   .n_names = is->conf->n_names,
                                   .dns_name = name,
                                   .dns_target = record->target,
                                   .dns_value = record->value};

    snprintf(name, sizeof name, "_acme-challenge.%s", record->name);
    is->dns.now = *record;
    return hook_start(&is->dns.hook, &call, now_ms) == 0;
}

/* ---- publishing */

static void issue_dns_reply(struct issue *is, bool published)
{
    is->dns.waits = false;
    job_reply(is->run, published);
}

/* The call to publish it has ended, well or not. */
static void put_ended(struct issue *is, const struct dns_record *record, bool good)
{
    struct dns_record *r = issue_dns_find(is, record);

    if (!r || r->state != DNS_RECORD_HALF)
        return;
    r->tries = r->cut = 0;
    if (good)
        r->state = DNS_RECORD_THERE;
    issue_dns_save(is); /* if that fails, it is published again */
}

static void not_published(struct issue *is, const struct dns_record *record)
{
    snprintf(is->dns.says, sizeof is->dns.says, "acme.hook failed at dns-put for %.80s: %s",
             record->name, is->dns.hook.why);
    put_ended(is, record, false);
    log_warn("certificate %s: hook %s, dns-put of %s: %s", is->conf->name, hook_of(is),
             record->target, is->dns.hook.why);
    if (is->dns.waits)
        issue_dns_reply(is, false);
}

static void published(struct issue *is, const struct dns_record *record)
{
    put_ended(is, record, true);
    if (is->dns.waits)
        issue_dns_reply(is, true);
}

static void not_put(struct issue *is, const char *why)
{
    snprintf(is->dns.says, sizeof is->dns.says, "%s", why);
    issue_dns_reply(is, false);
}

static bool is_spent(const struct dns_record *r)
{
    return r->tries >= DNS_RECORD_TRIES || r->cut >= DNS_RECORD_CUTS;
}

void issue_dns_put(struct issue *is, const struct job_event *event)
{
    struct dns_record *r =
        dns_records_find(&is->dns.records, event->name, event->target, event->value, true);

    is->dns.waits = true;
    if (r && r->state == DNS_RECORD_THERE) {
        issue_dns_reply(is, true); /* by an earlier try */
        return;
    }
    if (r && r->state == DNS_RECORD_GOES)
        r->tries = r->cut = 0; /* of calls to remove it */
    if (r)
        r->state = DNS_RECORD_HALF;
    if (r && is_spent(r)) {
        bool cut = r->cut >= DNS_RECORD_CUTS;

        r->tries = r->cut = 0; /* for the next order */
        issue_dns_save(is);
        not_put(is, cut ? "a reload or stop of pasgate cut each call of acme.hook for dns-put"
                        : "acmed was ended during each call of acme.hook for dns-put");
        return;
    }
    if (r)
        r->tries++;
    if (!r || !issue_dns_save(is)) {
        if (r)
            r->tries--; /* nothing is called */
        not_put(is, "the store cannot record a DNS record");
        return;
    }
    is->dns.put = *r;
    issue_dns_look(is, clock_mono_ms());
}

/* ---- removing */

static void issue_dns_forget(struct issue *is, const struct dns_record *record)
{
    struct dns_record *r = issue_dns_find(is, record);

    if (r && r->state == DNS_RECORD_GOES) /* otherwise it is needed again */
        dns_records_remove(&is->dns.records, r);
    issue_dns_save(is);
}

static void leave_behind(struct issue *is, const struct dns_record *record, const char *why)
{
    char note[HOOK_WHY + 128];

    snprintf(note, sizeof note, "acme.hook left a TXT record at %.60s: %s", record->target,
             why);
    issue_note(is, note);
    log_warn("certificate %s: the TXT record \"%s\" of %s was left behind: delete it by hand",
             is->conf->name, record->value, record->target);
    issue_dns_forget(is, record);
}

static void not_taken_away(struct issue *is, const struct dns_record *record, uint64_t now_ms)
{
    struct dns_record *r = issue_dns_find(is, record);

    log_warn("certificate %s: hook %s, dns-drop of %s: %s", is->conf->name, hook_of(is),
             record->target, is->dns.hook.why);
    if (!r || r->state != DNS_RECORD_GOES)
        return;
    r->due_ms = now_ms + DNS_RECORD_MS;
    if (r->tries >= DNS_RECORD_TRIES)
        leave_behind(is, record, is->dns.hook.why);
}

/* The next record to be removed; its call is counted on disk, since the hook may end acmed.
 * NULL: none. */
static const struct dns_record *next_to_go(struct issue *is, uint64_t now_ms)
{
    struct dns_record *r;

    while ((r = dns_records_next(&is->dns.records, now_ms)) != NULL && is_spent(r)) {
        const struct dns_record left = *r;

        leave_behind(is, &left,
                     left.cut >= DNS_RECORD_CUTS
                         ? "a reload or stop of pasgate cut each call to remove it"
                         : "three calls to remove it failed or did not end");
    }
    if (r) {
        r->tries++;
        issue_dns_save(is);
    }
    return r;
}

void issue_dns_all_go(struct issue *is)
{
    if (dns_records_all_go(&is->dns.records))
        issue_dns_save(is);
}

/* ---- one call at a time */

static void issue_dns_ended(struct issue *is, bool good, uint64_t now_ms)
{
    const struct dns_record now = is->dns.now;

    if (now.state == DNS_RECORD_GOES && good)
        issue_dns_forget(is, &now);
    else if (now.state == DNS_RECORD_GOES)
        not_taken_away(is, &now, now_ms);
    else if (good)
        published(is, &now);
    else
        not_published(is, &now);
}

void issue_dns_look(struct issue *is, uint64_t now_ms)
{
    enum hook_result result = hook_poll(&is->dns.hook, now_ms);
    const struct dns_record *next;

    if (result != HOOK_IDLE && result != HOOK_RUNS)
        issue_dns_ended(is, result == HOOK_GOOD, now_ms);
    if (result == HOOK_RUNS || !is->ca_set)
        return;
    next = is->dns.waits ? &is->dns.put : next_to_go(is, now_ms);
    if (next && !call(is, next, now_ms))
        issue_dns_ended(is, false, now_ms);
}

void issue_dns_release(struct issue *is)
{
    uint64_t now_ms = clock_mono_ms();
    enum hook_result result = hook_poll(&is->dns.hook, now_ms);
    struct dns_record *r;

    if (result != HOOK_RUNS) {
        if (result != HOOK_IDLE)
            issue_dns_ended(is, result == HOOK_GOOD, now_ms);
        return;
    }
    r = issue_dns_find(is, &is->dns.now);
    if (r && r->tries &&
        (r->state == DNS_RECORD_GOES) == (is->dns.now.state == DNS_RECORD_GOES)) {
        r->tries--;
        r->cut++;
        issue_dns_save(is);
    }
    hook_release(&is->dns.hook);
}

int issue_dns_fd(const struct issue *is)
{
    return is->dns.hook.pid ? is->dns.hook.fd : -1;
}

void issue_dns_end_run(struct issue *is)
{
    is->dns.waits = false;
    is->dns.says[0] = '\0';
    if (!is->dns.hook.pid || is->dns.now.state == DNS_RECORD_GOES)
        return;
    hook_release(&is->dns.hook); /* HALF: it will be published again, or removed */
    put_ended(is, &is->dns.now, false);
}

const char *issue_dns_says(const struct issue *is)
{
    return is->dns.says;
}
