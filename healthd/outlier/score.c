#include "healthd/outlier/score.h"

#include <math.h>
#include <stdio.h>

/* How improbable it must be where such responses are unknown, rare, or usual. Many comparisons
 * are made. */
static const double unknown_chance = 1e-2, rare_chance = 1e-3, usual_chance = 1e-5;

static const char *const kind_words[SCORE_KINDS] = {"with 5xx", "with 4xx", "slowly"};

static uint64_t step_number(int level, uint64_t now_ms)
{
    return now_ms / ((uint64_t)SCORE_STEP_MS << 2 * level);
}

static uint64_t window_ms(int level)
{
    return (uint64_t)SCORE_STEPS * SCORE_STEP_MS << 2 * level;
}

static void score_sum_up(struct score_counts *to, const struct score_counts *from)
{
    to->all += from->all;
    for (int k = 0; k < SCORE_KINDS; k++)
        to->of[k] += from->of[k];
}

static struct score_counts score_without(const struct score_counts *total,
                                         const struct score_counts *own)
{
    struct score_counts others = {.all = total->all - own->all};

    for (int k = 0; k < SCORE_KINDS; k++)
        others.of[k] = total->of[k] - own->of[k];
    return others;
}

/* Steps that have begun since the last call are empty. A clock that went back changes nothing.
 */
static void advance(struct score *s, uint64_t now_ms)
{
    for (int level = 0; level < SCORE_LEVELS; level++) {
        uint64_t at = step_number(level, now_ms);

        for (uint64_t i = s->at[level] + 1; i <= at && i <= s->at[level] + SCORE_STEPS; i++) {
            struct score_counts *step = &s->step[level][i % SCORE_STEPS];

            s->window[level] = score_without(&s->window[level], step);
            *step = (struct score_counts){0};
        }
        if (at > s->at[level])
            s->at[level] = at;
    }
}

void score_clear(struct score *s, uint64_t now_ms)
{
    *s = (struct score){.cleared_ms = now_ms, .relapses = s->relapses, .ended_ms = s->ended_ms};
    advance(s, now_ms);
}

void score_adopt(struct score *s, enum score_kind kind, uint64_t now_ms)
{
    s->unlike = true;
    s->kind = (uint8_t)kind;
    s->share = 1000 / 2; /* not known any more */
    s->heard_ms = now_ms;
}

void score_feed(struct score *s, const struct score_counts *added, uint64_t now_ms)
{
    advance(s, now_ms);
    if (!added->all)
        return;
    for (int level = 0; level < SCORE_LEVELS; level++) {
        score_sum_up(&s->step[level][s->at[level] % SCORE_STEPS], added);
        score_sum_up(&s->window[level], added);
    }
    s->heard_ms = now_ms;
    if (s->unlike)
        s->good = added->of[s->kind] ? 0 : s->good + (uint32_t)added->all;
}

void score_add(struct score_totals *totals, struct score *s, uint64_t weight, uint64_t now_ms)
{
    advance(s, now_ms);
    totals->weight += weight;
    for (int level = 0; level < SCORE_LEVELS; level++)
        score_sum_up(&totals->of[level], &s->window[level]);
}

/* Logarithm of the number of ways to choose k of n. */
static double ways(uint64_t n, uint64_t k)
{
    int sign;

    return lgamma_r((double)n + 1, &sign) - lgamma_r((double)k + 1, &sign) -
           lgamma_r((double)(n - k) + 1, &sign);
}

double score_chance(uint64_t bad, uint64_t all, uint64_t others_bad, uint64_t others_all)
{
    uint64_t sum_bad = bad + others_bad;
    double tail = 0, p;

    /* Exactly `bad` of them here, and more than that: each term from the one before. */
    p = exp(ways(all, bad) + ways(others_all, others_bad) - ways(all + others_all, sum_bad));
    for (uint64_t x = bad; x <= all && x <= sum_bad && p > tail * 1e-9; x++) {
        tail += p;
        p *= (double)(sum_bad - x) * (double)(all - x) /
             ((double)(x + 1) * ((double)(others_all + x + 1) - (double)sum_bad));
    }
    return tail;
}

/* Requests that last long keep new ones away from their backend, whose few responses then are
 * slow ones mostly. So where it had fewer than its weight gives it, it counts as if it had as
 * many as that. */
static uint64_t due_requests(const struct score_counts *own, const struct score_counts *others,
                             uint64_t weight, uint64_t others_weight)
{
    uint64_t due = others_weight ? others->all * weight / others_weight : 0;

    return due > own->all ? due : own->all;
}

