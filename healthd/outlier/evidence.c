#include "healthd/outlier/evidence.h"

#include <stdio.h>

#include "base/conf/conf.h"
#include "base/str.h"

enum { MISTAKES = 1000000, MIN_WAITING = 3 };

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- what the workers tell */

static void read_counters(struct evidence *e, const struct table *table, int slot)
{
    struct cell_counters before = e->total;
    const struct cell_counters *c = &e->added;

    counters_read_gauges(table, slot, &e->now);
    counters_read_backend(table, slot, &e->total);
    counters_since(&e->total, &before, &e->added);
    e->count[EVIDENCE_ALL] = c->measured;
    e->count[EVIDENCE_5XX] = c->measured_5xx;
    e->count[EVIDENCE_4XX] = c->measured_4xx;
    e->count[EVIDENCE_SLOW] = c->measured_slow;
    e->count[EVIDENCE_HARD] = c->connect_errors + c->resets + c->cut;
    e->count[EVIDENCE_GOOD] = c->completed;
    e->count[EVIDENCE_GATEWAY] = c->gateway_errors;
    e->count[EVIDENCE_FIRST] = 0;
    for (int i = 0; i < TABLE_LATENCY; i++)
        e->count[EVIDENCE_FIRST] += c->latency[i];
}

void evidence_init(struct evidence *e, const struct table *table, int slot, uint64_t now_ms)
{
    *e = (struct evidence){0};
    read_counters(e, table, slot);
    e->any.since_ms = e->tried.since_ms = e->many.since_ms = now_ms;
}

static void note_crowd(struct evidence_crowd *crowd, uint64_t waiting, uint64_t now_ms)
{
    if (waiting > crowd->n)
        return;
    crowd->n = waiting;
    crowd->since_ms = now_ms;
}

/* After a silence, half as long again is no hang. Who responds quickly again soon loses that,
 * and a report of minutes tells nothing. */
static void note_response(struct evidence *e, uint64_t silence_ms, uint64_t now_ms)
{
    uint64_t needed_ms = silence_ms > EVIDENCE_LONGEST_MS ? 0 : silence_ms + silence_ms / 2;

    e->good_ms = e->any.since_ms = now_ms;
    e->patience_ms -= e->patience_ms / 8;
    if (needed_ms > EVIDENCE_LONGEST_MS)
        needed_ms = EVIDENCE_LONGEST_MS;
    if (needed_ms > e->patience_ms)
        e->patience_ms = needed_ms;
}

void evidence_read(struct evidence *e, const struct table *table, int slot,
                   const struct conf_eject *rules, uint64_t min_waiting, uint64_t now_ms)
{
    uint64_t silence_ms = evidence_silence_ms(e, &e->any, now_ms);

    read_counters(e, table, slot);
    for (int i = 0; i < EVIDENCE_LEVELS; i++)
        window_add(&e->compared[i], evidence_step_ms(i), e->count, now_ms);
    window_add(&e->failures, rules->window_ms / WINDOW_STEPS, e->count, now_ms);
    e->in_row = e->count[EVIDENCE_GOOD] ? 0 : e->in_row + e->count[EVIDENCE_HARD];
    if (e->count[EVIDENCE_FIRST])
        note_response(e, silence_ms, now_ms);
    else if (now_ms > e->good_ms + EVIDENCE_LEARNT_MS)
        e->patience_ms = 0;
    e->many.n = min_waiting - 1;
    note_crowd(&e->tried, e->now.unanswered, now_ms);
    note_crowd(&e->many, e->now.unanswered, now_ms);
}

void evidence_clear_failures(struct evidence *e)
{
    window_clear(&e->failures);
    e->in_row = 0;
}

/* ---- failures */

bool evidence_trouble(const struct evidence *e)
{
    return e->count[EVIDENCE_HARD] + e->added.timeouts > 0;
}

bool evidence_bad(const struct evidence *e, char text[TABLE_REASON])
{
    static const char *const what[] = {"failed connect", "reset", "cut response", "timeout"};
    const struct cell_counters *c = &e->added;
    const uint64_t n[] = {c->connect_errors, c->resets, c->cut, c->timeouts};
    int first = 0;

    while (first < 3 && !n[first])
        first++;
    snprintf(text, TABLE_REASON, "workers saw %llu %s%s", (unsigned long long)n[first],
             what[first], str_plural(n[first]));
    return c->connect_errors > 0 || (c->completed == 0 && evidence_trouble(e));
}

bool evidence_fails(const struct evidence *e, const struct conf_eject *rules, uint32_t failures,
                    char text[TABLE_REASON])
{
    const uint64_t *n = e->failures.sum;
    /* One worker's run may be from long ago: it counts only as far as the window goes. */
    uint64_t one =
        e->now.failed_in_row < n[EVIDENCE_HARD] ? e->now.failed_in_row : n[EVIDENCE_HARD];
    unsigned long long row = later(one, e->in_row), hard = n[EVIDENCE_HARD],
                       gateway = n[EVIDENCE_GATEWAY], all = hard + n[EVIDENCE_GOOD];
    double seconds = rules->window_ms / 1000.0;

    if (failures == 0)
        return false;
    if (row >= failures)
        snprintf(text, TABLE_REASON, "%llu request%s failed in a row", row, str_plural(row));
    else if (hard >= failures && hard * 2 > all)
        snprintf(text, TABLE_REASON, "%llu of %llu request%s failed within %g s", hard, all,
                 str_plural(all), seconds);
    else if (rules->gateway_percent && gateway >= failures &&
             gateway * 100 >= all * rules->gateway_percent)
        snprintf(text, TABLE_REASON, "%llu of %llu response%s within %g s: 502, 503 or 504",
                 gateway, all, str_plural(all), seconds);
    else
        return false;
    return true;
}

/* ---- silence */

uint64_t evidence_silence_ms(const struct evidence *e, const struct evidence_crowd *crowd,
                             uint64_t now_ms)
{
    /* Where none is left out, oldest_ms is more precise: the view is up to a second old. */
    uint64_t from_ms =
        later(crowd->n ? crowd->since_ms : 0, later(e->any.since_ms, e->now.oldest_ms));

    return e->now.unanswered > crowd->n && now_ms > from_ms ? now_ms - from_ms : 0;
}

uint64_t evidence_min_waiting(uint64_t slow, uint64_t all)
{
    uint64_t chance = MISTAKES, n = 0;

    while (chance > 0 && n < 1000) {
        chance = chance * (slow + 1) / (all + 2);
        n++;
    }
    return n > MIN_WAITING ? n : MIN_WAITING;
}
