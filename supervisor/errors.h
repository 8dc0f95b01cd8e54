/* Adds a line to a list of configuration errors; supervisor only. */
#ifndef SUPERVISOR_ERRORS_H
#define SUPERVISOR_ERRORS_H

#include "base/conf/conf.h"

/* The line is copied. conf_errors_release() frees it. */
void errors_add(struct conf_errors *errs, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A thousand certificates can be wrong in the same way: so many lines are told, and how many
 * more there are. */
enum { ERRORS_TOLD = 100 };
void errors_limit(struct conf_errors *errs, const char *file, const char *what);

/* Each of them, in the log; then they are released. */
void errors_log_warnings(struct conf_errors *warnings);

#endif
