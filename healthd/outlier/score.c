#include "healthd/outlier/score.h"

#include <stdio.h>

#include "base/fisher.h"

/* How improbable it must be where such responses are unknown, rare, or usual. Many comparisons
 * are made. */
static const double unknown_chance = 1e-2, rare_chance = 1e-3, usual_chance = 1e-5;

/* One window: what a backend did, and what the others did meanwhile. */
struct pair {
    uint64_t all, others_all;
    uint64_t bad, others_bad; /* of one kind */
    uint64_t due;             /* the requests that its weight gives it, if it had fewer */
};

void score_clear(struct score *s, struct evidence *e, uint64_t now_ms)
{
    *s = (struct score){.cleared_ms = now_ms, .relapses = s->relapses, .ended_ms = s->ended_ms};
    for (int i = 0; i < EVIDENCE_LEVELS; i++)
        window_clear(&e->compared[i]);
}

void score_feed(struct score *s, const struct evidence *e, uint64_t now_ms)
{
    if (!e->count[EVIDENCE_ALL])
        return;
    s->heard_ms = now_ms;
    s->good = e->count[s->kind] ? 0 : s->good + (uint32_t)e->count[EVIDENCE_ALL];
}

void score_add(struct score_totals *totals, const struct evidence *e, uint64_t weight)
{
    totals->weight += weight;
    for (int i = 0; i < EVIDENCE_LEVELS; i++)
        for (int k = EVIDENCE_ALL; k <= EVIDENCE_SLOW; k++)
            totals->of[i][k] += e->compared[i].sum[k];
}

/* Requests that last long keep new ones away from their backend, whose few responses then are
 * slow ones mostly. So for those it counts as if it had as many as its weight gives it. */
static struct pair pair_of(const struct evidence *e, const struct score_totals *totals,
                           uint64_t weight, int level, int kind)
{
    const uint64_t *own = e->compared[level].sum, *total = totals->of[level];
    struct pair p = {own[EVIDENCE_ALL], total[EVIDENCE_ALL] - own[EVIDENCE_ALL], own[kind],
                     total[kind] - own[kind], own[EVIDENCE_ALL]};
    uint64_t others = totals->weight - weight,
             due = others ? p.others_all * weight / others : 0;

    if (kind == EVIDENCE_SLOW && due > p.due)
        p.due = due;
    return p;
}

/* longest: the longest window. */
static double chance_for(struct pair longest)
{
    if (longest.others_bad * SCORE_USUAL > longest.others_all)
        return usual_chance;
    return longest.others_bad == 0 && longest.others_all >= SCORE_UNKNOWN ? unknown_chance
                                                                          : rare_chance;
}

/* By far more than the others have (bad/all - others_bad/others_all >= 1/SCORE_DIFFERENCE), and
 * improbably many? */
static bool is_unlike(struct pair p, double chance)
{
    return p.bad >= SCORE_LEAST && p.others_all > 0 &&
           SCORE_DIFFERENCE * p.bad * p.others_all >=
               p.all * p.others_all + SCORE_DIFFERENCE * p.others_bad * p.all &&
           fisher_chance(p.bad, p.due, p.others_bad, p.others_all) < chance;
}

static enum evidence_kind find(struct score *s, const struct evidence *e,
                               const struct score_totals *totals, uint64_t weight,
                               uint64_t now_ms, char text[TABLE_REASON])
{
    static const char *const how[] = {"", "with 5xx", "with 4xx", "slowly"};

    for (int i = 0; i < EVIDENCE_LEVELS; i++) {
        if (i && now_ms < s->cleared_ms + WINDOW_STEPS * evidence_step_ms(i))
            break;
        for (int k = EVIDENCE_5XX; k <= EVIDENCE_SLOW; k++) {
            struct pair p = pair_of(e, totals, weight, i, k);

            if (!is_unlike(p, chance_for(pair_of(e, totals, weight, EVIDENCE_LEVELS - 1, k))))
                continue;
            s->share = (uint16_t)(p.bad * 1000 / p.all);
            snprintf(text, TABLE_REASON,
                     "%llu of %llu requests answered %s, at other backends %llu of %llu",
                     (unsigned long long)p.bad, (unsigned long long)p.all, how[k],
                     (unsigned long long)p.others_bad, (unsigned long long)p.others_all);
            return (enum evidence_kind)k;
        }
    }
    return EVIDENCE_ALL;
}

/* So many that a backend with its share of bad ones would hardly ever give them by chance. */
static uint32_t good_needed(const struct score *s)
{
    uint32_t needed = s->share ? SCORE_GOOD * 1000 / s->share : SCORE_GOOD_MOST;

    needed = (needed > SCORE_GOOD ? needed : SCORE_GOOD) << s->relapses;
    return needed < SCORE_GOOD_MOST ? needed : SCORE_GOOD_MOST;
}

/* The shortest window in which the others have responded often enough tells. */
static bool others_share_it(const struct score *s, const struct evidence *e,
                            const struct score_totals *totals)
{
    for (int i = 0; i < EVIDENCE_LEVELS; i++) {
        struct pair p = pair_of(e, totals, 0, i, s->kind);

        if (p.others_all >= SCORE_OTHERS)
            return p.others_bad * 1000 >= p.others_all * s->share / 2;
    }
    return false;
}

static bool ends(struct score *s, struct evidence *e, const struct score_totals *totals,
                 uint64_t now_ms, char text[TABLE_REASON])
{
    if (s->good >= good_needed(s))
        snprintf(text, TABLE_REASON, "%u requests in a row served as at other backends",
                 s->good);
    else if (others_share_it(s, e, totals))
        snprintf(text, TABLE_REASON, "other backends respond in the same way");
    else if (now_ms >= s->heard_ms + SCORE_QUIET_MS)
        snprintf(text, TABLE_REASON, "no request came that could be compared within %d s",
                 SCORE_QUIET_MS / 1000);
    else
        return false;
    s->ended_ms = now_ms;
    score_clear(s, e, now_ms);
    return true;
}

/* Slow ones must tell the same for a while (SCORE_CONFIRM_MS). */
static bool is_confirmed(struct score *s, enum evidence_kind kind, uint64_t now_ms)
{
    if (kind != EVIDENCE_SLOW)
        s->slow_ms = 0;
    else if (!s->slow_ms)
        s->slow_ms = now_ms;
    return kind != EVIDENCE_SLOW || now_ms >= s->slow_ms + SCORE_CONFIRM_MS;
}

bool score_judge(struct score *s, struct evidence *e, const struct score_totals *totals,
                 uint64_t weight, uint64_t now_ms, char text[TABLE_REASON])
{
    enum evidence_kind kind;

    if (s->kind)
        return ends(s, e, totals, now_ms, text);
    /* What was measured long ago says little about now. */
    kind = now_ms >= s->heard_ms + SCORE_QUIET_MS ? EVIDENCE_ALL
                                                  : find(s, e, totals, weight, now_ms, text);
    if (!is_confirmed(s, kind, now_ms) || !kind)
        return false;
    if (!s->ended_ms || now_ms >= s->ended_ms + SCORE_RELAPSE_MS)
        s->relapses = 0;
    else if (good_needed(s) < SCORE_GOOD_MOST)
        s->relapses++;
    s->kind = kind;
    s->good = 0;
    s->heard_ms = now_ms;
    return true;
}
