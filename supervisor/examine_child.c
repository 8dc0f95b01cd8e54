#include "supervisor/examine_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "supervisor/errors.h"

/* ---- the child */

static void send_list(FILE *out, char kind, const struct conf_errors *list)
{
    for (size_t i = 0; i < list->n; i++)
        fprintf(out, "%c%s%c", kind, list->v[i], '\0');
}

void examine_child_send(FILE *out, const struct conf_errors *errs,
                        const struct conf_errors *warnings)
{
    send_list(out, 'E', errs);
    send_list(out, 'W', warnings);
    fprintf(out, ".%c", '\0');
    fflush(out);
}

_Noreturn static void child_main(const struct conf *conf, enum examine_for what, int fd)
{
    struct conf_errors errs = {0}, warnings = {0};
    FILE *out = fdopen(fd, "w");

    examine(conf, what, &errs, &warnings);
    if (out)
        examine_child_send(out, &errs, &warnings);
    _exit(0);
}

/* ---- the supervisor */

/* Waits until there is something to read or the other side has closed. 0 or -1 with errno. */
static int wait_readable(int fd, uint64_t end_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    for (uint64_t now; (now = clock_mono_ms()) < end_ms;) {
        int n = poll(&poll_fd, 1, (int)(end_ms - now));

        /* Only then revents is what poll() found: after EINTR it may be an earlier result, and
         * the read would wait without a limit. */
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -1;
    }
    errno = ETIMEDOUT;
    return -1;
}

/* Reads everything up to end-of-file; -1 with errno. */
static ssize_t receive_all(int fd, unsigned limit_ms, char *to, size_t cap)
{
    uint64_t end_ms = clock_mono_ms() + limit_ms;
    size_t n = 0;
    ssize_t got;

    do {
        if (n == cap) {
            errno = EPROTO;
            return -1;
        }
        if (wait_readable(fd, end_ms) < 0)
            return -1;
        got = read(fd, to + n, cap - n);
        if (got < 0 && errno != EINTR)
            return -1;
        n += got > 0 ? (size_t)got : 0;
    } while (got != 0);
    return (ssize_t)n;
}

/* Are these records and a last one "."? */
static bool is_complete(const char *text, size_t n)
{
    const char *end = text + n;

    if (n == 0 || end[-1] != '\0')
        return false;
    for (; *text == 'E' || *text == 'W'; text += strlen(text) + 1)
        if (text + strlen(text) + 1 == end)
            return false;
    return strcmp(text, ".") == 0 && text + 2 == end;
}

bool examine_child_receive(int fd, unsigned limit_ms, struct conf_errors *errs,
                           struct conf_errors *warnings)
{
    char *text = malloc(EXAMINE_CHILD_OUTPUT_MAX);
    ssize_t n = text ? receive_all(fd, limit_ms, text, EXAMINE_CHILD_OUTPUT_MAX) : -1;
    int error = n < 0 ? errno : 0;

    if (error == 0 && !is_complete(text, (size_t)n))
        error = EPROTO;
    for (const char *at = text; error == 0 && *at != '.'; at += strlen(at) + 1)
        errors_add(*at == 'E' ? errs : warnings, "%s", at + 1);
    free(text);
    errno = error;
    return error == 0;
}

void examine_child_run(const struct conf *conf, enum examine_for what, struct conf_errors *errs,
                       struct conf_errors *warnings)
{
    int error, pair[2] = {-1, -1};
    pid_t pid = pipe2(pair, O_CLOEXEC) == 0 ? fork() : -1;
    bool complete = false;

    if (pid == 0)
        child_main(conf, what, pair[1]);
    error = errno;
    fd_close(&pair[1]);
    if (pid > 0) {
        complete = examine_child_receive(pair[0], EXAMINE_CHILD_LIMIT_MS, errs, warnings);
        error = errno;
        if (!complete)
            kill(pid, SIGKILL);
        /* A child that hangs in the kernel ends when it can, and processes_reap() reaps it. */
        while (waitpid(pid, NULL, complete ? 0 : WNOHANG) < 0 && errno == EINTR)
            ;
    }
    fd_close(&pair[0]);
    if (!complete)
        errors_add(warnings, "%s: certificates and programs could not be checked: %s",
                   conf->file,
                   error == ETIMEDOUT ? "it took too long"
                   : error == EPROTO  ? "the process that checks them ended early"
                                      : strerror(error));
}
