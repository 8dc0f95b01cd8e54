#include "acmed/cert/hook_events.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "acmed/cert/deploy.h"
#include "acmed/order/clock_note.h"
#include "acmed/order/renew.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"

/* again: the same was logged before. */
static void hook_failed(struct certificate *k, bool again)
{
    snprintf(k->hook_failed, sizeof k->hook_failed, "acme.hook failed at \"%s\": %s", k->told,
             k->hook.why);
    if (!again)
        log_warn("certificate %s: hook %s, %s: %s", k->conf->name, k->heritage->conf->acme.hook,
                 k->told, k->hook.why);
}

/* false: it could not be started. */
static bool call_hook(struct certificate *k, const char *event)
{
    const char *store = k->heritage->conf->acme.store;
    char chain[PATH_MAX], key[PATH_MAX];
    const struct hook_call call = {.program = k->heritage->conf->acme.hook,
                                   .event = event,
                                   .certificate = k->conf->name,
                                   .names = k->conf->names,
                                   .n_names = k->conf->n_names,
                                   .chain = chain,
                                   .key = key,
                                   .error =
                                       k->issue.ca_set ? k->issue.state.problem : k->row.error};

    snprintf(chain, sizeof chain, "%s/certs/%s/%u/fullchain.pem", store, k->row.name,
             k->row.generation);
    snprintf(key, sizeof key, "%s/certs/%s/%u/key.pem", store, k->row.name, k->row.generation);
    snprintf(k->told, sizeof k->told, "%s", event);
    return hook_start(&k->hook, &call, clock_mono_ms()) == 0;
}

/* The hook is rarely called, so it is checked regularly: a missing one is noticed before it is
 * needed. */
static void look_for_hook(struct certificate *k, uint64_t now_ms)
{
    static struct log_gate gate;
    const char *program = k->heritage->conf->acme.hook;
    bool called = k->issue.ca_set || k->conf->source == CONF_CERT_FILES, before;
    const char *why;

    if (!*program || !called || now_ms < k->hook_look_ms)
        return;
    k->hook_look_ms = now_ms + CERTIFICATE_HOOK_MS;
    before = k->hook_missing[0] != '\0';
    k->hook_missing[0] = '\0';
    why = hook_missing(program);
    if (!why)
        return;
    snprintf(k->hook_missing, sizeof k->hook_missing, "acme.hook %.70s cannot be run: %.50s",
             program, why);
    if (!before && log_gate_open(&gate))
        log_warn("certificate %s: %s", k->conf->name, k->hook_missing);
}

/* Adds a note; when all slots are used, it replaces the last one. */
static void add_note(struct cert_row *row, const char *text)
{
    int at = 0;

    if (!text[0])
        return;
    while (at + 1 < TABLE_NOTES && row->note[at][0])
        at++;
    str_fit(row->note[at], sizeof row->note[at], str_from(text));
}

/* false: unchanged. The log need not repeat it for each of a thousand certificates. */
static bool hook_events_look_at_clock(struct certificate *k)
{
    static struct log_gate gate;
    const struct ca_set *ca_set = k->issue.ca_set;
    const struct clock_facts facts = {.now_wall_ms = clock_wall_ms(),
                                      .off_ms = ca_set ? clock_heard_off(&ca_set->clock) : 0,
                                      .not_before_wall_ms = k->row.not_before_wall_ms,
                                      .files = k->row.source == CERT_FILE};
    char text[TABLE_NOTE];

    if (strcmp(clock_note(text, &facts), k->clock) == 0)
        return false;
    if (!*k->clock && log_gate_open(&gate))
        log_warn("certificate %s: %s", k->conf->name, text);
    memset(k->clock, 0, sizeof k->clock);
    memcpy(k->clock, text, strlen(text));
    return true;
}

/* Not logged here: that is done once for the whole set. */
static bool hook_events_look_at_account(struct certificate *k)
{
    char text[TABLE_NOTE] = {0};

    if (k->issue.ca_set)
        str_fit(text, sizeof text, str_from(k->issue.ca_set->unusable));
    if (strcmp(text, k->account) == 0)
        return false;
    memcpy(k->account, text, sizeof text);
    return true;
}

void hook_events_common(struct certificate *k)
{
    bool clock = hook_events_look_at_clock(k), account = hook_events_look_at_account(k);

    if (!clock && !account)
        return;
    hook_events_show(k);
    deploy_publish(k);
}

