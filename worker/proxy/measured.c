#include "worker/proxy/measured.h"

#include "base/fd.h"
#include "worker/core/core.h"
#include "worker/proxy/exchange.h"
#include "worker/upstream/backends.h"

static bool is_comparable(const struct exchange *x)
{
    return !(x->measured | x->retried | x->hedged | x->active->probation) && !x->affinity &&
           !x->binds;
}

/* A client that did not keep up makes its own response slow. */
static bool is_slow(const struct exchange *x)
{
    const struct attempt *a = x->active;

    return a->sent && !x->was_blocked &&
           x->worker->loop.now_us - a->sent > a->backend->health.slow_ms * UINT64_C(1000);
}

static void note_bad(struct backend_view *b, _Atomic uint64_t *counter)
{
    uint64_t now_ms = b->pool->worker->loop.now_ms;

    count_add(counter, 1);
    if (now_ms - b->rung_ms < MEASURED_RING_MS)
        return;
    b->rung_ms = now_ms;
    fd_ring(b->pool->worker->heritage->doorbell_healthd);
}

static void count(struct exchange *x, bool slow)
{
    struct backend_view *b = x->active->backend;

    x->measured = true;
    count_add(&b->cell->measured, 1);
    if (x->backend_status >= 500)
        note_bad(b, &b->cell->measured_5xx);
    else if (x->backend_status >= 400)
        note_bad(b, &b->cell->measured_4xx);
    if (slow)
        note_bad(b, &b->cell->measured_slow);
}

void measured_response(struct exchange *x)
{
    if (!is_comparable(x))
        return;
    count(x, is_slow(x));
}

void measured_look(const struct backend_view *b)
{
    for (const struct attempt *a = b->running; a; a = a->running_next)
        if ((a->state == EXCHANGE_WAITING || a->state == EXCHANGE_RESPONDING) &&
            is_comparable(a->exchange) && is_slow(a->exchange))
            count(a->exchange, true);
}
