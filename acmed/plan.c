#include "acmed/plan.h"

#include <stdio.h>

#include "acmed/backoff.h"

static bool good(const struct plan_live *live)
{
    return live->from_ca && live->covers;
}

/* Another certificate than the one that the state is about. */
static void begin_anew(struct cert_state *s, const struct plan_live *live, uint64_t now)
{
    s->generation = live->generation;
    s->ari = (struct renew_window){0};
    s->renew_at = 0;
    s->ask_at = now;
    s->ask_failures = 0;
}

static void choose(struct cert_state *s, const struct plan_live *live, uint64_t now,
                   uint64_t random)
{
    s->renew_at = renew_choose(&live->life, &s->ari, random);
    /* Overdue, because nobody was there: not with all the others. */
    if (s->renew_at <= now && !renew_window_good(&s->ari))
        s->renew_at = now + renew_start_delay(&live->life, now, random);
}

uint64_t plan_order_at(const struct cert_state *s, const struct plan_live *live)
{
    uint64_t at = good(live) ? s->renew_at : 0;

    return s->next_try > at ? s->next_try : at;
}

bool plan_was_away(uint64_t seen, uint64_t now)
{
    return seen == 0 || now > seen + PLAN_AWAY_MS;
}

void plan_start(struct cert_state *s, const struct plan_live *live, uint64_t now,
                uint64_t random)
{
    bool known = good(live) && s->generation == live->generation && s->renew_at > 0;

    if (known && plan_order_at(s, live) <= now)
        s->renew_at = now + renew_start_delay(&live->life, now, random);
}

enum plan_step plan_next(struct cert_state *s, const struct plan_live *live, bool wanted,
                         uint64_t now, uint64_t random, uint64_t *until)
{
    bool asks = live->from_ca && live->can_ask && now < live->life.not_after;
    bool due;

    if (s->generation != live->generation)
        begin_anew(s, live, now);
    if (good(live) && s->renew_at == 0)
        choose(s, live, now, random);
    due = wanted || !good(live) || now >= s->renew_at;
    if (due && (wanted || backoff_over(s->next_try, now)))
        return PLAN_ORDER;
    if (asks && (now >= s->ask_at || s->ask_at - now > RENEW_ARI_MOST_MS))
        return PLAN_ASK;
    *until = plan_order_at(s, live);
    if (asks && s->ask_at < *until)
        *until = s->ask_at;
    return PLAN_WAIT;
}

void plan_failed(struct cert_state *s, const struct plan_live *live, uint64_t retry_after_ms,
                 const char *problem, uint64_t now, uint64_t random)
{
    s->failures = backoff_count(s->failures);
    plan_postpone(s,
                  backoff_delay_ms(s->failures, live->from_ca ? renew_lifetime(&live->life) : 0,
                                   retry_after_ms, random),
                  problem, now);
}

void plan_postpone(struct cert_state *s, uint64_t wait_ms, const char *problem, uint64_t now)
{
    s->next_try = now + (wait_ms < BACKOFF_DAY_MS ? wait_ms : BACKOFF_DAY_MS);
    snprintf(s->problem, sizeof s->problem, "%s", problem);
}

void plan_hurry(struct cert_state *s, uint64_t wait_ms, uint64_t now)
{
    if (s->next_try > now + wait_ms)
        s->next_try = now + wait_ms;
}

void plan_issued(struct cert_state *s)
{
    s->failures = 0;
    s->next_try = 0;
    s->problem[0] = '\0';
}

void plan_answered(struct cert_state *s, const struct plan_live *live,
                   const struct renew_window *window, uint64_t retry_after_ms, uint64_t now,
                   uint64_t random)
{
    if (!renew_window_good(window)) {
        plan_no_answer(s, retry_after_ms, now, random);
        return;
    }
    s->ask_failures = 0;
    s->ask_at = now + renew_ask_after(retry_after_ms, 0, random);
    if (window->start == s->ari.start && window->end == s->ari.end)
        return; /* the time in it stays */
    s->ari = *window;
    choose(s, live, now, random);
}

void plan_no_answer(struct cert_state *s, uint64_t retry_after_ms, uint64_t now,
                    uint64_t random)
{
    s->ask_failures = backoff_count(s->ask_failures);
    s->ask_at = now + renew_ask_after(retry_after_ms, s->ask_failures, random);
}
