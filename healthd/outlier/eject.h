/* When requests that fail take a backend out although its checks pass: a window of what the
 * workers counted, a run of failures, and how long an ejection lasts. Pure: no clock, no
 * table; times are given.
 *
 * A failure here is a hard one: refused, reset, not answered, cut in the middle. Whatever
 * the instance answers, 500 and 408 too, is good: PAS and its applications use such codes
 * for business errors. Of 502, 503 and 504 a share may count, if it is configured. */
#ifndef HEALTHD_OUTLIER_EJECT_H
#define HEALTHD_OUTLIER_EJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

struct conf_eject;

enum {
    EJECT_STEPS = 10, /* the window moves on by a tenth of itself */
    EJECT_HEAL = 3,   /* ejections in a row after which a restart is asked for */
};

struct eject_counts {
    uint64_t hard, good, gateway; /* gateway: those of the good that were 502, 503, 504 */
};

/* {0} is a fresh start. */
struct eject {
    struct eject_counts step[EJECT_STEPS]; /* [at % EJECT_STEPS] is the newest */
    uint64_t at;                           /* number of the newest step since boot */
    uint64_t in_row;                       /* hard ones since a good one, all workers */
    uint64_t row_ms;                       /* when that row began */
    uint64_t worker_in_row;                /* the same of the one worker that has most */
};

/* Takes in what was added since the last time. worker_in_row: the most that one worker had
 * in a row, its own order being known where that of several is not. */
void eject_feed(struct eject *eject, const struct conf_eject *rules,
                const struct eject_counts *added, uint64_t worker_in_row, uint64_t now_ms);

/* Nothing of before counts any more. */
void eject_clear(struct eject *eject);

/* Sums of the window. */
struct eject_counts eject_window(const struct eject *eject, const struct conf_eject *rules,
                                 uint64_t now_ms);

/* Is it to be ejected? So many failures in a row; or half as many, if that has gone on for half
 * of the window: who is suspected gets few requests that could fail; or most of the window's
 * requests. The text tells, as "5 requests failed in a row". */
bool eject_due(const struct eject *eject, const struct conf_eject *rules, uint64_t now_ms,
               char text[TABLE_REASON]);

/* Is it on the way there? Then it is no better than one that is due. */
bool eject_near(const struct eject *eject, const struct conf_eject *rules, uint64_t now_ms);

/* How long the n-th ejection in a row lasts, n > 0; and the number of the next one: the count
 * goes no further than to the longest time. */
uint32_t eject_time_ms(const struct conf_eject *rules, unsigned n);
uint8_t eject_next(const struct conf_eject *rules, uint8_t n);

#endif
