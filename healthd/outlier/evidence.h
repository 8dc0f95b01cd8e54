/* What the workers saw of one backend: counters over all workers there ever were, because the
 * end of a worker must look neither like a response nor like a missing one; current values over
 * live workers; and what follows from their course: failures in a row, shares within windows,
 * silence. Reads the table, writes nothing; times are passed in. healthd only.
 *
 * A failure here is a hard one: refused, reset, no response, cut in the middle. Every response
 * is good, 500 and 408 too: PAS and its applications use such codes for business errors.
 *
 * A report that runs for minutes is no silence of a backend that hangs. So a check that is sent
 * meanwhile and passes answers for all that wait, and requests that led to a probation already
 * count no more until others join them. */
#ifndef HEALTHD_OUTLIER_EVIDENCE_H
#define HEALTHD_OUTLIER_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/window.h"
#include "shm/counters.h"

struct conf_eject;

enum {
    EVIDENCE_LEVELS = 6,     /* windows for the score, each four times the one before */
    EVIDENCE_STEP_MS = 64,   /* in the shortest one: so they take 256 ms to 4 minutes */
    EVIDENCE_SIGN_MS = 1000, /* a silence this long is a reason for a check */
    /* A silence this long, with a check that got no response either, is a hang. More than 3 s,
     * because a backend that responds after 3 s is slow. */
    EVIDENCE_HANG_MS = 3250,
    EVIDENCE_LONGEST_MS = 20000, /* longest hang timeout: PAS lets a request wait 15 s */
    EVIDENCE_LEARNT_MS = 60000,  /* after a response, a longer one is forgotten */
};

enum evidence_kind {
    EVIDENCE_ALL, /* responses that can be compared with those of other backends; of these: */
    EVIDENCE_5XX,
    EVIDENCE_4XX,
    EVIDENCE_SLOW,
    EVIDENCE_HARD,    /* hard failures */
    EVIDENCE_GOOD,    /* complete responses; of these: */
    EVIDENCE_GATEWAY, /* 502, 503, 504 */
    EVIDENCE_FIRST,   /* first bytes: what it sends now, not what it began earlier */
};

/* Since when more than `n` requests wait. */
struct evidence_crowd {
    uint64_t n, since_ms;
};

struct evidence {
    struct cell_counters total, added; /* added: by the last evidence_read() */
    uint64_t count[WINDOW_COUNTERS];   /* of what was added, by enum evidence_kind */
    struct backend_gauges now;

    uint64_t in_row;        /* hard failures since a good response, over all workers */
    struct window failures; /* as long as pools.eject.window */
    struct window compared[EVIDENCE_LEVELS]; /* for the score */

    uint64_t good_ms;            /* last response */
    uint64_t patience_ms;        /* half as long again as it lately needed to respond */
    struct evidence_crowd any;   /* n is 0, since_ms the last response */
    struct evidence_crowd tried; /* n: those that led to a probation */
    struct evidence_crowd many;  /* n: so many may be a coincidence */
};

/* Before the first use: what was counted before does not count. */
void evidence_init(struct evidence *e, const struct table *table, int slot, uint64_t now_ms);

/* Takes in what the cells of that backend's slot tell now. rules: of its pool. min_waiting: how
 * many unanswered requests are no coincidence (evidence_min_waiting()). */
void evidence_read(struct evidence *e, const struct table *table, int slot,
                   const struct conf_eject *rules, uint64_t min_waiting, uint64_t now_ms);

static inline uint64_t evidence_step_ms(int level)
{
    return (uint64_t)EVIDENCE_STEP_MS << 2 * level;
}

/* Discards failures. */
void evidence_clear_failures(struct evidence *e);

/* trouble: something failed just now; reason for a check. bad: reason for suspicion even before
 * it: a connect failed, or requests failed and none completed. Writes "workers saw 2 resets".
 */
bool evidence_trouble(const struct evidence *e);
bool evidence_bad(const struct evidence *e, char text[TABLE_REASON]);

/* Do its requests fail? `failures` in a row, or that many and most of the window's requests; or
 * a share of 502, 503 and 504, if it is configured. Writes the reason. Never if failures is 0.
 * Half as many as the rules ask for: it is close to that. */
bool evidence_fails(const struct evidence *e, const struct conf_eject *rules, uint32_t failures,
                    char text[TABLE_REASON]);

/* How long there has been silence for that crowd; 0: not more than n wait. */
uint64_t evidence_silence_ms(const struct evidence *e, const struct evidence_crowd *crowd,
                             uint64_t now_ms);

/* After how long a silence calls for a check; and after how long it is a hang, if that got no
 * response either. Longer for a backend that lately needed longer. */
static inline uint64_t evidence_sign_ms(const struct evidence *e)
{
    return e->patience_ms > EVIDENCE_SIGN_MS ? e->patience_ms : EVIDENCE_SIGN_MS;
}

static inline uint64_t evidence_hang_ms(const struct evidence *e)
{
    return e->patience_ms > EVIDENCE_HANG_MS ? e->patience_ms : EVIDENCE_HANG_MS;
}

/* How many requests have to wait at one backend to be no coincidence, if `slow` of `all`
 * requests of its pool took 2.1 s or longer: three in a pool that is always quick, many where
 * waiting is usual or nothing is known. At most one mistake in a million. */
uint64_t evidence_min_waiting(uint64_t slow, uint64_t all);

#endif
