/* When failed requests take a backend out although its checks pass: a window of what the
 * workers counted, a run of failures, and how long an ejection lasts. Pure: no clock, no
 * table; times are passed in.
 *
 * A failure here is a hard one: refused, reset, no response, cut in the middle. Every response
 * is good, 500 and 408 too: PAS and its applications use such codes for business errors. A
 * share of 502, 503 and 504 may count, if it is configured. */
#ifndef HEALTHD_OUTLIER_EJECT_H
#define HEALTHD_OUTLIER_EJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

struct conf_eject;

enum {
    EJECT_STEPS = 10, /* the window advances by a tenth of its length */
    EJECT_HEAL = 3,   /* ejections in a row after which a restart is requested */
};

struct eject_counts {
    uint64_t hard, good, gateway; /* gateway: of the good ones, those with 502, 503, 504 */
};

/* {0} is the initial state. */
struct eject {
    struct eject_counts step[EJECT_STEPS]; /* [at % EJECT_STEPS] is the newest */
    uint64_t at;                           /* number of the newest step since boot */
    uint64_t in_row;        /* hard failures since a good one, over all workers */
    uint64_t row_ms;        /* when that run began */
    uint64_t worker_in_row; /* the same for the worker that has the most */
};

/* Adds what was counted since the last call. worker_in_row: the longest run in one worker,
 * because the order of requests is known within a worker but not across workers. */
void eject_feed(struct eject *eject, const struct conf_eject *rules,
                const struct eject_counts *added, uint64_t worker_in_row, uint64_t now_ms);

/* Discards everything that was counted before. */
void eject_clear(struct eject *eject);

/* Sums over the window. */
struct eject_counts eject_window(const struct eject *eject, const struct conf_eject *rules,
                                 uint64_t now_ms);

/* Must it be ejected? If `failures` failed in a row; or half as many, if that has gone on for
 * half of the window, because a SUSPECT backend gets few requests that could fail; or most of
 * the window's requests. Writes the reason to text, such as "5 requests failed in a row". */
bool eject_due(const struct eject *eject, const struct conf_eject *rules, uint64_t now_ms,
               char text[TABLE_REASON]);

/* Is it close to an ejection? Then it is no better replacement than one that is due. */
bool eject_near(const struct eject *eject, const struct conf_eject *rules, uint64_t now_ms);

/* How long the n-th ejection in a row lasts, n > 0; and the number of the next one: the count
 * stops where the longest time is reached. */
uint32_t eject_time_ms(const struct conf_eject *rules, unsigned n);
uint8_t eject_next(const struct conf_eject *rules, uint8_t n);

#endif
