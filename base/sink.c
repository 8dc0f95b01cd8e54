#include "base/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/fd.h"

enum {
    GUARD_MS = 20, /* longest wait in a write that should not block according to poll(2) */
    FIRST_FD = 3,
};

/* ---- the kind */

static bool is_ptmx(const struct stat *st)
{
    return st->st_rdev == makedev(5, 2);
}

static enum sink_kind sink_kind_of(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return SINK_FILE;
    if (S_ISFIFO(st.st_mode))
        return SINK_PIPE;
    if (S_ISSOCK(st.st_mode))
        return SINK_SOCKET;
    return S_ISCHR(st.st_mode) && isatty(fd) ? SINK_TERMINAL : SINK_FILE;
}

void sink_open(struct sink *sink, int fd)
{
    *sink = (struct sink){.fd = fd, .kind = SINK_FILE};
    if (fd < 0)
        return;
    sink->kind = sink_kind_of(fd);
    if (sink->kind == SINK_PIPE || sink->kind == SINK_TERMINAL) {
        int flags = fcntl(fd, F_GETFL);

        sink->shared = flags >= 0 && !(flags & O_NONBLOCK);
    }
}

bool sink_is_same(int a, int b)
{
    struct stat x, y;

    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

/* ---- an open file description of our own */

int sink_reopen(int fd)
{
    enum sink_kind kind = sink_kind_of(fd);
    char name[40];
    struct stat st;
    int fresh, above;

    /* Opening the master side of a terminal again would create another terminal. */
    if ((kind != SINK_PIPE && kind != SINK_TERMINAL) || fstat(fd, &st) != 0 || is_ptmx(&st)) {
        errno = EINVAL;
        return -1;
    }
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    fresh = open(name, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fresh < 0 || fresh >= FIRST_FD)
        return fresh;
    above = fcntl(fresh, F_DUPFD_CLOEXEC, FIRST_FD);
    fd_close(&fresh);
    return above;
}

void sink_adopt_standard(void)
{
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        int fresh = sink_reopen(fd);

        if (fresh >= 0)
            dup2(fresh, fd);
        fd_close(&fresh);
    }
}

/* ---- writing */

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Bytes of the whole lines that fit in PIPE_BUF, but at least one line. */
static size_t whole_lines(const char *p, size_t n)
{
    if (n <= PIPE_BUF)
        return n;
    const char *end = memrchr(p, '\n', PIPE_BUF);
    if (!end)
        end = memchr(p, '\n', n);
    return end ? (size_t)(end + 1 - p) : n;
}

static void ignore_alarm(int sig)
{
    (void)sig; /* a blocked write(2) returns EINTR, or the bytes that it has written */
}

/* A write to a pipe or terminal that other processes write to as well: poll(2) found room, but
 * they may have used it up since. */
static ssize_t guarded_write(int fd, const char *p, size_t n)
{
    static const struct itimerval soon = {{0, GUARD_MS * 1000}, {0, GUARD_MS * 1000}}, off;
    const struct sigaction wake = {.sa_handler = ignore_alarm}; /* no SA_RESTART */
    struct sigaction before;
    sigset_t alarm, mask;
    ssize_t sent;
    int error;

    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigaction(SIGALRM, &wake, &before);
    sigprocmask(SIG_UNBLOCK, &alarm, &mask);
    setitimer(ITIMER_REAL, &soon, NULL); /* repeats: the first may fire before the write */
    sent = write(fd, p, n);
    error = errno == EINTR ? EAGAIN : errno;
    setitimer(ITIMER_REAL, &off, NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGALRM, &before, NULL);
    errno = error;
    return sent;
}

ssize_t sink_write(const struct sink *sink, const char *p, size_t n)
{
    struct pollfd room = {.fd = sink->fd, .events = POLLOUT};
    ssize_t sent;

    if (sink->kind == SINK_PIPE || sink->kind == SINK_SOCKET)
        n = whole_lines(p, n);
    if (sink->shared) {
        if (poll(&room, 1, 0) != 1) {
            errno = EAGAIN;
            return -1;
        }
        return guarded_write(sink->fd, p, min(n, PIPE_BUF));
    }
    do {
        sent = sink->kind == SINK_SOCKET ? send(sink->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT)
                                         : write(sink->fd, p, n);
    } while (sent < 0 && errno == EINTR);
    return sent;
}
