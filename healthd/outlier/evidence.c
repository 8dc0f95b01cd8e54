#include "healthd/outlier/evidence.h"

#include <stdio.h>
#include <string.h>

#include "base/conf/conf.h"
#include "base/str.h"
#include "shm/counters.h"

enum { MISTAKES = 1000000, MIN_WAITING = 3 };

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- windows */

void evidence_window_add(struct evidence_window *w, uint64_t step_ms,
                         const struct evidence_counts *added, uint64_t now_ms)
{
    uint64_t at = now_ms / step_ms;

    /* Steps that have begun meanwhile are empty. A clock that went back changes nothing. */
    for (uint64_t i = w->at + 1; i <= at && i <= w->at + EVIDENCE_STEPS; i++) {
        for (int k = 0; k < EVIDENCE_KINDS; k++)
            w->sum.n[k] -= w->step[i % EVIDENCE_STEPS].n[k];
        w->step[i % EVIDENCE_STEPS] = (struct evidence_counts){0};
    }
    w->at = later(w->at, at);
    for (int k = 0; k < EVIDENCE_KINDS; k++) {
        w->step[w->at % EVIDENCE_STEPS].n[k] += added->n[k];
        w->sum.n[k] += added->n[k];
    }
}

void evidence_clear_failures(struct evidence *e)
{
    e->failures = (struct evidence_window){.at = e->failures.at};
    e->in_row = e->worker_in_row = 0;
}

void evidence_clear_compared(struct evidence *e, uint64_t now_ms)
{
    for (int i = 0; i < EVIDENCE_LEVELS; i++)
        e->compared[i] = (struct evidence_window){.at = now_ms / evidence_step_ms(i)};
}

/* ---- what the workers tell */

static uint32_t read32(const _Atomic uint32_t *cell)
{
    return atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)cell, memory_order_relaxed);
}

static void read_gauges(struct evidence *e, const struct table *table, int slot)
{
    e->unanswered = e->oldest_ms = e->trying = e->worker_in_row = 0;
    for (int r = 0; r < TABLE_WORKERS; r++) {
        const struct worker_backend *cell = &table->worker[r].be[slot];

        if (!table_row_used(table, r) || !worker_row_live(table, r))
            continue;
        uint64_t oldest_ms = count_read(&cell->oldest_ms);

        if (oldest_ms && (!e->oldest_ms || oldest_ms < e->oldest_ms))
            e->oldest_ms = oldest_ms;
        e->unanswered += count_read(&cell->unanswered);
        e->trying += read32(&cell->probation_requests);
        e->worker_in_row = later(e->worker_in_row, read32(&cell->failed_in_row));
    }
}

/* A counter that shrank, because the slot now belongs to another backend, counts as 0. */
static void read_counters(struct evidence *e, const struct table *table, int slot)
{
    enum { COUNTERS = sizeof(struct cell_counters) / sizeof(uint64_t) };
    struct cell_counters before = e->total;
    uint64_t *added = (uint64_t *)&e->added;
    const uint64_t *now = (const uint64_t *)&e->total, *then = (const uint64_t *)&before;

    counters_read_backend(table, slot, &e->total);
    for (int i = 0; i < COUNTERS; i++)
        added[i] = now[i] > then[i] ? now[i] - then[i] : 0;
    e->responses = 0;
    for (int i = 0; i < TABLE_LATENCY; i++)
        e->responses += e->added.latency[i];
}

void evidence_init(struct evidence *e, const struct table *table, int slot, uint64_t now_ms)
{
    *e = (struct evidence){0};
    read_counters(e, table, slot);
    read_gauges(e, table, slot);
    e->any.since_ms = e->tried.since_ms = e->many.since_ms = now_ms;
    evidence_clear_compared(e, now_ms);
}

static void note_crowd(struct evidence_crowd *crowd, uint64_t waiting, uint64_t now_ms)
{
    if (waiting > crowd->n)
        return;
    crowd->n = waiting;
    crowd->since_ms = now_ms;
}

static void note_counts(struct evidence *e, const struct conf_eject *rules, uint64_t now_ms)
{
    const struct cell_counters *c = &e->added;
    uint64_t hard = c->connect_errors + c->resets + c->cut;

    e->counts =
        (struct evidence_counts){{c->measured, c->measured_5xx, c->measured_4xx,
                                  c->measured_slow, hard, c->completed, c->gateway_errors}};
    for (int i = 0; i < EVIDENCE_LEVELS; i++)
        evidence_window_add(&e->compared[i], evidence_step_ms(i), &e->counts, now_ms);
    evidence_window_add(&e->failures, rules->window_ms / EVIDENCE_STEPS, &e->counts, now_ms);
    e->in_row = c->completed ? 0 : e->in_row + hard;
}

void evidence_read(struct evidence *e, const struct table *table, int slot,
                   const struct conf_eject *rules, uint64_t min_waiting, uint64_t now_ms)
{
    uint64_t silence_ms = evidence_silence_ms(e, &e->any, now_ms);

    read_counters(e, table, slot);
    read_gauges(e, table, slot);
    note_counts(e, rules, now_ms);
    if (e->responses) {
        e->silence_ms = silence_ms;
        e->good_ms = e->any.since_ms = now_ms;
    }
    e->many.n = min_waiting - 1;
    note_crowd(&e->tried, e->unanswered, now_ms);
    note_crowd(&e->many, e->unanswered, now_ms);
}

/* ---- failures */

bool evidence_trouble(const struct evidence *e)
{
    return e->counts.n[EVIDENCE_HARD] + e->added.timeouts > 0;
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
    const uint64_t *n = e->failures.sum.n;
    /* One worker's run may be from long ago: it counts only as far as the window goes. */
    uint64_t one = e->worker_in_row < n[EVIDENCE_HARD] ? e->worker_in_row : n[EVIDENCE_HARD];
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
        later(crowd->n ? crowd->since_ms : 0, later(e->any.since_ms, e->oldest_ms));

    return e->unanswered > crowd->n && now_ms > from_ms ? now_ms - from_ms : 0;
}

void evidence_learn(struct evidence *e, uint64_t now_ms)
{
    uint64_t needed_ms = e->silence_ms + e->silence_ms / 2;

    if (e->silence_ms < EVIDENCE_SIGN_MS || e->silence_ms > EVIDENCE_LONGEST_MS ||
        (now_ms < e->learnt_until_ms && needed_ms < e->hang_ms))
        return;
    e->hang_ms = needed_ms < EVIDENCE_LONGEST_MS ? needed_ms : EVIDENCE_LONGEST_MS;
    e->learnt_until_ms = now_ms + EVIDENCE_LEARNT_MS;
}

uint64_t evidence_sign_ms(const struct evidence *e, uint64_t now_ms)
{
    return now_ms < e->learnt_until_ms ? e->hang_ms : EVIDENCE_SIGN_MS;
}

uint64_t evidence_hang_ms(const struct evidence *e, uint64_t now_ms)
{
    return later(evidence_sign_ms(e, now_ms), EVIDENCE_HANG_MS);
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
