/* What a scripted worker holds for exchanges. */
#include <stdio.h>
#include <string.h>

#include "t/unit/script/script.h"

static char held[SCRIPT_HELD];

static void hold(const char *what, uint64_t n)
{
    size_t len = strlen(held);

    if (n)
        snprintf(held + len, sizeof held - len, "%s%s %llu", len ? ", " : "", what,
                 (unsigned long long)n);
}

static void hold_at(const struct backend_view *b)
{
    hold("in_flight", atomic_load(&script_worker.row->in_flight[b->slot]));
    hold("queued", atomic_load(&script_worker.row->queued[b->slot]));
    hold("queued_any", atomic_load(&script_worker.row->queued_any[b->slot]));
    hold("waiting_since", atomic_load(&b->cell->waiting_since_ms));
    hold("probation requests", atomic_load(&b->cell->probation_requests));
    hold("running", b->running != NULL);
    hold("detached", b->detached != NULL);
    hold("a walk", b->walk != NULL);
    hold("waiters", b->waiters.n);
}

static void hold_in_pool(const struct pool_view *pool)
{
    const struct worker_row *row = script_worker.row;

    hold("retries", atomic_load(&((struct worker_row *)(uintptr_t)row)->retrying[0]));
    hold("opening", atomic_load(&((struct worker_row *)(uintptr_t)row)->opening[0]));
    hold("expecting", atomic_load(&((struct worker_row *)(uintptr_t)row)->expecting[0]));
    hold("pool waiting_since", count_read(&row->waiting_since_ms[0]));
    hold("waiting", pool->nwaiting);
    hold("pool waiters", pool->waiters.n + pool->retriers.n);
    hold("due", pool->due || script_worker.freed_first || script_worker.loop.deferred);
}

const char *script_held(void)
{
    const struct worker *w = &script_worker;
    uint32_t kept = 0;

    held[0] = '\0';
    for (size_t i = 0; i < script_conf.n_backends; i++) {
        hold_at(&w->backends[i]);
        kept += w->backends[i].nidle + w->backends[i].npinned;
    }
    hold_in_pool(&w->pools[0]);
    hold("exchanges", w->exchanges.out);
    hold("detached attempts", w->detached.out);
    hold("exchanges counted", w->nexchanges + atomic_load(&w->row->exchanges));
    hold("connections beyond kept ones", w->nupstreams - kept);
    hold("connection blocks", w->upstreams.out - kept);
    hold("bytes", w->buffered);
    hold("bytes of collected bodies", w->collecting_bytes);
    hold("head buffers", w->head_buffers.out);
    hold("request buffers", w->request_buffers.out);
    return held;
}

uint32_t script_in_flight(uint32_t i)
{
    return atomic_load(&script_worker.row->in_flight[script_worker.backends[i].slot]);
}

const char *script_faults(uint32_t i)
{
    static char text[128];
    const struct worker_backend *cell = script_worker.backends[i].cell;
    const struct {
        const char *name;
        uint64_t n;
    } faults[] = {
        {"connect", count_read(&cell->connect_errors)},
        {"reset", count_read(&cell->resets)},
        {"timeout", count_read(&cell->timeouts)},
        {"cut", count_read(&cell->cut)},
    };

    text[0] = '\0';
    for (size_t k = 0; k < sizeof faults / sizeof *faults; k++)
        if (faults[k].n)
            sprintf(text + strlen(text), "%s%s %llu", *text ? " " : "", faults[k].name,
                    (unsigned long long)faults[k].n);
    return text;
}
