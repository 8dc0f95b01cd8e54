#include "supervisor/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

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

void errors_limit(struct conf_errors *errs, const char *file, const char *what)
{
    size_t more = errs->n > ERRORS_TOLD ? errs->n - ERRORS_TOLD : 0;

    if (more == 0)
        return;
    for (size_t i = ERRORS_TOLD; i < errs->n; i++)
        free(errs->v[i]);
    errs->n = ERRORS_TOLD;
    errors_add(errs, "%s: %zu more %s; fix these first", file, more, what);
}

void errors_log_warnings(struct conf_errors *warnings)
{
    for (size_t i = 0; i < warnings->n; i++)
        log_warn("configuration: %s", warnings->v[i]);
    conf_errors_release(warnings);
}
