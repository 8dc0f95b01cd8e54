/*
 * conf_report.h - collects what is wrong with a file, in the order of its lines.
 *
 * Used by base/conf_*.c only. A line here is a line of the spliced text (conf_text.h), which is
 * turned into file and line when the report is handed over.
 */
#ifndef BASE_CONF_REPORT_H
#define BASE_CONF_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"

struct conf_text;

struct conf_report {
    struct conf_report_entry *v;
    size_t n, cap;
    bool bad; /* something was added, even if there was no memory to keep it */
};

/* "what, and what would be right". Line 0: the file as a whole. */
__attribute__((format(printf, 3, 4))) void conf_report_add(struct conf_report *report,
                                                           unsigned line, const char *fmt, ...);

/* Moves everything to errs, sorted, each with "file:line: " before it; frees the report. */
void conf_report_finish(struct conf_report *report, const struct conf_text *text,
                        struct conf_errors *errs);

#endif
