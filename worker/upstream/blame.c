#include "worker/upstream/blame.h"

#include "base/conf/conf.h"
#include "worker/core/core.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/candidates.h"

static void set_blamed(struct backend_view *b, bool blamed)
{
    b->blamed = blamed;
    candidates_changed(b->pool);
    atomic_store_explicit(&b->cell->blamed, blamed, memory_order_relaxed);
    if (!blamed && b->blame_told)
        log_info("backend %s serves requests as others do again; weight restored",
                 b->conf->name);
    b->blame_told = blamed && log_gate_open(&b->blame_gate);
    if (b->blame_told)
        log_warn("backend %s fails requests that other backends serve; weight reduced to 5 %%",
                 b->conf->name);
}

static void blame(struct backend_view *b)
{
    b->blame = b->blame + BLAME_UP < BLAME_MOST ? (uint8_t)(b->blame + BLAME_UP) : BLAME_MOST;
    if (b->blame < BLAME_FEW || b->blamed)
        return;
    set_blamed(b, true);
}

static void blame_clear(struct backend_view *b)
{
    b->blame--;
    if (b->blame || !b->blamed)
        return;
    set_blamed(b, false);
}

static bool is_stale(const struct pool_view *pool)
{
    return pool->worker->loop.now_ms - pool->in_vain_ms > BLAME_IN_VAIN_MS;
}

static void count_in_vain(struct pool_view *pool)
{
    if (is_stale(pool))
        pool->in_vain = 0;
    if (pool->in_vain < BLAME_IN_VAIN)
        pool->in_vain++;
    pool->in_vain_ms = pool->worker->loop.now_ms;
}

void blame_response(struct backend_view *b, struct backend_view *refused, unsigned status)
{
    struct pool_view *pool = b->pool;

    if (status >= 500) {
        if (refused)
            count_in_vain(pool);
        return;
    }
    if (b->blame)
        blame_clear(b);
    if (!refused || refused == b)
        return;
    pool->in_vain = 0;
    blame(refused);
}

bool blame_retry_helps(const struct pool_view *pool)
{
    return pool->in_vain < BLAME_IN_VAIN || is_stale(pool);
}

uint32_t blame_permille(const struct backend_view *b)
{
    return b->blamed ? BLAME_PERMILLE : 1000;
}
