/* Detects a wrong local clock, as far as possible: by the time that a CA reported; by the dates
 * of the live certificate, which cannot have been signed in the future; and by the date before
 * which this program cannot have been built. Pure but for clock_heard*(). acmed only. */
#ifndef ACMED_ORDER_CLOCK_NOTE_H
#define ACMED_ORDER_CLOCK_NOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

/* The time that a CA reported last, kept relative to a local clock that is not affected by
 * setting the time. So a correction of the wall clock here is noticed. */
struct clock_heard {
    bool known;
    int64_t base_ms; /* the CA's clock minus CLOCK_BOOTTIME */
};

/* off_ms: the CA's clock minus ours; 0: not reported. */
void clock_hear(struct clock_heard *heard, int64_t off_ms);
/* The CA's clock minus ours, now; 0: unknown. */
int64_t clock_heard_off(const struct clock_heard *heard);

struct clock_facts {
    uint64_t now_wall_ms;
    int64_t off_ms;              /* the CA's clock minus ours; 0: unknown */
    uint64_t not_before_wall_ms; /* of the live certificate; 0: none */
    bool files; /* the live certificate is the operator's, and may be intended for later */
};

/* "", or what is wrong and what to do about it. Returns out. */
char *clock_note(char out[TABLE_NOTE], const struct clock_facts *facts);

/* What a row shows of an error that begins with how wrong the clock was then (problem_text.h,
 * issue_held_by_clock()): without that beginning, if the note says something else by now. The
 * result points into error. */
const char *clock_note_rest(const char *error, const char *note);

#endif
