/* conf/report.h - hands over what conf/errors.h collected. Used in base/conf only. */
#ifndef BASE_CONF_REPORT_H
#define BASE_CONF_REPORT_H

struct conf_error_list;
struct conf_errors;
struct conf_source;

/* Moves all messages to errs, sorted, each after "file:line: "; frees the report. */
void conf_report_finish(struct conf_error_list *report, const struct conf_source *text,
                        struct conf_errors *errs);

#endif
