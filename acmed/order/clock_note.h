/* What is wrong with the clock here, as far as can be told: by what a CA said of the time, by
 * the dates of the certificate that is live, which nobody signed in the future, and by this
 * program, which was not written before. Pure but for clock_heard*(). acmed only. */
#ifndef ACMED_ORDER_CLOCK_NOTE_H
#define ACMED_ORDER_CLOCK_NOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/table.h"

/* What was last heard of a CA. Where its clock stands is known from then on, because one of
 * ours goes on whatever is set: so it is noticed when the clock here is set right. */
struct clock_heard {
    bool known;
    int64_t base_ms; /* the CA's clock less that one */
};

/* off_ms: the CA's clock less ours; 0: it did not say. */
void clock_hear(struct clock_heard *heard, int64_t off_ms);
/* The CA's clock less ours, now; 0: not known. */
int64_t clock_heard_off(const struct clock_heard *heard);

struct clock_facts {
    uint64_t now_wall_ms;
    int64_t off_ms;              /* the CA's clock less ours; 0: not known */
    uint64_t not_before_wall_ms; /* of the live certificate; 0: there is none */
    bool files;                  /* that one is the operator's, and may be meant for later */
};

/* "", or what is wrong and what is to be done. Returns out. */
char *clock_note(char out[TABLE_NOTE], const struct clock_facts *facts);

#endif
