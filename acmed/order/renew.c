#include "acmed/order/renew.h"

#include "acmed/order/backoff.h"

enum { URGENT_PARTS = 12 };

static const uint64_t day_ms = UINT64_C(24) * 3600 * 1000;

uint64_t renew_lifetime(const struct renew_life *life)
{
    return life->not_after > life->not_before ? life->not_after - life->not_before : 0;
}

uint64_t renew_backstop(const struct renew_life *life)
{
    uint64_t lifetime = renew_lifetime(life);
    bool brief = lifetime < RENEW_SHORT_DAYS * day_ms;

    return life->not_after - (brief ? lifetime / 2 : lifetime / 3);
}

bool renew_expiring(const struct renew_life *life, uint64_t now)
{
    uint64_t backstop = renew_backstop(life);

    return now > backstop && now - backstop > (life->not_after - backstop) / 2;
}

bool renew_window_good(const struct renew_window *window)
{
    return window->start > 0 && window->end > window->start;
}

uint64_t renew_choose(const struct renew_life *life, const struct renew_window *window,
                      uint64_t random)
{
    uint64_t backstop = renew_backstop(life), chosen;

    if (renew_window_good(window)) {
        chosen = window->start + random % (window->end - window->start);
        if (chosen < backstop)
            return chosen;
    }
    return backstop - random % (renew_lifetime(life) / RENEW_SPREAD_PARTS + 1);
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

uint64_t renew_ask_after(uint64_t retry_after_ms, uint32_t failures, uint64_t random)
{
    if (failures > 0) /* capped, since it must be asked at least twice a day */
        return clamp(backoff_delay_ms(failures, 0, retry_after_ms, random), RENEW_ARI_LEAST_MS,
                     retry_after_ms > RENEW_ARI_DEFAULT_MS ? RENEW_ARI_MOST_MS
                                                           : RENEW_ARI_DEFAULT_MS);
    if (retry_after_ms == 0)
        return RENEW_ARI_DEFAULT_MS;
    return clamp(retry_after_ms, RENEW_ARI_LEAST_MS, RENEW_ARI_MOST_MS);
}

uint64_t renew_longest_delay(uint64_t lifetime_ms)
{
    return clamp(lifetime_ms / URGENT_PARTS, 0, RENEW_START_SPREAD_MS);
}

uint64_t renew_start_delay(const struct renew_life *life, uint64_t now, uint64_t random)
{
    uint64_t left = life->not_after > now ? life->not_after - now : 0;
    uint64_t spread = left / URGENT_PARTS;

    if (left <= renew_lifetime(life) / URGENT_PARTS)
        return 0;
    return random % (clamp(spread, 0, RENEW_START_SPREAD_MS) + 1);
}
