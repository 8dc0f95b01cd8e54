/* Passwords that were right a short time ago, as keyed hashes: verifying one takes long by
 * design, and browsers send it with each request. Neither passwords nor their hashes are kept.
 * Worker only, pure. */
#ifndef WORKER_LOGIN_CACHE_H
#define WORKER_LOGIN_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/siphash.h"
#include "base/str.h"

enum {
    LOGIN_CACHE_SETS = 1024, /* a power of two */
    LOGIN_CACHE_WAYS = 4,    /* entries that one hash can have; the oldest gives way */
};

/* 128 bits under two secret keys: of a file of users, a name and a password. */
struct login_mac {
    uint64_t half[2];
};

struct login_cache {
    struct siphash_key key[2]; /* random, private to this process */
    struct {
        struct login_mac mac;
        uint64_t until_ms; /* 0: free */
    } at[LOGIN_CACHE_SETS][LOGIN_CACHE_WAYS];
};

struct login_mac login_cache_mac(const struct login_cache *, uint32_t set, struct str user,
                                 struct str password);
bool login_cache_same(struct login_mac a, struct login_mac b);

bool login_cache_has(const struct login_cache *, struct login_mac mac, uint64_t now_ms);
void login_cache_add(struct login_cache *, struct login_mac mac, uint64_t until_ms);

#endif
