/*
 * How bytes of others are shown: the one place that decides what may stand for itself in a line
 * of a log, on a terminal, in JSON, on a page or in a metric.
 *
 * Well-formed UTF-8 does. Controls of both sets (C0, DEL, C1: terminals obey them), bytes that
 * are not UTF-8, and characters that turn the direction of a text or break its line do not: of
 * these each byte is shown as \xab, or as \u00ab where JSON has a form of its own.
 *
 * Any process; pure but for escape_print(); no allocation.
 */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include <stddef.h>
#include <stdio.h>

#include "base/str.h"

enum escape_mode {
    ESCAPE_LINE,   /* a line for people; quotes and backslashes stay, a newline is \n */
    ESCAPE_ASCII,  /* the same without any other byte than ASCII: columns of a table */
    ESCAPE_QUOTED, /* between the quotes of a line */
    ESCAPE_JSON,   /* between the quotes of a JSON string */
    ESCAPE_LABEL,  /* between the quotes of a label of Prometheus */
    ESCAPE_HTML,   /* text of an element, or between the quotes of an attribute */
};

enum { ESCAPE_UNIT = 6 }; /* bytes of the longest form of one unit: \u00ab */

/* Writes the form of the first unit of [*p, end), which is not empty: a character, or one byte
 * that is none. Moves *p behind it and returns the length of the form. */
size_t escape_unit(char out[ESCAPE_UNIT], const char **p, const char *end,
                   enum escape_mode mode);

/* Writes as many whole units as fit, and a NUL (cap > 0). Returns the bytes before that. */
size_t escape_text(char *out, size_t cap, struct str text, enum escape_mode mode);

/* printf() for the command line: one line, in which nothing that came by an argument can move
 * the cursor or begin a line. The newline at the very end stays. Cut at 4 KiB. */
void escape_print(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
