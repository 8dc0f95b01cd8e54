/* Requests for restarts: operators by signal, healthd by message. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "supervisor/backend/recovery.h"
#include "supervisor/backend/recovery_core.h"
#include "supervisor/signals.h"
#include "supervisor/supervise.h"

static void recovery_request_reply(struct supervisor *sup, int slot, const char *text)
{
    struct admin_row row = *admin_own(&sup->table->admin[slot]);

    row.requests++;
    snprintf(row.reply, sizeof row.reply, "%s", text);
    admin_publish(&sup->table->admin[slot], &row);
}

void recovery_request(struct supervisor *sup, int value, uid_t uid)
{
    bool force = value > 0 && (value & RESTART_FORCE);
    int slot = value > 0 ? (force ? value - RESTART_FORCE : value) - 1 : -1;
    const struct conf_backend *b =
        slot >= 0 && slot < TABLE_BACKENDS ? recovery_backend(sup, slot) : NULL;
    char why[TABLE_REASON];

    if (!b) {
        log_warn("restart of backend number %d by uid %u: refused, no such backend",
                 force ? value - RESTART_FORCE : value, uid);
        return;
    }
    struct recovery *h = recovery_of(sup, slot);
    struct recovery_facts facts = recovery_facts(sup, slot, b, true, force);
    if (recovery_fsm_judge(&facts, why) != RECOVERY_MAY) {
        log_warn("restart of backend %d %s by uid %u: refused: %s", slot + 1, b->name, uid,
                 why);
        recovery_request_reply(sup, slot, why);
        return;
    }
    h->fsm.by_operator = true;
    h->force = force;
    h->wanted = false;
    snprintf(h->reason, sizeof h->reason, "asked for by uid %u%s", uid,
             force ? " with --force" : "");
    recovery_event(sup, slot, RECOVERY_GO, "operator", h->reason);
    recovery_request_reply(sup, slot, "");
}

/* Logs why healthd's request is not followed, once for each reason. */
static void tell_refusal(struct supervisor *sup, int slot, const char *why)
{
    struct recovery *h = recovery_of(sup, slot);
    struct admin_row row = *admin_own(&sup->table->admin[slot]);

    if (strcmp(h->told, why) == 0)
        return;
    snprintf(h->told, sizeof h->told, "%s", why);
    log_info("backend %d %s: restart wanted by healthd (%s), but not now: %s", slot + 1,
             backend_own(&sup->table->backend[slot])->name, h->wanted_reason, why);
    if (h->fsm.state != RECOVERY_NONE)
        return;
    snprintf(row.recovery_reason, sizeof row.recovery_reason, "not restarted: %.140s", why);
    recovery_publish(sup, slot, &row);
}

static void tell_dry(struct supervisor *sup, int slot)
{
    struct recovery *h = recovery_of(sup, slot);
    char reason[TABLE_REASON];

    if (h->dry_told)
        return;
    h->dry_told = true;
    snprintf(reason, sizeof reason, "dry run, would be restarted: %.120s", h->wanted_reason);
    recovery_tell(sup, slot, h->fsm.state, "supervisor", reason, false);
}

static void recovery_request_consider(struct supervisor *sup, int slot,
                                      const struct conf_backend *b)
{
    struct recovery *h = recovery_of(sup, slot);
    struct recovery_facts facts = recovery_facts(sup, slot, b, false, false);
    char why[TABLE_REASON];

    switch (recovery_fsm_judge(&facts, why)) {
    case RECOVERY_MAY:
        h->fsm.by_operator = h->force = false;
        h->told[0] = '\0';
        memcpy(h->reason, h->wanted_reason, sizeof h->reason);
        recovery_event(sup, slot, RECOVERY_GO, "healthd", h->reason);
        break;
    case RECOVERY_DRY:
        tell_dry(sup, slot);
        break;
    case RECOVERY_TOO_MANY:
        recovery_event(sup, slot, RECOVERY_EXHAUSTED, "supervisor", why);
        break;
    default:
        if (!recovery_is_busy(h->fsm.state))
            tell_refusal(sup, slot, why);
    }
}

void recovery_request_healthd(struct supervisor *sup, uint64_t slot, const char *text)
{
    const struct conf_backend *b =
        slot < TABLE_BACKENDS ? recovery_backend(sup, (int)slot) : NULL;

    if (!b)
        return; /* its backend was removed by a reload meanwhile */
    struct recovery *h = recovery_of(sup, (int)slot);
    recovery_clean(h->wanted_reason, text);
    h->wanted = true;
    recovery_request_consider(sup, (int)slot, b);
}

void recovery_heartbeat(struct supervisor *sup)
{
    for (int slot = 0; slot < (int)sup->header.nbackends; slot++) {
        struct recovery *h = recovery_of(sup, slot);
        const struct conf_backend *b = h->wanted ? recovery_backend(sup, slot) : NULL;
        struct admin_row row = *admin_own(&sup->table->admin[slot]);

        if (row.attempts != recovery_fsm_tries(&h->fsm, clock_mono_ms()))
            recovery_publish(sup, slot, &row);
        if (!b)
            continue;
        if (!health_is_out(recovery_health(sup, slot).state) &&
            !recovery_is_busy(h->fsm.state)) {
            h->wanted = h->dry_told = false;
            h->told[0] = '\0';
        } else if (!recovery_is_busy(h->fsm.state)) {
            recovery_request_consider(sup, slot, b);
        }
    }
}

void recovery_ready(struct supervisor *sup, int slot, uid_t uid)
{
    char reason[TABLE_REASON];

    snprintf(reason, sizeof reason, "ready, by uid %u", uid);
    if (recovery_of(sup, slot)->fsm.state == RECOVERY_DRAINING)
        recovery_of(sup, slot)->wanted = false; /* healthd has to ask again */
    recovery_event(sup, slot, RECOVERY_READY, "operator", reason);
}

void recovery_forget(struct supervisor *sup, int slot)
{
    if (sup->recoveries->acting == slot)
        sup->recoveries->acting = RECOVERY_NOBODY;
    *recovery_of(sup, slot) = (struct recovery){0};
}
