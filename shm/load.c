/* The workers' cells: how a worker claims its row, and sums over workers. */
#include <string.h>

#include "base/check.h"
#include "shm/table.h"

/* Everything except sessions: those noted by the row's previous process still
 * count (shm/sessions.h). */
static void clear_cell(struct worker_backend *cell)
{
    enum {
        KEPT = offsetof(struct worker_backend, session_epoch),
        REST = offsetof(struct worker_backend, oldest_ms),
    };

    memset(cell, 0, KEPT);
    memset((char *)cell + REST, 0, sizeof *cell - REST);
}

void worker_row_reset(struct worker_row *row, uint32_t incarnation, uint32_t nbackends)
{
    CHECK(nbackends <= TABLE_BACKENDS);
    /* Only what was in use is cleared: pages of unused cells stay unmapped. */
    atomic_store(&row->incarnation, 0);
    memset((char *)row + offsetof(struct worker_row, config_generation), 0,
           offsetof(struct worker_row, be) - offsetof(struct worker_row, config_generation));
    for (uint32_t slot = 0; slot < nbackends; slot++)
        clear_cell(&row->be[slot]);
    atomic_store(&row->incarnation, incarnation);
}

bool worker_row_live(const struct table *table, int r)
{
    struct child_row child;

    if (!child_read(&table->child[r], &child))
        return false;
    return child.kind == KIND_WORKER &&
           (child.state == CHILD_STARTING || child.state == CHILD_RUNNING ||
            child.state == CHILD_DRAINING) &&
           atomic_load(&((struct table *)(uintptr_t)table)->worker[r].incarnation) ==
               child.incarnation;
}

static uint32_t load_sum(const struct table *table, size_t field)
{
    uint32_t total = 0;

    for (int r = 0; r < TABLE_WORKERS; r++)
        if (worker_row_live(table, r))
            total += atomic_load((_Atomic uint32_t *)((uintptr_t)&table->worker[r] + field));
    return total;
}

uint32_t backend_in_flight(const struct table *table, int slot)
{
    return load_sum(table, offsetof(struct worker_row, in_flight) +
                               (size_t)slot * sizeof(_Atomic uint32_t));
}

uint32_t backend_queued(const struct table *table, int slot)
{
    return load_sum(table, offsetof(struct worker_row, queued) +
                               (size_t)slot * sizeof(_Atomic uint32_t));
}
