#include "healthd/target.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"

enum { SCORE_FULL = 1000 };

static void publish(struct target *w)
{
    health_publish(&w->table->health[w->slot], &w->row);
}

/* Puts a verdict that just changed into the row, the history and the log. */
static void tell_change(struct target *w, enum health_state from)
{
    enum health_state to = w->verdict.state;
    enum log_level level =
        to == HEALTH_DOWN || to == HEALTH_SUSPECT ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;

    w->row.state = (uint8_t)to;
    w->row.since_ms = clock_mono_ms();
    w->row.since_wall_ms = clock_wall_ms();
    snprintf(w->row.reason, sizeof w->row.reason, "%s", w->verdict.reason);
    history_add(&w->table->health_history[w->slot], (uint8_t)from, (uint8_t)to, "healthd",
                w->verdict.reason);
    log_line(level, "backend %s %s -> %s: %s", w->backend->name, health_state_name(from),
             health_state_name(to), w->verdict.reason);
}

/* A writer that was killed half-way left the counter odd; its ring is whole but for the
 * entry that was never counted. */
static void mend_history(struct history *history)
{
    if (atomic_load(&history->seq.n) & 1)
        seq_write_end(&history->seq);
}

static void fresh_row(struct target *w, uint64_t identity)
{
    w->row = (struct health_row){
        .state = HEALTH_UNKNOWN,
        .score_permille = SCORE_FULL,
        .identity = identity,
        .since_ms = clock_mono_ms(),
        .since_wall_ms = clock_wall_ms(),
        .reason = "not checked yet",
    };
    /* An address that needs no resolving serves from the first moment. */
    w->row.has_address =
        probe_parse_address(&w->row.address, w->backend->host, w->backend->port);
}

void target_init(struct target *w, struct table *table, int slot,
                 const struct conf_backend *backend, const struct conf_check *check,
                 uint64_t due_ms)
{
    struct signs_live live;
    struct backend_row supervisors = {0};

    *w = (struct target){.backend = backend, .check = check, .table = table, .slot = slot};
    w->due_ms = due_ms;
    mend_history(&table->health_history[slot]);
    backend_read(&table->backend[slot], &supervisors);
    if (!health_read(&table->health[slot], &w->row) ||
        w->row.identity != supervisors.identity || w->row.since_ms == 0 ||
        w->row.state >= HEALTH_STATES)
        fresh_row(w, supervisors.identity);
    w->verdict.state = w->row.state;
    w->verdict.rise = w->row.rise;
    w->verdict.fall = w->row.fall;
    w->row.reason[sizeof w->row.reason - 1] = '\0';
    snprintf(w->verdict.reason, sizeof w->verdict.reason, "%s", w->row.reason);
    publish(w);

    signs_look(&live, table);
    w->seen = w->at_end = signs_sum(&live, table, slot);
}

void target_started(struct target *w, const struct signs_live *live, uint64_t now_ms)
{
    w->running = true;
    w->started_ms = now_ms;
    w->at_start = signs_sum(live, w->table, w->slot);
}

/* Where workers connect: the address that passed. While the backend is down, or before any
 * passed, the one that was tried: better than none when a pool has nothing else. */
static bool take_address(struct target *w, const struct probe_result *result)
{
    if (!result->has_address)
        return false;
    if (result->outcome != OUTCOME_PASS && w->row.has_address &&
        w->verdict.state != HEALTH_DOWN)
        return false;
    if (w->row.has_address &&
        memcmp(&w->row.address, &result->address, sizeof result->address) == 0)
        return false;
    w->row.has_address = 1;
    w->row.address = result->address;
    return true;
}

static void note_probe(struct target *w, const struct probe_result *result)
{
    bool passed = result->outcome == OUTCOME_PASS;

    w->row.probe_wall_ms = clock_wall_ms() - result->took_us / 1000;
    w->row.probe_us = result->took_us;
    w->row.probe_ok = passed;
    w->row.probes++;
    w->row.failures += !passed;
    snprintf(w->row.probe_text, sizeof w->row.probe_text, "%s", result->text);
}

bool target_ended(struct target *w, const struct signs_live *live,
                  const struct probe_result *result, struct schedule *schedule, uint64_t now_ms)
{
    const struct verdict_rules rules = {.rise = w->check->rise, .fall = w->check->fall};
    struct signs now = signs_sum(live, w->table, w->slot);
    struct signs meanwhile = signs_since(&now, &w->at_start);
    struct signs since = signs_since(&now, &w->at_end);
    struct evidence evidence = {
        .outcome = result->outcome,
        .text = result->text,
        .completed = meanwhile.completed,
        .completed_since = since.completed,
        .signs = w->trouble,
    };
    enum health_state from = w->verdict.state;
    bool changed = verdict_probe(&w->verdict, &rules, &evidence);
    bool moved = take_address(w, result);

    note_probe(w, result);
    w->row.rise = w->verdict.rise;
    w->row.fall = w->verdict.fall;
    if (changed)
        tell_change(w, from);
    publish(w);

    w->due_ms = w->started_ms + schedule_next_ms(schedule, w->check, &w->verdict, w->judged);
    if (w->urgent || w->due_ms < now_ms + SCHEDULE_GAP_MS)
        w->due_ms = now_ms + SCHEDULE_GAP_MS;
    w->at_end = now;
    w->running = w->trouble = w->urgent = false;
    w->judged = true;
    return changed || moved;
}

/* Trouble calls for a probe at once, but a backend whose probes pass is not asked more often
 * than while it is suspect: each ping costs it an ABL session. */
static void hurry(struct target *w, bool changed, uint64_t now_ms)
{
    uint64_t rest =
        changed || w->verdict.fall > 0 ? SCHEDULE_SIGN_MS : w->check->fast_interval_ms;
    uint64_t due = w->started_ms + rest;

    if (w->running)
        w->urgent |= changed;
    else if (due < w->due_ms)
        w->due_ms = due > now_ms ? due : now_ms;
}

bool target_look(struct target *w, const struct signs_live *live, uint64_t now_ms)
{
    struct signs now = signs_sum(live, w->table, w->slot);
    struct signs added = signs_since(&now, &w->seen);
    enum health_state from = w->verdict.state;
    char text[TABLE_REASON];
    bool changed = false;

    w->seen = now;
    if (!signs_trouble(&added) || from == HEALTH_DOWN || from == HEALTH_UNKNOWN)
        return false;
    if (signs_bad(&added)) {
        w->trouble = true;
        signs_tell(&added, text);
        changed = verdict_sign(&w->verdict, text);
    }
    if (changed) {
        w->row.rise = w->row.fall = 0;
        tell_change(w, from);
        publish(w);
    }
    hurry(w, changed, now_ms);
    return changed;
}

void target_forget(struct table *table, int slot)
{
    struct health_row row;

    mend_history(&table->health_history[slot]);
    if (health_read(&table->health[slot], &row) && row.identity == 0 && row.since_ms == 0)
        return;
    row = (struct health_row){.state = HEALTH_UNKNOWN};
    health_publish(&table->health[slot], &row);
}
