#include "worker/upstream/fail_open.h"

#include "base/conf/conf.h"
#include "shm/cap.h"
#include "worker/core/core.h"
#include "worker/upstream/backends.h"

uint32_t fail_open_rank(const struct health_row *health, bool avoided)
{
    return (health->probe_ok ? 4 : health->silent ? 0 : 2) + !avoided;
}

bool fail_open_is_open(struct worker *worker, const struct backend_view *b)
{
    for (int i = 0; i < worker->live.n; i++) {
        const struct worker_row *row = &worker->table->worker[worker->live.rows[i]];
        uint64_t when = count_read(&row->be[b->slot].opened_ms);

        if (when && when + FAIL_OPEN_MS > worker->loop.now_ms)
            return true;
    }
    return false;
}

bool fail_open_acquire(struct worker *worker, const struct pool_view *pool)
{
    return cap_opening_acquire(worker->table, &worker->live, worker->heritage->row,
                               (int)pool->conf->index);
}

void fail_open_release(struct worker *worker, const struct pool_view *pool)
{
    cap_opening_release(worker->table, worker->heritage->row, (int)pool->conf->index);
}

void fail_open_responded(struct worker *worker, struct backend_view *b, unsigned status)
{
    /* Such a response may come from a gateway in front of the backend, or from a PAS without
     * its application. */
    if (!health_is_out(b->health.state) || status == 502 || status == 503 || status == 504)
        return;
    atomic_store_explicit(&b->cell->opened_ms, worker->loop.now_ms, memory_order_relaxed);
}

void fail_open_failed(struct backend_view *b)
{
    if (count_read(&b->cell->opened_ms))
        atomic_store_explicit(&b->cell->opened_ms, 0, memory_order_relaxed);
}
