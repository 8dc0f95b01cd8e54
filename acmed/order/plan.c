#include "acmed/order/plan.h"

#include "acmed/order/backoff.h"
#include "base/str.h"

static bool good(const struct plan_live *live)
{
    return live->from_ca && live->covers;
}

/* Another certificate is live than the one that the state describes. */
static void plan_begin_anew(struct cert_state *s, const struct plan_live *live, uint64_t now)
{
    s->generation = live->generation;
    s->ari = (struct renew_window){0};
    s->renew_at = 0;
    s->ask_at = now;
    s->ask_failures = 0;
}

static uint64_t earliest(const struct cert_state *s, const struct plan_live *live)
{
    return s->issued_at + renew_lifetime(&live->life) / PLAN_PACE_PARTS;
}

/* Enforces the minimum interval between two renewals. */
static uint64_t paced(const struct cert_state *s, const struct plan_live *live, uint64_t at)
{
    return s->issued_at && at < earliest(s, live) ? earliest(s, live) : at;
}

static void plan_choose(struct cert_state *s, const struct plan_live *live, uint64_t now,
                        uint64_t random)
{
    s->renew_at = renew_choose(&live->life, &s->ari, random);
    /* Overdue because acmed was not running: spread over time. */
    if (s->renew_at <= now && !renew_window_good(&s->ari))
        s->renew_at = now + renew_start_delay(&live->life, now, random);
    s->renew_at = paced(s, live, s->renew_at);
}

uint64_t plan_order_at(const struct cert_state *s, const struct plan_live *live, uint64_t now)
{
    uint64_t at = good(live) && !s->begun ? s->renew_at : 0;
    /* The same rule as in plan_next(): a wait that is too long to be ours is over. */
    uint64_t next = backoff_over(s->next_try, now) ? 0 : s->next_try;

    return next > at ? next : at;
}

bool plan_knows(const struct cert_state *s, const struct plan_live *live)
{
    return !good(live) || (s->generation == live->generation && s->renew_at > 0);
}

bool plan_was_away(uint64_t seen, uint64_t now)
{
    return seen == 0 || now > seen + PLAN_AWAY_MS;
}

uint64_t plan_set_back_by(uint64_t seen, uint64_t seen_boot, uint64_t now, uint64_t boot)
{
    uint64_t expected = seen + (boot - seen_boot);

    return seen && expected > now + PLAN_SET_BACK_MS ? expected - now : 0;
}

/* A certificate is not older than it says; one that was issued by a right clock stays as it is.
 */
void plan_set_back(struct cert_state *s, const struct plan_live *live, uint64_t by_ms)
{
    uint64_t least = live->life.not_before;

    if (!live->from_ca || s->issued_at <= least)
        return;
    if (s->renew_at == earliest(s, live))
        s->renew_at = 0; /* the interval has put it off: it is chosen again */
    s->issued_at -= by_ms < s->issued_at - least ? by_ms : s->issued_at - least;
}

void plan_start(struct cert_state *s, const struct plan_live *live, uint64_t now,
                uint64_t random)
{
    bool known = good(live) && s->generation == live->generation && s->renew_at > 0;

    if (known && plan_order_at(s, live, now) <= now)
        s->renew_at = now + renew_start_delay(&live->life, now, random);
}

/* Corrects times written while the clock was ahead. Otherwise the next renewal could come after
 * the certificate's end. */
static void plan_mistrust(struct cert_state *s, const struct plan_live *live, uint64_t now)
{
    uint64_t latest = renew_backstop(&live->life), life = renew_lifetime(&live->life);
    uint64_t longest = backoff_longest_ms(live->from_ca ? life : 0);

    if (s->issued_at > now)
        s->issued_at = live->life.not_before < now ? live->life.not_before : now;
    longest += longest * BACKOFF_JITTER_PERMILLE / 1000;
    if (live->from_ca && plan_limit_wait(live, UINT64_MAX, now) > longest)
        longest = plan_limit_wait(live, UINT64_MAX, now);
    if (s->next_try > now + longest)
        s->next_try = 0;
    if (!good(live))
        return;
    latest = paced(s, live, latest);
    if (latest < now)
        latest = now;
    /* What soon expires is not put off; a moment does not matter. */
    if (s->renew_at > latest + renew_longest_delay(life) / (plan_urgent(live, now) ? 100 : 1))
        s->renew_at = 0;
}

