/* Who asks for restarts: operators by signal, healthd by message. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "supervisor/healing.h"
#include "supervisor/healing_core.h"
#include "supervisor/signals.h"
#include "supervisor/supervise.h"

static void answer(struct supervisor *sup, int slot, const char *text)
{
    struct admin_row row = sup->table->admin[slot].row;

    row.requests++;
    snprintf(row.answer, sizeof row.answer, "%s", text);
    admin_publish(&sup->table->admin[slot], &row);
}

void healing_request(struct supervisor *sup, int value, uid_t uid)
{
    bool force = value > 0 && (value & RESTART_FORCE);
    int slot = value > 0 ? (force ? value - RESTART_FORCE : value) - 1 : -1;
    const struct conf_backend *b =
        slot >= 0 && slot < TABLE_BACKENDS ? healing_backend(sup, slot) : NULL;
    char why[TABLE_REASON];

    if (!b) {
        log_warn("restart of backend number %d by uid %u: refused, there is no such backend",
                 force ? value - RESTART_FORCE : value, uid);
        return;
    }
    struct healing *h = healing_of(sup, slot);
    struct heal_facts facts = healing_facts(sup, slot, b, true, force);
    if (heal_judge(&facts, why) != HEAL_MAY) {
        log_warn("restart of backend %d %s by uid %u: refused: %s", slot + 1, b->name, uid,
                 why);
        answer(sup, slot, why);
        return;
    }
    h->heal.by_operator = true;
    h->force = force;
    h->wanted = false;
    snprintf(h->reason, sizeof h->reason, "asked for by uid %u%s", uid,
             force ? " with --force" : "");
    healing_event(sup, slot, HEAL_GO, "operator", h->reason);
    answer(sup, slot, "");
}

/* Why healthd's ask is not followed, once for each reason. */
static void tell_refusal(struct supervisor *sup, int slot, const char *why)
{
    struct healing *h = healing_of(sup, slot);
    struct admin_row row = sup->table->admin[slot].row;

    if (strcmp(h->told, why) == 0)
        return;
    snprintf(h->told, sizeof h->told, "%s", why);
    log_info("backend %d %s: healthd asks for a restart (%s): not now: %s", slot + 1,
             sup->table->backend[slot].row.name, h->wish, why);
    if (h->heal.state != HEAL_NONE)
        return;
    snprintf(row.heal_reason, sizeof row.heal_reason, "not restarted: %.140s", why);
    healing_publish(sup, slot, &row);
}

static void tell_dry(struct supervisor *sup, int slot)
{
    struct healing *h = healing_of(sup, slot);
    char reason[TABLE_REASON];

    if (h->dry_told)
        return;
    h->dry_told = true;
    snprintf(reason, sizeof reason, "dry run, it would be restarted: %.120s", h->wish);
    healing_tell(sup, slot, h->heal.state, "supervisor", reason, false);
}

static void consider(struct supervisor *sup, int slot, const struct conf_backend *b)
{
    struct healing *h = healing_of(sup, slot);
    struct heal_facts facts = healing_facts(sup, slot, b, false, false);
    char why[TABLE_REASON];

    switch (heal_judge(&facts, why)) {
    case HEAL_MAY:
        h->heal.by_operator = h->force = false;
        h->told[0] = '\0';
        memcpy(h->reason, h->wish, sizeof h->reason);
        healing_event(sup, slot, HEAL_GO, "healthd", h->reason);
        break;
    case HEAL_DRY:
        tell_dry(sup, slot);
        break;
    case HEAL_TOO_MANY:
        healing_event(sup, slot, HEAL_EXHAUSTED, "supervisor", why);
        break;
    default:
        if (!healing_is_busy(h->heal.state))
            tell_refusal(sup, slot, why);
    }
}

void healing_please(struct supervisor *sup, uint64_t slot, const char *text)
{
    const struct conf_backend *b =
        slot < TABLE_BACKENDS ? healing_backend(sup, (int)slot) : NULL;

    if (!b)
        return; /* a reload may have overtaken it */
    struct healing *h = healing_of(sup, (int)slot);
    healing_clean(h->wish, text);
    h->wanted = true;
    consider(sup, (int)slot, b);
}

void healing_pulse(struct supervisor *sup)
{
    for (int slot = 0; slot < (int)sup->header.nbackends; slot++) {
        struct healing *h = healing_of(sup, slot);
        const struct conf_backend *b = h->wanted ? healing_backend(sup, slot) : NULL;
        struct admin_row row = sup->table->admin[slot].row;

        if (row.attempts != heal_tries(&h->heal, clock_mono_ms()))
            healing_publish(sup, slot, &row);
        if (!b)
            continue;
        if (healing_health(sup, slot).state != HEALTH_DOWN && !healing_is_busy(h->heal.state)) {
            h->wanted = h->dry_told = false;
            h->told[0] = '\0';
        } else if (!healing_is_busy(h->heal.state)) {
            consider(sup, slot, b);
        }
    }
}

void healing_ready(struct supervisor *sup, int slot, uid_t uid)
{
    char reason[TABLE_REASON];

    snprintf(reason, sizeof reason, "ready, by uid %u", uid);
    if (healing_of(sup, slot)->heal.state == HEAL_DRAINING)
        healing_of(sup, slot)->wanted = false; /* healthd has to ask again */
    healing_event(sup, slot, HEAL_READY, "operator", reason);
}

void healing_forget(struct supervisor *sup, int slot)
{
    if (sup->healer->acting == slot)
        sup->healer->acting = HEALING_NOBODY;
    *healing_of(sup, slot) = (struct healing){0};
}
