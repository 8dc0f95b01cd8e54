/*
 * conf/build.h - a configuration while it is being made.
 *
 * Used in base/conf only. Everything but the arena is released when the load is over.
 */
#ifndef BASE_CONF_BUILD_H
#define BASE_CONF_BUILD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf/conf.h"
#include "base/conf/errors.h"
#include "base/conf/source.h"

struct conf_mark;

struct conf_build {
    struct conf *conf; /* in the arena */
    struct conf_arena *arena, *secrets;
    struct conf_source text;
    struct conf_error_list report, warnings;
    struct conf_mark *marks; /* where each field was written */
    size_t n_marks, cap_marks;
    bool early; /* files of certificates may be missing */
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

/* "file:line" of a line, in the arena. */
const char *conf_where(struct conf_build *b, unsigned line);

/* Allowed, but likely not meant. conf_warn_all() looks for all that the file alone shows, in a
 * tree without errors, before its lines go by where they were (conf/warn.c). */
#define conf_warn(b, line, ...) conf_errors_add(&(b)->warnings, line, __VA_ARGS__)
void conf_warn_all(struct conf_build *b);

/* ---- conf/check_acme.c, for conf/check.c */
void conf_check_acme(struct conf_build *b);
/* Of acme or of a certificate; whose: what stands before ".challenges". */
void conf_check_challenges(struct conf_build *b, const char *whose,
                           const char *const *challenges, size_t n);

/* ---- conf/check_certs.c, for conf/check.c */
void conf_check_certs(struct conf_build *b);
/* Makes two of each certificate with two types of key, and joins those for the same names.
 * Only without errors so far. */
void conf_spread_certs(struct conf_build *b);

/* ---- conf/check.c: a name made of a host's: other characters become "-", and those in front
 * go. */
const char *conf_name_from_host(struct conf_build *b, const char *host);

/* ---- conf/check_methods.c, for conf/check.c: fills route->allow */
void conf_check_methods(struct conf_build *b, struct conf_route *route);

#endif