/* A past failure: the certificate is good and not due. Its date is shown, because the cause may
 * have been fixed long ago. */
static void note_past(struct certificate *k)
{
    const struct cert_state *s = &k->issue.state;
    char day[CLOCK_ISO_SIZE] = "", note[TABLE_NOTE];

    if (s->failed_at)
        clock_iso(day, s->failed_at);
    snprintf(note, sizeof note, "nothing is due; the last try%s%.10s%s failed: %.380s",
             *day ? " (" : "", day, *day ? ")" : "", s->problem);
    add_note(&k->row, note);
}

void hook_events_store(struct certificate *k, const char *why)
{
    static struct log_gate gate, again;

    if (strcmp(k->unusable, why) == 0)
        return;
    if (*why && log_gate_open(&gate))
        log_error("certificate %s: %s", k->conf->name, why);
    if (!*why && log_gate_open(&again))
        log_info("certificate %s: the store can be used again", k->conf->name);
    memset(k->unusable, 0, sizeof k->unusable);
    memcpy(k->unusable, why, strlen(why));
    hook_events_show(k);
    deploy_publish(k);
}

void hook_events_show(struct certificate *k)
{
    const struct issue_live live = certificate_live(k);

    hook_events_look_at_clock(k);
    hook_events_look_at_account(k);
    memset(k->row.note, 0, sizeof k->row.note);
    k->row.trouble = *k->unusable  ? CERT_STORE
                     : *k->clock   ? CERT_CLOCK
                     : *k->account ? CERT_ACCOUNT
                                   : CERT_HINT;
    add_note(&k->row, k->unusable);
    add_note(&k->row, k->clock);
    add_note(&k->row, k->account);
    for (int i = 0; i < TABLE_NOTES; i++)
        add_note(&k->row, k->issue.note[i]);
    if (plan_is_past(&k->issue.state, &live.plan, clock_wall_ms()))
        note_past(k);
    add_note(&k->row, k->not_ordered ? k->not_ordered : "");
    add_note(&k->row, k->incomplete);
    add_note(&k->row, k->hook_missing[0] ? k->hook_missing : k->hook_failed);
}

static void call_next(struct certificate *k, uint64_t now_ms)
{
    struct hook_queue *queue = &k->hook_queue;
    const char *event = hook_queue_next(queue, now_ms);
    bool started, again = queue->retry_ms != 0;

    if (!event)
        return;
    started = k->heritage->conf->acme.hook[0] == '\0' || call_hook(k, event);
    if (!started)
        hook_failed(k, again);
    hook_queue_called(queue, event, started, now_ms);
}

/* One call at a time. */
void hook_events_look(struct certificate *k, uint64_t now_ms)
{
    switch (hook_poll(&k->hook, now_ms)) {
    case HOOK_RUNS:
        return;
    case HOOK_BAD:
        hook_failed(k, false);
        break;
    case HOOK_GOOD:
        k->hook_failed[0] = '\0';
        break;
    default:
        break;
    }
    look_for_hook(k, now_ms);
    call_next(k, now_ms);
}

static bool expiring(const struct certificate *k, uint64_t now)
{
    const struct renew_life life = {k->row.not_before_wall_ms, k->row.not_after_wall_ms};

    return renew_expiring(&life, now);
}

/* "expiring" takes precedence over "failed". */
void hook_events_trouble(struct certificate *k)
{
    uint64_t now = clock_wall_ms();

    if (now - k->issue.state.hook_at < HOOK_ERRORS_MS)
        return;
    issue_told(&k->issue, now);
    hook_queue_trouble(&k->hook_queue,
                       k->row.source >= CERT_FILE && expiring(k, now) ? "expiring" : "failed");
}

/* Configured files: only the operator can renew them. */
void hook_events_expiring(struct certificate *k, uint64_t now_ms)
{
    if (k->row.source != CERT_FILE || !expiring(k, clock_wall_ms()) ||
        (k->expiring_ms && now_ms - k->expiring_ms < CERTIFICATE_EXPIRING_MS))
        return;
    k->expiring_ms = now_ms;
    hook_queue_trouble(&k->hook_queue, "expiring");
    log_warn("certificate %s: it %s; replace its files", k->conf->name,
             clock_wall_ms() < k->row.not_after_wall_ms ? "expires soon" : "has expired");
}
