#include "healthd/outlier/stall.h"

enum { MISTAKES = 1000000 }; /* one mistake in this many is allowed */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void stall_init(struct stall *s, const struct stall_view *view, uint64_t now_ms)
{
    *s = (struct stall){
        .view = *view, .responded_ms = now_ms, .none_ms = now_ms, .fewer_ms = now_ms};
}

bool stall_feed(struct stall *s, const struct stall_view *view, uint64_t min_waiting,
                uint64_t now_ms)
{
    bool responses = view->responses > s->view.responses;

    if (responses) {
        s->silence_ms = later(stall_ms(s, now_ms), stall_many_ms(s, now_ms));
        s->learned_latency_ms = stall_all_ms(s, now_ms);
        s->responded_ms = now_ms;
        s->acknowledged = 0;
    }
    s->view = *view;
    s->min_waiting = min_waiting;
    if (view->unanswered <= s->acknowledged) {
        s->acknowledged = view->unanswered;
        s->none_ms = now_ms;
    }
    if (view->unanswered < min_waiting)
        s->fewer_ms = now_ms;
    return responses;
}

static uint64_t stall_since(const struct stall *s, uint64_t from_ms, uint64_t now_ms)
{
    from_ms = later(from_ms, later(s->responded_ms, s->view.oldest_ms));
    return now_ms > from_ms ? now_ms - from_ms : 0;
}

uint64_t stall_ms(const struct stall *s, uint64_t now_ms)
{
    /* If none is acknowledged, oldest_ms is more precise: the view is up to a second old. */
    return stall_waiting(s) ? stall_since(s, s->acknowledged ? s->none_ms : 0, now_ms) : 0;
}

uint64_t stall_many_ms(const struct stall *s, uint64_t now_ms)
{
    return s->view.unanswered >= s->min_waiting && s->min_waiting
               ? stall_since(s, s->fewer_ms, now_ms)
               : 0;
}

uint64_t stall_all_ms(const struct stall *s, uint64_t now_ms)
{
    return s->view.unanswered ? stall_since(s, 0, now_ms) : 0;
}

uint64_t stall_waiting(const struct stall *s)
{
    return s->view.unanswered - s->acknowledged;
}

void stall_acknowledge(struct stall *s, uint64_t started_ms)
{
    /* Only if they had waited for a while by then: others may have arrived after the check. */
    if (stall_ms(s, started_ms) < STALL_SIGN_MS / 2)
        return;
    s->acknowledged = s->view.unanswered;
    s->none_ms = later(s->none_ms, started_ms);
}

void stall_learn(struct stall *s, uint64_t now_ms)
{
    uint64_t needed = s->silence_ms + s->silence_ms / 2;

    if (s->silence_ms < STALL_SIGN_MS ||
        (now_ms < s->learned_until_ms && needed < s->hang_timeout_ms))
        return;
    s->hang_timeout_ms = needed < STALL_LONGEST_MS ? needed : STALL_LONGEST_MS;
    s->learned_until_ms = now_ms + STALL_LEARNT_MS;
}

uint64_t stall_sign_ms(const struct stall *s, uint64_t now_ms)
{
    return now_ms < s->learned_until_ms ? s->hang_timeout_ms : STALL_SIGN_MS;
}

uint64_t stall_hang_timeout_ms(const struct stall *s, uint64_t now_ms)
{
    return now_ms < s->learned_until_ms ? later(s->hang_timeout_ms, STALL_HANG_MS)
                                        : STALL_HANG_MS;
}

uint64_t stall_probation_ms(const struct stall *s, uint64_t now_ms)
{
    uint64_t needed = later(s->learned_latency_ms + s->learned_latency_ms / 2,
                            stall_hang_timeout_ms(s, now_ms));

    return needed < STALL_LONGEST_MS ? needed : STALL_LONGEST_MS;
}

uint64_t stall_min_waiting(uint64_t slow, uint64_t all)
{
    uint64_t chance = MISTAKES, n = 0;

    while (chance > 0 && n < 1000) {
        chance = chance * (slow + 1) / (all + 2);
        n++;
    }
    return n > STALL_MIN_WAITING ? n : STALL_MIN_WAITING;
}
