#include "acmed/notice.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "acmed/renew.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"

static void call_hook(struct keeper *k, const char *event)
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
                                       k->issue.issuer ? k->issue.state.problem : k->row.error};

    snprintf(chain, sizeof chain, "%s/certs/%s/%u/fullchain.pem", store, k->row.name,
             k->row.generation);
    snprintf(key, sizeof key, "%s/certs/%s/%u/key.pem", store, k->row.name, k->row.generation);
    if (hook_start(&k->hook, &call, clock_mono_ms()) < 0)
        log_warn("certificate %s: hook %s: %s", k->conf->name, call.program, strerror(errno));
}

/* One at a time; of several that wait, the latest is told. */
void notice_look(struct keeper *k, uint64_t now_ms)
{
    const char *event = k->event;

    switch (hook_poll(&k->hook, now_ms)) {
    case HOOK_RUNS:
        return;
    case HOOK_BAD:
        log_warn("certificate %s: the hook failed", k->conf->name);
        break;
    default:
        break;
    }
    k->event = NULL;
    if (event && k->heritage->conf->acme.hook[0] != '\0')
        call_hook(k, event);
}

static bool expiring(const struct keeper *k, uint64_t now)
{
    const struct renew_life life = {k->row.not_before_wall_ms, k->row.not_after_wall_ms};

    return renew_expiring(&life, now);
}

/* "expiring" is worse than "failed". */
void notice_trouble(struct keeper *k)
{
    uint64_t now = clock_wall_ms();

    if (now - k->issue.state.hook_at < HOOK_ERRORS_MS)
        return;
    issue_told(&k->issue, now);
    k->event = k->row.source >= CERT_FILE && expiring(k, now) ? "expiring" : "failed";
}

/* Nobody but the operator renews what he gave us. */
void notice_expiring(struct keeper *k, uint64_t now_ms)
{
    if (k->row.source != CERT_FILE || !expiring(k, clock_wall_ms()) ||
        (k->expiring_ms && now_ms - k->expiring_ms < KEEPER_EXPIRING_MS))
        return;
    k->expiring_ms = now_ms;
    k->event = "expiring";
    log_warn("certificate %s: it %s: replace its files", k->conf->name,
             clock_wall_ms() < k->row.not_after_wall_ms ? "ends soon" : "has expired");
}
