/*
 * How untrusted bytes are shown: the only place that decides which bytes are written as they
 * are in a log line, on a terminal, in JSON, on a page or in a metric.
 *
 * Well-formed UTF-8 is written as it is. Control characters of both sets (C0, DEL, C1:
 * terminals obey them), bytes that are not UTF-8, and characters that change the direction of a
 * text or break a line are escaped: each of their bytes is shown as \xab, or as \u00ab where
 * JSON has a form of its own.
 *
 * Any process; pure except for escape_print(); no allocation.
 */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include <stddef.h>
#include <stdio.h>

#include "base/str.h"

enum escape_mode {
    ESCAPE_LINE,   /* a line for people; quotes and backslashes stay, a newline becomes \n */
    ESCAPE_ASCII,  /* the same in ASCII only: for columns of a table */
    ESCAPE_QUOTED, /* inside the quotes of a line */
    ESCAPE_JSON,   /* inside the quotes of a JSON string */
    ESCAPE_LABEL,  /* inside the quotes of a Prometheus label */
    ESCAPE_HTML,   /* text of an element, or inside the quotes of an attribute */
};

enum { ESCAPE_UNIT = 6 }; /* bytes of the longest escaped unit: \u00ab */

/* Writes the escaped form of the first unit of [*p, end), which must not be empty. A unit is
 * one character, or one byte that is not part of one. Moves *p past it; returns the form's
 * length.
 */
size_t escape_unit(char out[ESCAPE_UNIT], const char **p, const char *end,
                   enum escape_mode mode);

/* Writes as many whole units as fit, and a NUL (cap > 0). Returns the bytes before the NUL. */
size_t escape_text(char *out, size_t cap, struct str text, enum escape_mode mode);

/* printf() for the command line: prints one line, in which no argument can move the cursor or
 * start a new line. A newline at the very end is kept. Cut at 4 KiB. */
void escape_print(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
