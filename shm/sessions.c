#include "shm/sessions.h"

#include <stdbool.h>
#include <string.h>

/* session_epoch: when the epoch began, in units of UNIT_MS; its lowest bit says which of the
 * two sets belongs to it. It may wrap, after 6 years: only differences count. */
enum { UNIT_MS = 100 };

_Static_assert(SESSIONS_BITS == 1 << (64 - 54), "a hash's upper bits are the bit");

static uint32_t units(uint64_t ms)
{
    return (uint32_t)(ms / UNIT_MS) << 1;
}

/* Time since the epoch began; 0 if that is in the future: another process may have read
 * the clock a little later. */
static uint32_t sessions_age_of(uint32_t epoch, uint32_t now)
{
    int32_t age = (int32_t)(now - (epoch & ~1u));

    return age > 0 ? (uint32_t)age : 0;
}

static uint64_t sessions_get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)word, memory_order_relaxed);
}

static void sessions_clear(_Atomic uint64_t set[TABLE_SESSION_WORDS])
{
    for (int i = 0; i < TABLE_SESSION_WORDS; i++)
        atomic_store_explicit(&set[i], 0, memory_order_relaxed);
}

/* A reader that sees the new epoch finds its set empty or newly filled. A reader that still
 * sees the old one leaves out the set that is being cleared, which is too old by then. */
static uint32_t next_epoch(struct worker_backend *cell, uint32_t epoch, uint32_t now,
                           uint32_t length)
{
    uint32_t next = (epoch & ~1u) + length;

    if (epoch == 0 || sessions_age_of(epoch, now) >= 2 * length) {
        sessions_clear(cell->session[epoch & 1]);
        next = now;
    }
    next |= (epoch & 1) ^ 1;
    sessions_clear(cell->session[next & 1]);
    atomic_store_explicit(&cell->session_epoch, next, memory_order_release);
    return next;
}

void sessions_note(struct worker_backend *cell, uint64_t hash, uint64_t now_ms,
                   uint32_t idle_ms)
{
    uint32_t epoch = atomic_load_explicit(&cell->session_epoch, memory_order_relaxed);
    uint32_t now = units(now_ms), length = units(idle_ms);
    uint64_t spread = hash * UINT64_C(0x9e3779b97f4a7c15);
    unsigned bit = (unsigned)(spread >> 54); /* upper bits depend on all lower ones */
    _Atomic uint64_t *word;

    if (epoch == 0 || sessions_age_of(epoch, now) >= length)
        epoch = next_epoch(cell, epoch, now, length);
    word = &cell->session[epoch & 1][bit / 64];
    if (!(sessions_get(word) >> (bit % 64) & 1))
        atomic_store_explicit(word, sessions_get(word) | UINT64_C(1) << (bit % 64),
                              memory_order_release);
}

static void sessions_join(uint64_t all[TABLE_SESSION_WORDS], const struct worker_backend *cell,
                          uint32_t now, uint32_t length)
{
    uint32_t epoch = atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&cell->session_epoch,
                                          memory_order_acquire);
    uint32_t age = sessions_age_of(epoch, now);

    if (epoch == 0 || age >= 2 * length)
        return;
    for (int i = 0; i < TABLE_SESSION_WORDS; i++) {
        all[i] |= sessions_get(&cell->session[epoch & 1][i]);
        if (age < length)
            all[i] |= sessions_get(&cell->session[(epoch & 1) ^ 1][i]);
    }
}

uint32_t sessions_live(const struct table *table, int slot, uint64_t now_ms, uint32_t idle_ms)
{
    uint64_t all[TABLE_SESSION_WORDS] = {0};
    unsigned bits = 0;

    for (int r = 0; r < TABLE_WORKERS; r++)
        if (table_row_used(table, r))
            sessions_join(all, &table->worker[r].be[slot], units(now_ms), units(idle_ms));
    for (int i = 0; i < TABLE_SESSION_WORDS; i++)
        bits += (unsigned)__builtin_popcountll(all[i]);
    return sessions_estimate(bits);
}

uint32_t sessions_estimate(unsigned bits)
{
    double n = 0;

    /* With i of m bits set, the next new session sets another one with
     * probability (m - i) / m. */
    for (unsigned i = 0; i < bits && i < SESSIONS_BITS; i++)
        n += (double)SESSIONS_BITS / (SESSIONS_BITS - i);
    return (uint32_t)(n + 0.5);
}
