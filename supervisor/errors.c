#include "supervisor/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

void errors_add(struct conf_errors *errs, const char *fmt, ...)
{
    va_list ap;
    char *line = NULL;

    va_start(ap, fmt);
    int n = vasprintf(&line, fmt, ap);
    va_end(ap);
    char **v = realloc(errs->v, (errs->n + 1) * sizeof *v);
    CHECK(n >= 0 && v); /* a few bytes, at start or reload: the host is beyond help */
    v[errs->n++] = line;
    errs->v = v;
}
