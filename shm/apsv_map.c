#include "shm/apsv_map.h"

enum {
    WAYS = 8,
    SETS = TABLE_HANDLES / WAYS,
    UNIT_SHIFT = 6, /* times count in units of 64 ms, so that 32 bits last for 8 years */
};

_Static_assert((SETS & (SETS - 1)) == 0, "the hash's low bits are the set");

static uint32_t stamp(uint64_t ms)
{
    return (uint32_t)(ms >> UNIT_SHIFT);
}

/* How long ago, in units; 0 if in the future: another worker may have read
 * the clock a little later. */
static uint32_t apsv_map_age_of(uint64_t seen, uint64_t now_ms)
{
    int32_t age = (int32_t)(stamp(now_ms) - (uint32_t)seen);

    return age > 0 ? (uint32_t)age : 0;
}

/* In our own row: the entry with this hash, otherwise the one to replace. */
static struct worker_handle *place_for(struct worker_handle *set, uint64_t hash,
                                       uint64_t now_ms)
{
    struct worker_handle *oldest = set;
    uint32_t most = 0;

    for (int i = 0; i < WAYS; i++) {
        uint64_t key = atomic_load_explicit(&set[i].key, memory_order_relaxed);
        uint64_t seen = atomic_load_explicit(&set[i].seen, memory_order_relaxed);
        uint32_t age = key ? apsv_map_age_of(seen, now_ms) : UINT32_MAX;

        if (key == hash)
            return &set[i];
        if (age > most) {
            most = age;
            oldest = &set[i];
        }
    }
    return oldest;
}

void apsv_map_learn(struct worker_row *mine, uint64_t hash, uint32_t backend, uint64_t now_ms)
{
    struct worker_handle *to = place_for(&mine->handle[hash % SETS * WAYS], hash, now_ms);

    if (atomic_load_explicit(&to->key, memory_order_relaxed) != hash) {
        /* No reader may see the new key with the old backend, nor the other way round. */
        atomic_store(&to->key, 0);
        atomic_store(&to->seen, (uint64_t)backend << 32 | stamp(now_ms));
        atomic_store(&to->key, hash);
    } else {
        atomic_store(&to->seen, (uint64_t)backend << 32 | stamp(now_ms));
    }
}

/* false: the entry belongs to another connection, or is being written. */
static bool apsv_map_look(const struct worker_handle *at, uint64_t hash, uint64_t *seen)
{
    struct worker_handle *h = (struct worker_handle *)(uintptr_t)at;

    if (atomic_load(&h->key) != hash)
        return false;
    *seen = atomic_load(&h->seen);
    return atomic_load(&h->key) == hash;
}

bool apsv_map_find(const struct table *table, uint64_t hash, uint64_t now_ms, uint32_t *backend)
{
    uint32_t youngest = UINT32_MAX;

    for (int r = 0; r < TABLE_WORKERS; r++) {
        const struct worker_handle *set = &table->worker[r].handle[hash % SETS * WAYS];

        if (!table_row_used(table, r))
            continue;
        for (int i = 0; i < WAYS; i++) {
            uint64_t seen;

            if (!apsv_map_look(&set[i], hash, &seen))
                continue;
            uint32_t age = apsv_map_age_of(seen, now_ms);
            if (age <= stamp(APSV_MAP_TTL_MS) && age < youngest) {
                youngest = age;
                *backend = (uint32_t)(seen >> 32);
            }
        }
    }
    return youngest != UINT32_MAX;
}
