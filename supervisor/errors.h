/* Lists of configuration errors. Supervisor only. */
#ifndef SUPERVISOR_ERRORS_H
#define SUPERVISOR_ERRORS_H

#include "base/conf/conf.h"

/* Adds a line, which is copied. conf_errors_release() frees it. */
void errors_add(struct conf_errors *errs, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Keeps the first ERRORS_TOLD lines and adds one that says how many more there are: a thousand
 * certificates can be wrong in the same way. */
enum { ERRORS_TOLD = 100 };
void errors_limit(struct conf_errors *errs, const char *file, const char *what);

/* What the host lacks, by errno, and which limit to raise; for anything else, what errno says.
 */
enum { ERRORS_LACK = 256 };
const char *errors_lack(int error, char out[ERRORS_LACK]);

/* Logs each of them, then releases them. */
void errors_log_warnings(struct conf_errors *warnings);

#endif
