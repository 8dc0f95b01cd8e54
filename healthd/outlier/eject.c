#include "healthd/outlier/eject.h"

#include <stdio.h>

#include "base/conf/conf.h"
#include "base/doubling.h"
#include "base/str.h"

static uint64_t step_of(const struct conf_eject *rules, uint64_t now_ms)
{
    return now_ms / (rules->window_ms / EJECT_STEPS);
}

void eject_feed(struct eject *e, const struct conf_eject *rules,
                const struct eject_counts *added, uint64_t worker_in_row, uint64_t now_ms)
{
    uint64_t at = step_of(rules, now_ms);
    struct eject_counts *now;

    for (uint64_t i = e->at + 1; i <= at && i <= e->at + EJECT_STEPS; i++)
        e->step[i % EJECT_STEPS] = (struct eject_counts){0};
    if (at > e->at)
        e->at = at;
    now = &e->step[e->at % EJECT_STEPS];
    now->hard += added->hard;
    now->good += added->good;
    now->gateway += added->gateway;
    if (e->in_row == 0)
        e->row_ms = now_ms;
    e->in_row = added->good ? 0 : e->in_row + added->hard;
    if (added->hard || added->good)
        e->worker_in_row = added->hard ? worker_in_row : 0;
}

void eject_clear(struct eject *e)
{
    *e = (struct eject){.at = e->at};
}

struct eject_counts eject_window(const struct eject *e, const struct conf_eject *rules,
                                 uint64_t now_ms)
{
    uint64_t passed = step_of(rules, now_ms) - e->at;
    struct eject_counts sum = {0};

    /* The oldest steps leave the window even if no new ones have begun. */
    for (uint64_t back = 0; back + passed < EJECT_STEPS && back <= e->at; back++) {
        const struct eject_counts *step = &e->step[(e->at - back) % EJECT_STEPS];

        sum.hard += step->hard;
        sum.good += step->good;
        sum.gateway += step->gateway;
    }
    return sum;
}

/* One worker's run may be from long ago: it counts only as far as the window goes. */
static uint64_t in_row(const struct eject *e, const struct eject_counts *window)
{
    uint64_t one = e->worker_in_row < window->hard ? e->worker_in_row : window->hard;

    return one > e->in_row ? one : e->in_row;
}

bool eject_due(const struct eject *e, const struct conf_eject *rules, uint64_t now_ms,
               char text[TABLE_REASON])
{
    struct eject_counts w = eject_window(e, rules, now_ms);
    unsigned long long all = w.hard + w.good, row = in_row(e, &w);
    double seconds = rules->window_ms / 1000.0;

    if (rules->failures == 0)
        return false;
    if (row >= rules->failures) {
        snprintf(text, TABLE_REASON, "%llu request%s failed in a row", row, str_plural(row));
        return true;
    }
    if (e->in_row * 2 >= rules->failures && e->in_row > 1 &&
        now_ms - e->row_ms >= rules->window_ms / 2) {
        snprintf(text, TABLE_REASON, "%llu requests failed in a row, over %.1f s",
                 (unsigned long long)e->in_row, (double)(now_ms - e->row_ms) / 1000);
        return true;
    }
    if (w.hard >= rules->failures && w.hard * 2 > all) {
        snprintf(text, TABLE_REASON, "%llu of %llu request%s failed within %g s",
                 (unsigned long long)w.hard, all, str_plural(all), seconds);
        return true;
    }
    if (rules->gateway_percent && w.gateway >= rules->failures &&
        w.gateway * 100 >= all * rules->gateway_percent) {
        snprintf(text, TABLE_REASON, "%llu of %llu response%s within %g s: 502, 503 or 504",
                 (unsigned long long)w.gateway, all, str_plural(all), seconds);
        return true;
    }
    return false;
}

bool eject_near(const struct eject *e, const struct conf_eject *rules, uint64_t now_ms)
{
    struct conf_eject half = *rules;
    char text[TABLE_REASON];

    half.failures = rules->failures / 2;
    return eject_due(e, &half, now_ms, text);
}

uint32_t eject_time_ms(const struct conf_eject *rules, unsigned n)
{
    return (uint32_t)doubling_ms(rules->time_ms, rules->max_ms, n);
}

uint8_t eject_next(const struct conf_eject *rules, uint8_t n)
{
    bool longest = n > 0 && eject_time_ms(rules, n) >= rules->max_ms;

    return n == UINT8_MAX || (longest && n >= EJECT_HEAL) ? n : (uint8_t)(n + 1);
}
