/*
 * conf/errors.h - collects the errors of a file, in the order of its lines.
 *
 * Used in base/conf only. A line here is a line of the spliced text (conf/source.h);
 * conf_report_finish() translates it into file and line.
 */
#ifndef BASE_CONF_ERRORS_H
#define BASE_CONF_ERRORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_report_entry {
    unsigned line;
    size_t order;  /* keeps the sort stable */
    uint64_t kind; /* hash of the text without its values */
    size_t more;   /* in the last kept entry of a kind: how many more were dropped */
    char *text;
};

struct conf_error_list {
    struct conf_report_entry *v;
    size_t n, cap;
    size_t more; /* errors beyond CONF_REPORT_MAX */
    bool bad;    /* an error was added, even if there was no memory to keep it */
    bool host;   /* one of them is the host's, not the file's (conf_errors_lack()) */
};

/* Adds "what, and what would be right". Line 0: the file as a whole. Control characters of a
 * value are escaped, because they could hide the text before them on a terminal. Of
 * messages that differ only in quoted values and numbers, the first CONF_REPORT_ALIKE are kept,
 * and the number of the others; of all messages, CONF_REPORT_MAX. */
enum { CONF_REPORT_ALIKE = 20, CONF_REPORT_MAX = 200 };
__attribute__((format(printf, 3, 4))) void conf_errors_add(struct conf_error_list *report,
                                                           unsigned line, const char *fmt, ...);

/* Is this errno a lack of the host (memory, descriptors) that no change of a file mends? */
bool conf_errors_is_lack(int error);

/* Adds "out of memory": the fault is the host's. */
void conf_errors_no_memory(struct conf_error_list *report);

#endif