/* By far more than the others have, and improbably many? due: of due_requests(). */
static bool is_unlike(const struct score_counts *own, const struct score_counts *others,
                      enum score_kind kind, uint64_t due, double chance)
{
    uint64_t bad = own->of[kind], others_bad = others->of[kind];

    /* bad/all - others_bad/others_all >= 1/SCORE_DIFFERENCE */
    if (bad < SCORE_LEAST || !others->all ||
        SCORE_DIFFERENCE * bad * others->all <
            own->all * others->all + SCORE_DIFFERENCE * others_bad * own->all)
        return false;
    return score_chance(bad, kind == SCORE_SLOW ? due : own->all, others_bad, others->all) <
           chance;
}

/* longest: what the others did in the longest window. */
static double chance_for(const struct score_counts *longest, int kind)
{
    if (longest->of[kind] * SCORE_USUAL > longest->all)
        return usual_chance;
    return longest->of[kind] == 0 && longest->all >= SCORE_UNKNOWN ? unknown_chance
                                                                   : rare_chance;
}

static bool find(struct score *s, const struct score_totals *totals, uint64_t weight,
                 uint64_t now_ms, char text[TABLE_REASON])
{
    struct score_counts longest =
        score_without(&totals->of[SCORE_LEVELS - 1], &s->window[SCORE_LEVELS - 1]);

    for (int level = 0; level < SCORE_LEVELS; level++) {
        struct score_counts own = s->window[level];
        struct score_counts others = score_without(&totals->of[level], &own);

        if (level && now_ms < s->cleared_ms + window_ms(level))
            return false;
        for (int k = 0; k < SCORE_KINDS; k++) {
            if (!is_unlike(&own, &others, (enum score_kind)k,
                           due_requests(&own, &others, weight, totals->weight - weight),
                           chance_for(&longest, k)))
                continue;
            s->unlike = true;
            s->kind = (uint8_t)k;
            s->share = (uint16_t)(own.of[k] * 1000 / own.all);
            snprintf(text, TABLE_REASON,
                     "%llu of %llu requests answered %s, at other backends %llu of %llu",
                     (unsigned long long)own.of[k], (unsigned long long)own.all, kind_words[k],
                     (unsigned long long)others.of[k], (unsigned long long)others.all);
            return true;
        }
    }
    return false;
}

/* So many that a backend with its share of bad ones would hardly ever give them by chance. */
static uint32_t good_needed(const struct score *s)
{
    uint32_t needed = s->share ? SCORE_GOOD * 1000 / s->share : SCORE_GOOD_MOST;

    needed = (needed > SCORE_GOOD ? needed : SCORE_GOOD) << s->relapses;
    return needed < SCORE_GOOD_MOST ? needed : SCORE_GOOD_MOST;
}

/* The shortest window in which the others have responded often enough tells. */
static bool others_share_it(const struct score *s, const struct score_totals *totals)
{
    for (int level = 0; level < SCORE_LEVELS; level++) {
        struct score_counts others = score_without(&totals->of[level], &s->window[level]);

        if (others.all >= SCORE_OTHERS)
            return others.of[s->kind] * 1000 >= others.all * (uint64_t)s->share / 2;
    }
    return false;
}

static bool ends(struct score *s, const struct score_totals *totals, uint64_t now_ms,
                 char text[TABLE_REASON])
{
    if (s->good >= good_needed(s))
        snprintf(text, TABLE_REASON, "%u requests in a row served as at other backends",
                 s->good);
    else if (others_share_it(s, totals))
        snprintf(text, TABLE_REASON, "other backends respond in the same way");
    else if (now_ms >= s->heard_ms + SCORE_QUIET_MS)
        snprintf(text, TABLE_REASON, "no request came that could be compared within %d s",
                 SCORE_QUIET_MS / 1000);
    else
        return false;
    s->ended_ms = now_ms;
    score_clear(s, now_ms);
    return true;
}

bool score_judge(struct score *s, const struct score_totals *totals, uint64_t weight,
                 uint64_t now_ms, char text[TABLE_REASON])
{
    if (s->unlike)
        return ends(s, totals, now_ms, text);
    /* What was measured long ago says little about now. */
    if (now_ms >= s->heard_ms + SCORE_QUIET_MS || !find(s, totals, weight, now_ms, text))
        return false;
    if (!s->ended_ms || now_ms >= s->ended_ms + SCORE_RELAPSE_MS)
        s->relapses = 0;
    else if (good_needed(s) < SCORE_GOOD_MOST)
        s->relapses++;
    s->good = 0;
    s->heard_ms = now_ms;
    return true;
}
