#include "acmed/cert/hook_events.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "acmed/order/renew.h"
#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"

/* once: it is not logged again while the reason stays. */
static void hook_failed(struct certificate *k, bool once)
{
    char text[sizeof k->hook_failed];

    snprintf(text, sizeof text, "acme.hook failed at \"%s\": %s", k->told, k->hook.why);
    if (!once || strcmp(text, k->hook_failed) != 0)
        log_warn("certificate %s: hook %s, %s: %s", k->conf->name, k->heritage->conf->acme.hook,
                 k->told, k->hook.why);
    memcpy(k->hook_failed, text, sizeof text);
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
    static struct log_gate gate, again;
    const char *program = k->heritage->conf->acme.hook;
    bool called = k->issue.ca_set || k->conf->source == CONF_CERT_FILES, before;
    const char *why;

    if (!*program || !called || now_ms < k->hook_look_ms)
        return;
    k->hook_look_ms = now_ms + CERTIFICATE_HOOK_MS;
    before = k->hook_missing[0] != '\0';
    k->hook_missing[0] = '\0';
    why = hook_missing(program);
    if (!why) {
        if (before && log_gate_open(&again))
            log_info("certificate %s: acme.hook %s can be run again", k->conf->name, program);
        return;
    }
    snprintf(k->hook_missing, sizeof k->hook_missing, "acme.hook %.70s cannot be run: %.50s",
             program, why);
    if (!before && log_gate_open(&gate))
        log_warn("certificate %s: %s", k->conf->name, k->hook_missing);
}

/* ---- the event of a generation that went live: counted before each call, because the hook may
 * end acmed itself or the process that runs it, and would be called again without end. It may
 * also make acmed end in good order (`pasgate reload`); that is counted too, with a larger
 * limit, because reloads by others may come during a call. */

static struct store_calls calls_so_far(const struct certificate *k)
{
    struct store_calls noted = store_event_calls(k->store, k->row.name, k->row.generation);

    if (noted.begun < k->hook_calls.begun)
        noted.begun = k->hook_calls.begun;
    if (noted.cut < k->hook_calls.cut)
        noted.cut = k->hook_calls.cut;
    return noted;
}

static void note_calls(struct certificate *k, const char *event, struct store_calls calls)
{
    static struct log_gate gate;

    k->hook_calls = calls;
    if (k->store->ours &&
        store_note_calls(k->store, k->row.name, k->row.generation, calls) < 0 &&
        log_gate_open(&gate))
        log_warn("certificate %s: cannot note in the store that acme.hook is called for "
                 "\"%s\": %s; a restart during the call repeats it",
                 k->conf->name, event, strerror(errno));
}

/* Its event is done with: the call has ended, well or not, or is not repeated any more. */
static void forget_event(struct certificate *k, uint32_t generation)
{
    if (generation)
        store_drop_event(k->store, k->row.name, generation);
    k->hook_generation = 0;
    k->hook_calls = (struct store_calls){0};
}

static bool too_many(const struct store_calls *calls)
{
    return calls->begun >= HOOK_CALLS || calls->cut >= HOOK_CUTS;
}

static void give_up(struct certificate *k, const char *event, const struct store_calls *calls)
{
    char why[96];

    if (calls->begun >= HOOK_CALLS)
        snprintf(why, sizeof why,
                 "acmed or the process that runs it was ended during each of %d calls",
                 HOOK_CALLS);
    else
        snprintf(why, sizeof why, "a reload or stop of pasgate cut each of %d calls",
                 HOOK_CUTS);
    snprintf(k->hook_failed, sizeof k->hook_failed, "acme.hook was given up at \"%s\": %s",
             event, why);
    log_warn("certificate %s: hook %s, %s of generation %u: given up, because %s; repair the "
             "hook, and do by hand what it does",
             k->conf->name, k->heritage->conf->acme.hook, event, k->row.generation, why);
    forget_event(k, k->row.generation);
}

static void call_deployed(struct certificate *k, const char *event, uint64_t now_ms)
{
    struct store_calls before = calls_so_far(k), calls = before;
    bool started = too_many(&before), lost = false;

    if (started) {
        give_up(k, event, &before);
    } else {
        calls.begun++;
        note_calls(k, event, calls);
        started = call_hook(k, event);
        lost = !started && errno == ECANCELED;
        if (started)
            k->hook_generation = k->row.generation;
        else
            hook_failed(k, !lost);
        if (!started && !lost)
            note_calls(k, event, before);
    }
    hook_queue_called(&k->hook_queue, event, started || lost, now_ms);
    if (lost)
        hook_queue_lost(&k->hook_queue, event, now_ms);
}

