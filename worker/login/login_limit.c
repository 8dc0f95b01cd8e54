#include "worker/login/login_limit.h"

#include <netinet/in.h>
#include <stdbool.h>

uint64_t login_limit_who(const struct login_limit *limit, const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET6)
        return siphash(&limit->key,
                       &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr, 8);
    if (addr->sa_family == AF_INET)
        return siphash(&limit->key, &((const struct sockaddr_in *)(const void *)addr)->sin_addr,
                       4);
    return 0;
}

static bool is_running(uint64_t since_ms, uint64_t now_ms)
{
    return since_ms && now_ms - since_ms < LOGIN_WINDOW_MS;
}

uint64_t login_limit_left(const struct login_limit *limit, uint64_t who, uint64_t now_ms)
{
    size_t set = who % LOGIN_LIMIT_SETS;

    for (int i = 0; i < LOGIN_LIMIT_WAYS; i++)
        if (limit->at[set][i].who == who && is_running(limit->at[set][i].since_ms, now_ms) &&
            limit->at[set][i].failures >= LOGIN_FAILURES)
            return limit->at[set][i].since_ms + LOGIN_WINDOW_MS - now_ms;
    return 0;
}

void login_limit_failed(struct login_limit *limit, uint64_t who, uint64_t now_ms)
{
    size_t set = who % LOGIN_LIMIT_SETS;
    int to = 0;

    for (int i = 0; i < LOGIN_LIMIT_WAYS; i++) {
        if (limit->at[set][i].who == who && is_running(limit->at[set][i].since_ms, now_ms)) {
            limit->at[set][i].failures++;
            return;
        }
        if (limit->at[set][i].since_ms < limit->at[set][to].since_ms)
            to = i;
    }
    limit->at[set][to].who = who;
    limit->at[set][to].since_ms = now_ms;
    limit->at[set][to].failures = 1;
}
