/* The score: is a backend unlike its neighbours? Compared is what workers measured of requests
 * whose backend was chosen freely (worker/proxy/measured.h), so that all backends of a pool get
 * the same mix of routes: the share of 5xx responses, of 4xx responses, and of slow ones. Pure:
 * no clock, no table; times are passed in.
 *
 * A backend is found by Fisher's exact test, one-sided: if bad responses fell on the backends
 * by chance, as many as this on one of them would be improbable. What all of them do says
 * nothing. Windows of several lengths are compared, so that a busy pool needs a tenth of a
 * second and a quiet one some minutes. It is like the others again after a few responses
 * without the fault, or when the others have it too, or when nothing could be measured for a
 * while. */
#ifndef HEALTHD_OUTLIER_SCORE_H
#define HEALTHD_OUTLIER_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

enum score_kind { SCORE_5XX, SCORE_4XX, SCORE_SLOW, SCORE_KINDS };

enum {
    SCORE_LEVELS = 6,     /* windows, each four times as long as the one before */
    SCORE_STEPS = 4,      /* steps in a window */
    SCORE_STEP_MS = 64,   /* in the shortest window: so windows take 256 ms to 4 minutes */
    SCORE_LEAST = 4,      /* no fewer bad responses prove anything */
    SCORE_DIFFERENCE = 4, /* the shares differ by a quarter at least */
    SCORE_USUAL = 20,     /* more than one in so many, in the longest window: usual here */
    SCORE_UNKNOWN =
        200,        /* none in 200 responses of the longest window: not known in this pool */
    SCORE_GOOD = 3, /* responses in a row without the fault that end it, at least, */
    SCORE_GOOD_MOST = 24, /* and at most */
    SCORE_OTHERS = 10,    /* responses of others that tell whether they have the fault too */
    SCORE_QUIET_MS =
        60000, /* without any response, it is not found, and gets its weight back */
    SCORE_RELAPSE_MS = 60000, /* found again so soon: twice as many good ones are needed */
};

struct score_counts {
    uint64_t all, of[SCORE_KINDS];
};

struct score { /* of one backend; score_clear() before the first use */
    struct score_counts step[SCORE_LEVELS][SCORE_STEPS]; /* [at % SCORE_STEPS] is the newest */
    struct score_counts window[SCORE_LEVELS];            /* their sums */
    uint64_t at[SCORE_LEVELS];                           /* number of the newest step */
    uint64_t cleared_ms; /* windows that began earlier are not complete */
    bool unlike;         /* found; `kind` says how */
    uint8_t kind;        /* enum score_kind */
    uint8_t relapses;    /* doublings of the good responses that are needed */
    uint16_t share;      /* permille of its responses that had the fault when it was found */
    uint32_t good;       /* responses in a row without it, since */
    uint64_t heard_ms;   /* its last response, or when it was found */
    uint64_t ended_ms;   /* when that last ended; 0: never */
};

/* Sums over all backends of a pool, for each window. */
struct score_totals {
    struct score_counts of[SCORE_LEVELS];
    uint64_t weight; /* of the backends */
};

/* Forgets what was measured, and starts at `now_ms`; not how often it was found. */
void score_clear(struct score *score, uint64_t now_ms);

/* Adds what was measured since the last call. */
void score_feed(struct score *score, const struct score_counts *added, uint64_t now_ms);

/* Adds the backend's windows to the totals of its pool. */
void score_add(struct score_totals *totals, struct score *score, uint64_t weight,
               uint64_t now_ms);

/* Compares a backend (whose windows are in the totals) with the others. true: it has just been
 * found unlike them, or it is like them again; writes the reason. */
bool score_judge(struct score *score, const struct score_totals *totals, uint64_t weight,
                 uint64_t now_ms, char text[TABLE_REASON]);

/* Takes over that the predecessor had found it. */
void score_adopt(struct score *score, enum score_kind kind, uint64_t now_ms);

/* The probability that at least `bad` of the `bad + others_bad` bad responses are among the
 * `all` of one backend by chance, where others gave `others_all`. */
double score_chance(uint64_t bad, uint64_t all, uint64_t others_bad, uint64_t others_all);

#endif
