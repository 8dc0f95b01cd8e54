#include "healthd/backend_health.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/conf/conf.h"
#include "base/log.h"
#include "healthd/check/http_check.h"

bool backend_health_serves(const struct backend_health *w)
{
    return health_serves(w->row.state);
}

bool backend_health_is_healthy(const struct backend_health *w)
{
    return backend_health_is_up(w->row.state) && w->override == ADMIN_READY &&
           (w->heal == RECOVERY_NONE || w->heal >= RECOVERY_SLOWSTART);
}

bool backend_health_is_lively(const struct backend_health *w)
{
    return w->seen.now.unanswered > 0 || w->row.state == HEALTH_SUSPECT ||
           w->row.state == HEALTH_PROBATION || w->row.state == HEALTH_EJECTED ||
           (w->heal != RECOVERY_NONE && w->heal != RECOVERY_HOLD);
}

bool backend_health_is_kept(const struct backend_health *w, uint64_t now_ms)
{
    return w->kept_ms && now_ms < w->kept_ms + w->pool->conf->eject.time_ms;
}

bool backend_health_publish(struct backend_health *w)
{
    bool news = w->news;

    w->news = false;
    health_publish(&w->table->health[w->slot], &w->row);
    return news;
}

/* ---- from state to state */

static uint16_t weight_of(enum health_cause cause)
{
    if (cause == CAUSE_NONE || cause > CAUSE_SLOW)
        return 1000;
    return cause < CAUSE_5XX ? HEALTH_SATURATED_PERMILLE : HEALTH_UNLIKE_PERMILLE;
}

/* Where it has to stay in, probation comes again and again; and where requests wait at a
 * healthy one, they may be long ones. */
static enum log_level level_of(struct backend_health *w, enum health_state from,
                               uint64_t now_ms)
{
    enum health_state to = w->row.state;
    bool was_quiet = w->quiet, kept = backend_health_is_kept(w, now_ms);

    w->quiet = from == HEALTH_UP && w->row.cause == CAUSE_SILENT;
    if (w->quiet || (was_quiet && to == HEALTH_UP) ||
        (kept && (to == HEALTH_SUSPECT || to == HEALTH_PROBATION)))
        return LOG_LEVEL_DEBUG;
    return to == HEALTH_UP || to == HEALTH_PROBATION ||
                   w->row.weight_permille == HEALTH_SATURATED_PERMILLE
               ? LOG_LEVEL_INFO
               : LOG_LEVEL_WARN;
}

/* What was seen in another state says nothing about this one. In an outage, for example, all
 * requests that tried a backend failed, as expected. */
static void forget_the_past(struct backend_health *w, enum health_state from, uint64_t now_ms)
{
    enum health_state to = w->row.state;

    w->row.rise = 0;
    if (to != HEALTH_EJECTED)
        w->row.eject_until_ms = 0;
    if (health_is_out((uint8_t)to))
        w->row.risen_ms = 0;
    if (to != HEALTH_DEGRADED)
        score_clear(&w->score, &w->seen, now_ms);
    if (to == HEALTH_PROBATION)
        w->probation = (struct probation){.began_ms = now_ms, .tried_ms = now_ms};
    if (to == HEALTH_UP || health_is_out((uint8_t)to) || health_is_out((uint8_t)from)) {
        evidence_clear_failures(&w->seen);
        w->bad_ms = 0;
    }
}

void backend_health_turn(struct backend_health *w, enum health_state to,
                         enum health_cause cause, uint64_t now_ms, const char *format, ...)
{
    struct health_row *row = &w->row;
    enum health_state from = row->state;
    /* At the first start of the service no backend is spared. */
    bool slowly = from == HEALTH_DOWN || row->cause == CAUSE_EJECTED ||
                  (from == HEALTH_UNKNOWN && w->newcomer);

    va_list ap;