/* The process that runs it was killed. Trouble is not called again here, because it is reported
 * again while it lasts. */
static void call_lost(struct certificate *k, uint64_t now_ms)
{
    hook_failed(k, false);
    if (k->hook_generation && k->hook_generation == k->row.generation)
        hook_queue_lost(&k->hook_queue, strcmp(k->told, "issued") == 0 ? "issued" : "renewed",
                        now_ms);
    else
        forget_event(k, k->hook_generation);
    k->hook_generation = 0;
}

static void call_next(struct certificate *k, uint64_t now_ms)
{
    struct hook_queue *queue = &k->hook_queue;
    const char *event = hook_queue_next(queue, now_ms);
    bool started;

    if (!event)
        return;
    if (event == queue->deployed && k->heritage->conf->acme.hook[0]) {
        call_deployed(k, event, now_ms);
        return;
    }
    started = k->heritage->conf->acme.hook[0] == '\0' || call_hook(k, event);
    if (!started)
        hook_failed(k, false);
    hook_queue_called(queue, event, started, now_ms);
}

/* true: a call still runs. */
static bool look_at_call(struct certificate *k, uint64_t now_ms)
{
    switch (hook_poll(&k->hook, now_ms)) {
    case HOOK_RUNS:
        return true;
    case HOOK_BAD:
        hook_failed(k, false);
        forget_event(k, k->hook_generation);
        break;
    case HOOK_GOOD:
        k->hook_failed[0] = '\0';
        forget_event(k, k->hook_generation);
        break;
    case HOOK_LOST:
        call_lost(k, now_ms);
        break;
    case HOOK_IDLE:
        break;
    }
    return false;
}

/* A call may have ended since the last look: then its event is done with. */
void hook_events_release(struct certificate *k)
{
    struct store_calls calls = k->hook_calls;

    if (!look_at_call(k, clock_mono_ms()))
        return;
    if (k->hook_generation && k->hook_generation == k->row.generation && calls.begun) {
        calls.begun--;
        calls.cut++;
        note_calls(k, k->told, calls);
    }
    hook_release(&k->hook);
}

/* One call at a time. */
void hook_events_look(struct certificate *k, uint64_t now_ms)
{
    if (look_at_call(k, now_ms))
        return;
    look_for_hook(k, now_ms);
    call_next(k, now_ms);
}

/* ---- trouble */

void hook_events_init(struct certificate *k)
{
    if (k->issue.ca_set)
        return; /* it has its own state on disk */
    hook_told_load(k->heritage->conf->acme.store, k->row.name, &k->hook_told);
    k->issue.state.hook_at = k->hook_told.trouble_at;
}

/* Before the call: a hook that ends acmed is not called again at once. */
static void note_told(struct certificate *k)
{
    static struct log_gate gate;

    k->hook_told.trouble_at = k->issue.state.hook_at;
    if (!k->issue.ca_set && k->store->ours && k->heritage->conf->acme.hook[0] &&
        hook_told_save(k->heritage->conf->acme.store, k->row.name, &k->hook_told) < 0 &&
        log_gate_open(&gate))
        log_warn("certificate %s: cannot note in the store when acme.hook was called: %s; a "
                 "restart calls it again",
                 k->conf->name, strerror(errno));
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
    note_told(k);
    hook_queue_trouble(&k->hook_queue,
                       k->row.source >= CERT_FILE && expiring(k, now) ? "expiring" : "failed");
}

/* Configured files: only the operator can renew them. */
void hook_events_expiring(struct certificate *k)
{
    uint64_t now = clock_wall_ms();

    if (k->row.source != CERT_FILE || !expiring(k, now) ||
        now - k->hook_told.expiring_at < CERTIFICATE_EXPIRING_MS)
        return;
    k->hook_told.expiring_at = now;
    note_told(k);
    hook_queue_trouble(&k->hook_queue, "expiring");
    log_warn("certificate %s: it %s; replace its files", k->conf->name,
             now < k->row.not_after_wall_ms ? "expires soon" : "has expired");
}
