#include "base/window.h"

#include <string.h>

void window_add(struct window *w, uint64_t step_ms, const uint64_t added[WINDOW_COUNTERS],
                uint64_t now_ms)
{
    uint64_t at = now_ms / step_ms;

    /* Steps that have begun meanwhile are empty. */
    for (uint64_t i = w->at + 1; i <= at && i <= w->at + WINDOW_STEPS; i++) {
        uint64_t *step = w->step[i % WINDOW_STEPS];

        for (int k = 0; k < WINDOW_COUNTERS; k++)
            w->sum[k] -= step[k];
        memset(step, 0, sizeof w->step[0]);
    }
    if (at > w->at)
        w->at = at;
    for (int k = 0; k < WINDOW_COUNTERS; k++) {
        w->step[w->at % WINDOW_STEPS][k] += added[k];
        w->sum[k] += added[k];
    }
}

void window_clear(struct window *w)
{
    *w = (struct window){.at = w->at};
}
