/*
 * conf_build.h - a configuration while it is being made.
 *
 * Used by base/conf_*.c only. Everything but the arena is released when the load is over.
 */
#ifndef BASE_CONF_BUILD_H
#define BASE_CONF_BUILD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "base/conf_report.h"
#include "base/conf_text.h"

struct conf_mark;

struct conf_build {
    struct conf *conf; /* in the arena */
    struct conf_arena *arena;
    struct conf_text text;
    struct conf_report report;
    struct conf_mark *marks; /* where each field was written */
    size_t n_marks, cap_marks;
};

/* Reads the text into the tree by the table: syntax, names, types, ranges, defaults. What is
 * wrong goes to the report. False: the syntax is such that there is no tree. */
bool conf_read(struct conf_build *b);

/* The line where a field or a list's record begins; 0 when it was not written. */
unsigned conf_line_of_field(const struct conf_build *b, const void *field);
unsigned conf_line_of_record(const struct conf_build *b, const void *record);

/* Checks what no single setting shows, fills what follows from others, and puts pools,
 * backends and routes into their final order. What is wrong goes to the report. */
void conf_check(struct conf_build *b);

/* ---- conf_check_acme.c, for conf_check.c */
void conf_check_acme(struct conf_build *b);
/* Of acme or of a certificate; whose: what stands before ".challenges". */
void conf_check_challenges(struct conf_build *b, const char *whose,
                           const char *const *challenges, size_t n);

#endif