/* Brings the state up to date: it may describe another certificate, or another clock. */
static void plan_adjust(struct cert_state *s, const struct plan_live *live, uint64_t now,
                        uint64_t random)
{
    if (s->generation != live->generation)
        plan_begin_anew(s, live, now);
    plan_mistrust(s, live, now);
    if (good(live) && s->renew_at == 0)
        plan_choose(s, live, now, random);
}

/* Whether it is due regardless of an open order. */
static bool is_due(const struct cert_state *s, const struct plan_live *live, uint64_t now)
{
    return s->wanted || !good(live) || now >= s->renew_at;
}

bool plan_resumes(const struct cert_state *s, const struct plan_live *live, uint64_t now)
{
    return s->begun && !is_due(s, live, now);
}

bool plan_rests(const struct cert_state *s, const struct plan_live *live, uint64_t now)
{
    struct cert_state known = *s;

    plan_adjust(&known, live, now, 0); /* 0: nothing that is overdue is put off */
    return !is_due(&known, live, now) && known.failures == 0 && !known.begun;
}

bool plan_is_past(const struct cert_state *s, const struct plan_live *live, uint64_t now)
{
    return s->problem[0] && plan_knows(s, live) && !s->begun && !is_due(s, live, now) &&
           !s->held_by_clock && now - s->failed_at >= PLAN_NEWS_MS;
}

enum plan_step plan_next(struct cert_state *s, const struct plan_live *live, uint64_t now,
                         uint64_t random, uint64_t *until)
{
    bool asks = live->from_ca && live->can_ask && now < live->life.not_after;
    bool due;

    plan_adjust(s, live, now, random);
    due = is_due(s, live, now);
    if (s->held_by_clock && !due) {
        s->held_by_clock = 0;
        s->next_try = 0;
        s->problem[0] = '\0';
    }
    if ((due || s->begun) && (s->wanted || backoff_over(s->next_try, now)))
        return PLAN_ORDER;
    if (asks && (now >= s->ask_at || s->ask_at - now > RENEW_ARI_MOST_MS))
        return PLAN_ASK;
    *until = plan_order_at(s, live, now);
    if (asks && s->ask_at < *until)
        *until = s->ask_at;
    return PLAN_WAIT;
}

void plan_failed(struct cert_state *s, const struct plan_live *live, uint64_t retry_after_ms,
                 const char *problem, uint64_t now, uint64_t random)
{
    /* A Retry-After is obeyed, but not until the certificate has expired. */
    retry_after_ms = plan_limit_wait(live, retry_after_ms, now);
    s->failures = backoff_count(s->failures);
    plan_postpone(s,
                  backoff_delay_ms(s->failures, live->from_ca ? renew_lifetime(&live->life) : 0,
                                   retry_after_ms, random),
                  problem, now);
}

/* There has never been a certificate from a CA. */
static bool is_first(const struct cert_state *s, const struct plan_live *live)
{
    return !live->from_ca && s->issued_at == 0;
}

void plan_unreached(struct cert_state *s, const struct plan_live *live, uint64_t now,
                    uint64_t random)
{
    if (is_first(s, live))
        plan_hurry(s, backoff_first_ms(s->failures, random), now);
}

void plan_reached(struct cert_state *s, const struct plan_live *live, uint32_t unreached)
{
    if (is_first(s, live))
        s->failures -= unreached < s->failures ? unreached : s->failures;
}

