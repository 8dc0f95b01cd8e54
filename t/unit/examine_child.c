/* What the child that checks a configuration sends arrives as it was, whatever is in it; and
 * whatever happens, the supervisor does not wait longer than it wants to. */
#undef _FORTIFY_SOURCE
#include "supervisor/examine_child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "supervisor/errors.h"
#include "t/unit/tap.h"

enum { LIMIT_MS = 300 };

static int interrupt_in; /* that many polls from now; negative: never */

/* As it may be after a signal: an error, and revents as it was. */
int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct timespec ts = {.tv_sec = timeout_ms / 1000,
                          .tv_nsec = (long)(timeout_ms % 1000) * 1000000};

    if (interrupt_in-- == 0) {
        errno = EINTR;
        return -1;
    }
    return ppoll(fds, n, &ts, NULL);
}

static void test_texts(void)
{
    static const char *const texts[] = {"a plain one",        "two\nlines",     "",
                                        ".begins with a dot", "ends with one.", ".",
                                        "three\n\nW.\n.\n"};
    enum { TEXTS = sizeof texts / sizeof *texts };
    struct conf_errors sent = {0}, errs = {0}, warnings = {0};
    int pair[2];

    for (int i = 0; i < TEXTS; i++)
        errors_add(&sent, "%s", texts[i]);
    FILE *out = pipe(pair) == 0 ? fdopen(pair[1], "w") : NULL;
    if (!out)
        exit(done());
    examine_child_send(out, &sent, &sent);
    fclose(out);
    ok(examine_child_receive(pair[0], LIMIT_MS, &errs, &warnings), "complete");
    is_int(errs.n, TEXTS, "all errors");
    is_int(warnings.n, TEXTS, "all warnings");
    for (size_t i = 0; i < errs.n && i < TEXTS; i++)
        is_str(errs.v[i], texts[i], "error %zu", i + 1);
    for (size_t i = 0; i < warnings.n && i < TEXTS; i++)
        is_str(warnings.v[i], texts[i], "warning %zu", i + 1);
    close(pair[0]);
    conf_errors_release(&sent);
    conf_errors_release(&errs);
    conf_errors_release(&warnings);
}

/* What arrives when the child sends so many bytes and ends, or (closes false) hangs. */
static void arrives(const char *bytes, size_t n, bool closes, int error, const char *what)
{
    struct conf_errors errs = {0}, warnings = {0};
    uint64_t start = clock_mono_ms();
    int pair[2];

    if (pipe(pair) < 0 || write(pair[1], bytes, n) != (ssize_t)n)
        exit(done());
    if (closes)
        close(pair[1]);
    bool complete = examine_child_receive(pair[0], LIMIT_MS, &errs, &warnings);
    is_int(complete ? 0 : errno, error, "%s", what);
    ok(complete || errs.n + warnings.n == 0, "no half list");
    ok(clock_mono_ms() - start < 5 * LIMIT_MS, "in time");
    close(pair[0]);
    if (!closes)
        close(pair[1]);
    conf_errors_release(&errs);
    conf_errors_release(&warnings);
}

#define ARRIVES(bytes, ...) arrives(bytes, sizeof bytes - 1, __VA_ARGS__)

static void test_incomplete(void)
{
    ARRIVES("Ea\0Wb\0.\0", true, 0, "complete");
    ARRIVES(".\0", true, 0, "nothing is wrong");
    ARRIVES("", true, EPROTO, "it sent nothing");
    ARRIVES("Ea\0Wb\0", true, EPROTO, "no last record");
    ARRIVES("Ea.\0", true, EPROTO, "a text that looks like the end");
    ARRIVES("Ea\0Wb", true, EPROTO, "half a record");
    ARRIVES("Ea\0.", true, EPROTO, "half the last record");
    ARRIVES("Ea\0Xb\0.\0", true, EPROTO, "an unknown kind");
    ARRIVES("Ea\0.\0Wb\0", true, EPROTO, "more after the end");
    ARRIVES("Ea\0Wb", false, ETIMEDOUT, "it hangs");
    interrupt_in = 1; /* the first one has found something */
    ARRIVES("Ea\0Wb", false, ETIMEDOUT, "a signal while it hangs");
    interrupt_in = 0;
    ARRIVES("Ea\0.\0", true, 0, "a signal before it sends");
}

static void test_too_much(void)
{
    struct conf_errors errs = {0}, warnings = {0};
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

    ok(!examine_child_receive(fd, LIMIT_MS, &errs, &warnings) && errno == EPROTO, "too much");
    close(fd);
}

int main(void)
{
    interrupt_in = -1;
    alarm(20); /* a read without a limit */
    test_texts();
    test_incomplete();
    test_too_much();
    return done();
}
