/* Describes a problem in plain words, with what to change where that is known. Pure; acmed
 * only. */
#ifndef ACMED_ORDER_PROBLEM_TEXT_H
#define ACMED_ORDER_PROBLEM_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "acmed/order/fallback.h"
#include "acmed/order/job.h"

enum { PROBLEM_TEXT_SIZE = 1024 }; /* enough for all of a problem; a row keeps its beginning */

/* If the CA does not name the identifier in its own field, its text may still mention it: sets
 * problem->name to the first of these names that the text contains. The names are in the order
 * of the configuration. */
void problem_text_find_name(struct job_problem *problem, const char *const *names, size_t n);

/* The problem first, then the CA's own text. clock_off_ms: the CA's clock minus ours; mentioned
 * when large. Returns out. */
char *problem_text_for(const struct job_problem *problem, int64_t clock_off_ms, char *out,
                       size_t cap);

/* Says in the text which CA it is about, unless it is the first: the second CA has settings of
 * its own, so acme.eab becomes acme.fallback.eab. */
void problem_text_of_ca(enum fallback_ca ca, char *text, size_t cap);

#endif