void plan_postpone(struct cert_state *s, uint64_t wait_ms, const char *problem, uint64_t now)
{
    s->held_by_clock = 0;
    s->wanted = 0;
    s->failed_at = now;
    s->next_try = now + (wait_ms < BACKOFF_DAY_MS ? wait_ms : BACKOFF_DAY_MS);
    str_fit(s->problem, sizeof s->problem, str_from(problem));
}

void plan_dropped(struct cert_state *s, uint64_t now)
{
    plan_postpone(s, 0, "", now);
    s->begun = 0;
    s->failures = 0;
}

void plan_hold_by_clock(struct cert_state *s, uint64_t wait_ms, const char *problem,
                        uint64_t now)
{
    plan_postpone(s, wait_ms, problem, now);
    s->held_by_clock = 1;
}

void plan_hurry(struct cert_state *s, uint64_t wait_ms, uint64_t now)
{
    if (s->next_try > now + wait_ms)
        s->next_try = now + wait_ms;
}

/* Long enough for three tries. */
static uint64_t urgent_ms(uint64_t lifetime)
{
    return lifetime / PLAN_URGENT_PARTS;
}

uint64_t plan_limit_wait(const struct plan_live *live, uint64_t wait_ms, uint64_t now)
{
    uint64_t lifetime = renew_lifetime(&live->life), most;

    if (!live->from_ca || lifetime == 0)
        return wait_ms;
    most = plan_urgent(live, now) ? backoff_longest_ms(lifetime)
                                  : live->life.not_after - urgent_ms(lifetime) - now;
    return wait_ms < most ? wait_ms : most;
}

bool plan_urgent(const struct plan_live *live, uint64_t now)
{
    return live->from_ca &&
           now + urgent_ms(renew_lifetime(&live->life)) >= live->life.not_after;
}

uint64_t plan_due_by_dates(const struct cert_state *s, const struct plan_live *live)
{
    uint64_t latest = renew_backstop(&live->life);

    return s->renew_at < latest ? s->renew_at : latest;
}

uint64_t plan_clock_wait(const struct cert_state *s, const struct plan_live *live,
                         int64_t clock_off_ms, uint64_t now)
{
    uint64_t lifetime = renew_lifetime(&live->life), due = plan_due_by_dates(s, live);
    uint64_t ahead, wait, most;
    bool witness;

    if (clock_off_ms >= -(int64_t)PLAN_CLOCK_MS || !good(live) || s->renew_at == 0)
        return 0;
    ahead = (uint64_t)-clock_off_ms;
    if (now < ahead || now - ahead >= due)
        return 0; /* due by either clock */
    /* No CA issues a certificate of which a third of the lifetime has already passed. */
    witness = s->issued_at > live->life.not_before + lifetime / 3;
    if (!witness && now + lifetime / PLAN_PACE_PARTS >= live->life.not_after)
        return 0;
    wait = due - (now - ahead);
    most = backoff_longest_ms(lifetime); /* the clock may be corrected meanwhile */
    return wait < most ? wait : most;
}

void plan_issued(struct cert_state *s, uint64_t now)
{
    s->issued_at = now;
    s->held_by_clock = 0;
    s->wanted = s->begun = 0;
    s->failures = 0;
    s->next_try = 0;
    s->problem[0] = '\0';
}

void plan_responded(struct cert_state *s, const struct plan_live *live,
                    const struct renew_window *window, uint64_t retry_after_ms, uint64_t now,
                    uint64_t random)
{
    if (!renew_window_good(window)) {
        plan_no_response(s, retry_after_ms, now, random);
        return;
    }
    s->ask_failures = 0;
    s->ask_at = now + renew_ask_after(retry_after_ms, 0, random);
    if (window->start == s->ari.start && window->end == s->ari.end)
        return; /* keep the time chosen in it */
    s->ari = *window;
    plan_choose(s, live, now, random);
}

void plan_no_response(struct cert_state *s, uint64_t retry_after_ms, uint64_t now,
                      uint64_t random)
{
    s->ask_failures = backoff_count(s->ask_failures);
    s->ask_at = now + renew_ask_after(retry_after_ms, s->ask_failures, random);
}
