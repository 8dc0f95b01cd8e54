#include "shm/challenges.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/hash.h"

enum {
    /* A name is validated for each kind of key; challenges that a killed acmed left may still
     * be there; and there are some markers (acmed/key/signer.h). */
    ROWS_PER_NAME = 4,
    ROWS_LEAST = 16,
};

void challenge_sni(const char *name, char out[CHALLENGE_SNI])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char ip[16];
    size_t n = 0;

    if (inet_pton(AF_INET, name, ip) == 1) {
        snprintf(out, CHALLENGE_SNI, "%u.%u.%u.%u.in-addr.arpa", ip[3], ip[2], ip[1], ip[0]);
    } else if (inet_pton(AF_INET6, name, ip) == 1) {
        for (int i = 15; i >= 0; i--) {
            out[n++] = hex[ip[i] & 15];
            out[n++] = '.';
            out[n++] = hex[ip[i] >> 4];
            out[n++] = '.';
        }
        str_copy(out + n, CHALLENGE_SNI - n, STR("ip6.arpa"));
    } else {
        snprintf(out, CHALLENGE_SNI, "%s", name);
    }
}

/* Never 0. */
static uint32_t challenges_key_of(enum challenge_kind kind, struct str asked)
{
    uint64_t h = hash_byte(HASH_START, (uint8_t)kind);

    for (size_t i = 0; i < asked.n; i++) {
        unsigned char c = (unsigned char)asked.p[i];

        h = hash_byte(h, kind == CHALLENGE_HTTP_01 ? c : ascii_lower(c));
    }
    h ^= h >> 32;
    return (uint32_t)h ? (uint32_t)h : 1;
}

static uint32_t key_of_row(const struct challenge_row *row)
{
    char sni[CHALLENGE_SNI];

    if (row->kind == CHALLENGE_FREE)
        return 0;
    if (row->kind == CHALLENGE_HTTP_01)
        return challenges_key_of(CHALLENGE_HTTP_01, str_from(row->token));
    challenge_sni(row->name, sni);
    return challenges_key_of((enum challenge_kind)row->kind, str_from(sni));
}

static bool is_asked(const struct challenge_row *row, enum challenge_kind kind,
                     struct str asked)
{
    char sni[CHALLENGE_SNI];

    if (row->kind != kind)
        return false;
    if (kind == CHALLENGE_HTTP_01)
        return str_eq(str_from(row->token), asked);
    challenge_sni(row->name, sni);
    return str_eq_case(str_from(sni), asked);
}

bool challenge_find(const struct table *table, enum challenge_kind kind, struct str asked,
                    uint64_t now_ms, struct challenge_row *row)
{
    const _Atomic uint32_t *keys = table->challenge_key;
    uint32_t key = challenges_key_of(kind, asked), n = table_challenges(table);

    for (uint32_t i = 0; i < n; i++)
        if (atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&keys[i],
                                 memory_order_acquire) == key &&
            challenge_read(&table->challenge[i], row) && row->expires_ms > now_ms &&
            is_asked(row, kind, asked))
            return true;
    return false;
}

void challenge_put(struct table *table, uint32_t i, const struct challenge_row *row)
{
    challenge_publish(&table->challenge[i], row);
    atomic_store_explicit(&table->challenge_key[i], key_of_row(row), memory_order_release);
}

void challenge_clear(struct table *table, uint32_t i)
{
    const struct challenge_row empty = {0};

    challenge_put(table, i, &empty);
}

void challenges_take_over(struct table *table, uint64_t now_ms)
{
    struct challenge_row row;

    for (uint32_t i = 0; i < table_challenges(table); i++)
        if (!challenge_read(&table->challenge[i], &row) ||
            (row.kind != CHALLENGE_FREE && row.expires_ms <= now_ms))
            challenge_clear(table, i);
}

void challenges_look(struct table *table, uint64_t now_ms)
{
    for (uint32_t i = 0; i < table_challenges(table); i++) {
        const struct challenge_row *row = challenge_own(&table->challenge[i]);
        uint32_t key = row->kind == CHALLENGE_FREE ? 0 : key_of_row(row);

        if (row->kind != CHALLENGE_FREE && row->expires_ms <= now_ms)
            challenge_clear(table, i);
        else if (atomic_load(&table->challenge_key[i]) != key)
            atomic_store(&table->challenge_key[i], key);
    }
}

uint32_t challenges_needed(uint64_t names)
{
    uint64_t n = ROWS_LEAST + ROWS_PER_NAME * names;

    if (names == 0)
        return 0;
    return n < TABLE_CHALLENGES ? (uint32_t)n : TABLE_CHALLENGES;
}
