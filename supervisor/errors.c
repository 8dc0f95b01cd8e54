#include "supervisor/errors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

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

const char *errors_lack(int error, char out[ERRORS_LACK])
{
    struct rlimit limit = {.rlim_cur = 0};

    if (error == EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0)
        snprintf(
            out, ERRORS_LACK,
            "too few descriptors: the limit is %llu; pasgate needs some 128, and more for "
            "each connection; raise it (ulimit -n, LimitNOFILE of systemd, --ulimit nofile "
            "of Docker)",
            (unsigned long long)limit.rlim_cur);
    else if (error == ENOMEM)
        snprintf(out, ERRORS_LACK,
                 "out of memory: the host has none left, or a limit is too low (ulimit -v and "
                 "-d, LimitAS and LimitDATA of systemd)");
    else if (error == EAGAIN)
        snprintf(out, ERRORS_LACK,
                 "too many processes: raise the limit (ulimit -u, TasksMax and LimitNPROC of "
                 "systemd, --pids-limit of Docker)");
    else
        snprintf(out, ERRORS_LACK, "%s", strerror(error));
    return out;
}

void errors_log_warnings(struct conf_errors *warnings)
{
    for (size_t i = 0; i < warnings->n; i++)
        log_warn("configuration: %s", warnings->v[i]);
    conf_errors_release(warnings);
}
