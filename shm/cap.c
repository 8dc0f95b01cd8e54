#include "shm/cap.h"

#include "base/check.h"

/* What is counted: a cell of 32 bits, at the same place in each worker's row. */
typedef size_t cell_at;

static cell_at cell_of_backend(int slot, size_t field)
{
    return offsetof(struct worker_row, be) + (size_t)slot * sizeof(struct worker_backend) +
           field;
}

#define AT_BACKEND(slot, field) cell_of_backend(slot, offsetof(struct worker_backend, field))
#define AT_POOL(pool) \
    (offsetof(struct worker_row, retrying) + (size_t)(pool) * sizeof(_Atomic uint32_t))

static _Atomic uint32_t *cell(const struct table *table, int row, cell_at at)
{
    return (_Atomic uint32_t *)((uintptr_t)&table->worker[row] + at);
}

static uint32_t sum(const struct table *table, const struct cap_rows *live, cell_at at,
                    memory_order order)
{
    uint32_t total = 0;

    for (int i = 0; i < live->n; i++)
        total += atomic_load_explicit(cell(table, live->rows[i], at), order);
    return total;
}

/* Without a cap nobody acts on the exact sum: the plain store is enough. */
static void put(_Atomic uint32_t *mine, uint32_t n, bool exact)
{
    atomic_store_explicit(mine, n, exact ? memory_order_seq_cst : memory_order_relaxed);
}

static bool take(struct table *table, const struct cap_rows *live, int row, cell_at at,
                 uint32_t cap)
{
    _Atomic uint32_t *mine = cell(table, row, at);
    uint32_t had = atomic_load_explicit(mine, memory_order_relaxed);

    put(mine, had + 1, cap);
    if (!cap || sum(table, live, at, memory_order_seq_cst) <= cap)
        return true;
    put(mine, had, cap);
    return false;
}

static void give(struct table *table, int row, cell_at at, bool exact)
{
    _Atomic uint32_t *mine = cell(table, row, at);
    uint32_t had = atomic_load_explicit(mine, memory_order_relaxed);

    CHECK(had > 0);
    put(mine, had - 1, exact);
}

uint32_t cap_in_flight(const struct table *table, const struct cap_rows *live, int slot)
{
    return sum(table, live, AT_BACKEND(slot, in_flight), memory_order_relaxed);
}

uint32_t cap_queued(const struct table *table, const struct cap_rows *live, int slot)
{
    return sum(table, live, AT_BACKEND(slot, queued), memory_order_relaxed);
}

bool cap_take(struct table *table, const struct cap_rows *live, int mine, int slot,
              uint32_t cap)
{
    return take(table, live, mine, AT_BACKEND(slot, in_flight), cap);
}

void cap_give(struct table *table, int mine, int slot, uint32_t cap)
{
    give(table, mine, AT_BACKEND(slot, in_flight), cap);
}

bool cap_trial_take(struct table *table, const struct cap_rows *live, int mine, int slot,
                    uint32_t most)
{
    return take(table, live, mine, AT_BACKEND(slot, trials), most);
}

void cap_trial_give(struct table *table, int mine, int slot)
{
    give(table, mine, AT_BACKEND(slot, trials), true);
}

uint32_t cap_retries(uint32_t in_flight)
{
    uint32_t share = in_flight / CAP_RETRY_SHARE;

    return share > CAP_RETRY_LEAST ? share : CAP_RETRY_LEAST;
}

bool cap_retry_take(struct table *table, const struct cap_rows *live, int mine, int pool,
                    uint32_t most)
{
    return take(table, live, mine, AT_POOL(pool), most);
}

void cap_retry_give(struct table *table, int mine, int pool)
{
    give(table, mine, AT_POOL(pool), true);
}
