#include "acmed/cert/hook_events.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

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
    else if (event == queue->deployed)
        k->hook_generation = k->row.generation;
    hook_queue_called(queue, event, started, now_ms);
}

/* The call has ended, well or not: it is not repeated after a restart. */
static void forget_event(struct certificate *k)
{
    if (k->hook_generation)
        store_drop_event(k->store, k->row.name, k->hook_generation);
    k->hook_generation = 0;
}

/* One call at a time. */
void hook_events_look(struct certificate *k, uint64_t now_ms)
{
    switch (hook_poll(&k->hook, now_ms)) {
    case HOOK_RUNS:
        return;
    case HOOK_BAD:
        hook_failed(k, false);
        forget_event(k);
        break;
    case HOOK_GOOD:
        k->hook_failed[0] = '\0';
        forget_event(k);
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