    w->news = true;
    va_start(ap, format);
    vsnprintf(row->reason, sizeof row->reason, format, ap);
    va_end(ap);
    if (from == to && to != HEALTH_DEGRADED)
        return;
    row->state = (uint8_t)to;
    row->cause = (uint8_t)cause;
    row->weight_permille = weight_of(cause);
    row->since_ms = now_ms;
    row->since_wall_ms = clock_wall_ms();
    row->was_up |= backend_health_serves(w);
    if (to == HEALTH_UP)
        row->fall = 0;
    /* If it only just came back, more passes are required for the next return. */
    if (backend_health_is_up((uint8_t)from) && (to == HEALTH_SUSPECT || to == HEALTH_DOWN)) {
        w->penalty = w->penalty_ttl ? w->penalty + (w->penalty < BACKEND_HEALTH_PENALTY) : 0;
        w->penalty_ttl = BACKEND_HEALTH_PENALTY_TTL;
    }
    if (to == HEALTH_PROBATION) {
        row->hedge_all = 0;
        row->hang_timeout_ms = (uint32_t)evidence_hang_ms(&w->seen);
    }
    if (backend_health_is_up((uint8_t)to) && slowly)
        row->risen_ms = now_ms;
    forget_the_past(w, from, now_ms);
    history_add(&w->table->health_history[w->slot], (uint8_t)from, (uint8_t)to, "healthd",
                row->reason);
    log_line(level_of(w, from, now_ms), "backend %s %s -> %s: %s", w->backend->name,
             health_state_name(from), health_state_name(to), row->reason);
}

/* ---- start */

void backend_health_init(struct backend_health *w, struct table *table, int slot,
                         const struct conf_backend *backend, struct pool_health *pool,
                         bool reloaded, uint64_t now_ms)
{
    struct backend_row supervisors = {0};
    struct admin_row admin;

    *w = (struct backend_health){
        .backend = backend, .pool = pool, .table = table, .slot = slot, .decay_ms = now_ms};
    history_mend(&table->health_history[slot]);
    backend_read(&table->backend[slot], &supervisors);
    if (!health_read(&table->health[slot], &w->row) ||
        w->row.identity != supervisors.identity || w->row.since_ms == 0 ||
        w->row.state >= HEALTH_STATES) {
        w->newcomer = reloaded;
        w->row = (struct health_row){
            .state = HEALTH_UNKNOWN,
            .score_permille = HTTP_CHECK_SCORE_FULL,
            .weight_permille = 1000,
            .slow_ms = BACKEND_HEALTH_SLOW_MS,
            .identity = supervisors.identity,
            .since_ms = now_ms,
            .since_wall_ms = clock_wall_ms(),
            .reason = "not checked yet",
        };
        /* An address that needs no resolving is usable from the first moment. */
        w->row.has_address = probe_literal_address(&w->row.address, backend);
    }
    evidence_init(&w->seen, table, slot, now_ms);
    score_clear(&w->score, &w->seen, now_ms);
    if (weight_of(w->row.cause) == HEALTH_UNLIKE_PERMILLE)
        w->score = (struct score){.kind = w->row.cause - CAUSE_5XX + EVIDENCE_5XX,
                                  .share = 1000 / 2, /* not known any more */
                                  .heard_ms = now_ms};
    w->probation = (struct probation){.began_ms = now_ms, .tried_ms = now_ms};
    backend_health_publish(w);

    /* A restart during which the predecessor kept the backend DOWN continues; one that the
     * predecessor did not see, because it died before, is handled anew. */
    if (admin_read(&table->admin[slot], &admin) && admin.heal != RECOVERY_RESTARTING &&
        (admin.heal != RECOVERY_VERIFYING || w->row.state == HEALTH_DOWN)) {
        w->override = admin.override;
        w->heal = admin.heal;
    }
}

void backend_health_forget(struct table *table, int slot)
{
    struct health_row row;

    history_mend(&table->health_history[slot]);
    if (health_read(&table->health[slot], &row) && row.identity == 0 && row.since_ms == 0)
        return;
    health_publish(&table->health[slot], &(struct health_row){.state = HEALTH_UNKNOWN});
}
