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

#include "healthd/outlier/evidence.h"

enum {
    SCORE_LEAST = 4,      /* no fewer bad responses prove anything */
    SCORE_DIFFERENCE = 4, /* the shares differ by a quarter at least */
    SCORE_USUAL = 20,     /* more than one in so many, in the longest window: usual here */
    SCORE_UNKNOWN = 200,  /* none in 200 responses of the longest window: not known here */
    SCORE_GOOD = 3,       /* responses in a row without the fault that end it, at least, */
    SCORE_GOOD_MOST = 24, /* and at most */
    SCORE_OTHERS = 10,    /* responses of others that tell whether they have the fault too */
    SCORE_QUIET_MS =
        60000, /* without any response, it is not found, and gets its weight back */
    SCORE_RELAPSE_MS = 60000, /* found again so soon: twice as many good ones are needed */
    /* Workers count what is slow once a second, backend by backend, at the same time as well as
     * they can: for so long one backend has been counted and another one not yet. */
    SCORE_CONFIRM_MS = 240,
};

struct score {               /* of one backend; score_clear() before the first use */
    enum evidence_kind kind; /* by what it was found unlike the others; 0: it was not */
    uint16_t share;          /* permille of its responses that had the fault by then */
    uint8_t relapses;        /* doublings of the good responses that are needed */
    uint32_t good;           /* responses in a row without the fault, since */
    uint64_t heard_ms;       /* its last response that was compared, or when it was found */
    uint64_t slow_ms;        /* since when slow ones seem to tell that it is unlike; 0: no */
    uint64_t cleared_ms;     /* windows that began earlier are not complete */
    uint64_t ended_ms;       /* when it was last like the others again; 0: never */
};

/* Sums over all backends of a pool, for each window. */
struct score_totals {
    uint64_t of[EVIDENCE_LEVELS][EVIDENCE_SLOW + 1];
    uint64_t weight; /* of the backends */
};

/* Forgets what was compared, and starts at `now_ms`; not how often it was found. */
void score_clear(struct score *score, struct evidence *evidence, uint64_t now_ms);

/* Takes in what evidence_read() added. */
void score_feed(struct score *score, const struct evidence *evidence, uint64_t now_ms);

/* Adds a backend that gets requests by `weight` to the totals of its pool. */
void score_add(struct score_totals *totals, const struct evidence *evidence, uint64_t weight);

/* Compares a backend, whose windows are in the totals, with the others. true: it has just been
 * found unlike them, or it is like them again; writes the reason. */
bool score_judge(struct score *score, struct evidence *evidence,
                 const struct score_totals *totals, uint64_t weight, uint64_t now_ms,
                 char text[TABLE_REASON]);

#endif
