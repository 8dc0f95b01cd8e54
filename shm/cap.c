#include "shm/cap.h"

#include "base/check.h"

static uint32_t sum(const struct table *table, const struct cap_rows *live, int slot,
                    size_t field, memory_order order)
{
    uint32_t total = 0;

    for (int i = 0; i < live->n; i++) {
        uintptr_t cell = (uintptr_t)&table->worker[live->rows[i]].be[slot];

        total += atomic_load_explicit((_Atomic uint32_t *)(cell + field), order);
    }
    return total;
}

uint32_t cap_in_flight(const struct table *table, const struct cap_rows *live, int slot)
{
    return sum(table, live, slot, offsetof(struct worker_backend, in_flight),
               memory_order_relaxed);
}

uint32_t cap_queued(const struct table *table, const struct cap_rows *live, int slot)
{
    return sum(table, live, slot, offsetof(struct worker_backend, queued),
               memory_order_relaxed);
}

/* Without a cap nobody acts on the exact sum: the plain store is enough. */
static void put(_Atomic uint32_t *cell, uint32_t n, uint32_t cap)
{
    atomic_store_explicit(cell, n, cap ? memory_order_seq_cst : memory_order_relaxed);
}

bool cap_take(struct table *table, const struct cap_rows *live, int mine, int slot,
              uint32_t cap)
{
    _Atomic uint32_t *cell = &table->worker[mine].be[slot].in_flight;
    uint32_t had = atomic_load_explicit(cell, memory_order_relaxed);

    put(cell, had + 1, cap);
    if (!cap || sum(table, live, slot, offsetof(struct worker_backend, in_flight),
                    memory_order_seq_cst) <= cap)
        return true;
    put(cell, had, cap);
    return false;
}

void cap_give(struct table *table, int mine, int slot, uint32_t cap)
{
    _Atomic uint32_t *cell = &table->worker[mine].be[slot].in_flight;
    uint32_t had = atomic_load_explicit(cell, memory_order_relaxed);

    CHECK(had > 0);
    put(cell, had - 1, cap);
}
