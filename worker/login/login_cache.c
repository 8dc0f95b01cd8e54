#include "worker/login/login_cache.h"

struct login_mac login_cache_mac(const struct login_cache *cache, uint32_t set, struct str user,
                                 struct str password)
{
    const uint32_t head[] = {set,
                             (uint32_t)user.n}; /* so that no two of them are the same text */
    struct login_mac mac;

    for (int i = 0; i < 2; i++) {
        struct siphash hash;

        siphash_begin(&hash, &cache->key[i]);
        siphash_add(&hash, head, sizeof head);
        siphash_add(&hash, user.p, user.n);
        siphash_add(&hash, password.p, password.n);
        mac.half[i] = siphash_end(&hash);
    }
    return mac;
}

bool login_cache_same(struct login_mac a, struct login_mac b)
{
    return ((a.half[0] ^ b.half[0]) | (a.half[1] ^ b.half[1])) == 0;
}

bool login_cache_has(const struct login_cache *cache, struct login_mac mac, uint64_t now_ms)
{
    size_t set = mac.half[0] % LOGIN_CACHE_SETS;
    bool found = false;

    for (int i = 0; i < LOGIN_CACHE_WAYS; i++)
        found |= login_cache_same(cache->at[set][i].mac, mac) &
                 (cache->at[set][i].until_ms > now_ms);
    return found;
}

void login_cache_add(struct login_cache *cache, struct login_mac mac, uint64_t until_ms)
{
    size_t set = mac.half[0] % LOGIN_CACHE_SETS;
    int to = 0;

    for (int i = 0; i < LOGIN_CACHE_WAYS; i++) {
        if (login_cache_same(cache->at[set][i].mac, mac)) {
            to = i;
            break;
        }
        if (cache->at[set][i].until_ms < cache->at[set][to].until_ms)
            to = i;
    }
    cache->at[set][to].mac = mac;
    cache->at[set][to].until_ms = until_ms;
}
