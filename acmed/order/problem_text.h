/* A problem in plain words, with what to change where that is known. Pure; acmed only. */
#ifndef ACMED_ORDER_PROBLEM_TEXT_H
#define ACMED_ORDER_PROBLEM_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "acmed/order/job.h"

enum { PROBLEM_TEXT_SIZE = 1024 }; /* enough for all of a problem; a row keeps its beginning */

/* A CA that does not tell the identifier apart may still mention it: takes the first of these
 * names that its words hold, so that ours, which come first, name it too. */
void problem_text_find_name(struct job_problem *problem, const char *const *names, size_t n);

/* What is wrong first, then what the CA says itself. clock_off_ms: the CA's clock less ours;
 * told when it is large. Returns out. */
char *problem_text_for(const struct job_problem *problem, int64_t clock_off_ms, char *out,
                       size_t cap);

#endif
