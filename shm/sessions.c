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

static void sessions_clear(struct worker_row *mine, int slot, uint32_t words, uint32_t which)
{
    for (uint32_t i = 0; i < words; i++)
        atomic_store_explicit(&mine->session[i][slot][which], 0, memory_order_relaxed);
}

/* Clears the set of the next epoch, which may then be filled and published. A reader that still
 * sees the old epoch leaves out the set that is being cleared, which is too old by then. */
static uint32_t next_epoch(struct worker_row *mine, int slot, uint32_t words, uint32_t epoch,
                           uint32_t now, uint32_t length)
{
    uint32_t next = (epoch & ~1u) + length;

    if (epoch == 0 || sessions_age_of(epoch, now) >= 2 * length) {
        sessions_clear(mine, slot, words, epoch & 1);
        next = now;
    }
    next |= (epoch & 1) ^ 1;
    sessions_clear(mine, slot, words, next & 1);
    return next;
}

static void set_bit(struct worker_row *mine, int slot, uint32_t words, unsigned bit,
                    uint32_t epoch)
{
    _Atomic uint64_t *word = &mine->session[bit / 64 & (words - 1)][slot][epoch & 1];
    uint64_t had = sessions_get(word);

    if (!(had >> (bit % 64) & 1))
        atomic_store_explicit(word, had | UINT64_C(1) << (bit % 64), memory_order_release);
}

void sessions_note(struct worker_row *mine, int slot, uint32_t words, uint64_t hash,
                   uint64_t now_ms, uint32_t idle_ms)
{
    _Atomic uint32_t *const current = &mine->be[slot].session_epoch;
    uint32_t epoch = atomic_load_explicit(current, memory_order_relaxed);
    uint32_t now = units(now_ms), length = units(idle_ms);
    uint64_t spread = hash * UINT64_C(0x9e3779b97f4a7c15);
    unsigned bit = (unsigned)(spread >> 54); /* upper bits depend on all lower ones */
    bool over = epoch == 0 || sessions_age_of(epoch, now) >= length;

    if (over)
        epoch = next_epoch(mine, slot, words, epoch, now, length);
    if (words)
        set_bit(mine, slot, words, bit, epoch);
    /* Last: the set of a published epoch is only empty if there is no room for one. */
    if (over)
        atomic_store_explicit(current, epoch, memory_order_release);
}

struct sessions_sum {
    uint64_t word[TABLE_SESSION_WORDS];
    uint32_t words; /* of the smallest set so far */
    bool uncounted; /* a worker noted sessions without a set */
};

static void sessions_add(struct sessions_sum *sum, const struct worker_row *row, int slot,
                         uint32_t words, uint32_t now, uint32_t length)
{
    uint32_t epoch = atomic_load_explicit(
        (_Atomic uint32_t *)(uintptr_t)&row->be[slot].session_epoch, memory_order_acquire);
    uint32_t age = sessions_age_of(epoch, now);
    uint64_t any = 0;

    if (epoch == 0 || age >= 2 * length)
        return;
    for (; words && sum->words > words; sum->words /= 2)
        for (uint32_t i = 0; i < sum->words / 2; i++)
            sum->word[i] |= sum->word[i + sum->words / 2];
    for (uint32_t i = 0; i < words; i++) {
        const _Atomic uint64_t *set = row->session[i][slot];
        uint64_t current = sessions_get(&set[epoch & 1]);

        any |= current;
        if (age < length)
            current |= sessions_get(&set[(epoch & 1) ^ 1]);
        sum->word[i & (sum->words - 1)] |= current;
    }
    sum->uncounted |= !any;
}

uint32_t sessions_live(const struct table *table, int slot, uint64_t now_ms, uint32_t idle_ms)
{
    struct sessions_sum sum = {.words = TABLE_SESSION_WORDS};
    unsigned bits = 0;

    for (int r = 0; r < TABLE_WORKERS; r++)
        if (table_row_used(table, r))
            sessions_add(&sum, &table->worker[r], slot, table_session_words(table, r),
                         units(now_ms), units(idle_ms));
    if (sum.uncounted)
        return SESSIONS_UNCOUNTED;
    for (uint32_t i = 0; i < sum.words; i++)
        bits += (unsigned)__builtin_popcountll(sum.word[i]);
    return sessions_estimate(bits, sum.words * 64);
}

uint32_t sessions_estimate(unsigned bits, unsigned all)
{
    double n = 0;

    /* With i of m bits set, the next new session sets another one with
     * probability (m - i) / m. */
    for (unsigned i = 0; i < bits && i < all; i++)
        n += (double)all / (all - i);
    return (uint32_t)(n + 0.5);
}
