/* Adds a line to a list of configuration errors; supervisor only. */
#ifndef SUPERVISOR_ERRORS_H
#define SUPERVISOR_ERRORS_H

#include "base/conf.h"

/* The line is copied. conf_errors_release() frees it. */
void errors_add(struct conf_errors *errs, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
