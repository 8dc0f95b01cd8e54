/* Sums of a few counters over the last steps of time. Pure: times are passed in. */
#ifndef BASE_WINDOW_H
#define BASE_WINDOW_H

#include <stdint.h>

enum { WINDOW_STEPS = 4, WINDOW_COUNTERS = 8 };

struct window { /* {0}, or window_clear(), before the first use */
    uint64_t step[WINDOW_STEPS][WINDOW_COUNTERS]; /* [at % WINDOW_STEPS] is the newest */
    uint64_t sum[WINDOW_COUNTERS];
    uint64_t at; /* number of the newest step since boot */
};

/* Adds to it, and advances it, also if nothing is added. step_ms > 0: how long a step lasts,
 * the same in all calls. A clock that went back changes nothing. */
void window_add(struct window *window, uint64_t step_ms, const uint64_t added[WINDOW_COUNTERS],
                uint64_t now_ms);

/* Forgets what was added. */
void window_clear(struct window *window);

#endif
