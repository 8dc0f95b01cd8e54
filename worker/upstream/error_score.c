#include "worker/upstream/error_score.h"

#include "base/conf/conf.h"
#include "worker/core/core.h"
#include "worker/upstream/backends.h"
#include "worker/upstream/candidates.h"

static void set_error_score_high(struct backend_view *b, bool error_score_high)
{
    b->error_score_high = error_score_high;
    candidates_changed(b->pool);
    atomic_store_explicit(&b->cell->error_score_high, error_score_high, memory_order_relaxed);
    if (!error_score_high && b->error_told)
        log_info("backend %s serves requests as others do again; weight restored",
                 b->conf->name);
    b->error_told = error_score_high && log_gate_open(&b->error_gate);
    if (b->error_told)
        log_warn("backend %s fails requests that other backends serve; weight reduced to 5 %%",
                 b->conf->name);
}

static void error_score(struct backend_view *b)
{
    b->error_score = b->error_score + ERROR_SCORE_UP < ERROR_SCORE_MOST
                         ? (uint8_t)(b->error_score + ERROR_SCORE_UP)
                         : ERROR_SCORE_MOST;
    if (b->error_score < ERROR_SCORE_FEW || b->error_score_high)
        return;
    set_error_score_high(b, true);
}

static void error_score_down(struct backend_view *b)
{
    b->error_score--;
    if (b->error_score || !b->error_score_high)
        return;
    set_error_score_high(b, false);
}

static bool is_stale(const struct pool_view *pool)
{
    return pool->worker->loop.now_ms - pool->retries_useless_ms > ERROR_SCORE_USELESS_MS;
}

static void count_useless_retry(struct pool_view *pool)
{
    if (is_stale(pool))
        pool->retries_useless = 0;
    if (pool->retries_useless < ERROR_SCORE_USELESS)
        pool->retries_useless++;
    pool->retries_useless_ms = pool->worker->loop.now_ms;
}

void error_score_response(struct backend_view *b, struct backend_view *refused, unsigned status)
{
    struct pool_view *pool = b->pool;

    if (status >= 500) {
        if (refused)
            count_useless_retry(pool);
        return;
    }
    if (b->error_score)
        error_score_down(b);
    if (!refused || refused == b)
        return;
    pool->retries_useless = 0;
    error_score(refused);
}

bool error_score_retries_help(const struct pool_view *pool)
{
    return pool->retries_useless < ERROR_SCORE_USELESS || is_stale(pool);
}

uint32_t error_score_permille(const struct backend_view *b)
{
    return b->error_score_high ? ERROR_SCORE_PERMILLE : 1000;
}
