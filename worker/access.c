/* The batch of lines and where it goes. */
#include "worker/access.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"

enum {
    SYSLOG_PRIORITY = 3 * 8 + 6, /* daemon, info */
    SYSLOG_LINE_MAX = 8 * 1024,  /* journald and rsyslog take that much by default */
};

enum sink {
    SINK_FILE,     /* never says "not now" */
    SINK_PIPE,     /* whole lines, so that those of other workers do not get between */
    SINK_STREAM,   /* a socket: journald as stdout */
    SINK_DATAGRAM, /* a line each: syslog */
};

struct access_log {
    const struct conf_log *conf;
    int fd;
    uint32_t slot;
    enum sink sink;
    bool own;          /* fd is ours to close */
    bool stuck;        /* the last write did not take all: leave it until the next is due */
    bool torn;         /* and ended in mid-line */
    uint64_t since_ms; /* the batch is at least so old; 0: not looked at yet */
    uint64_t dropped, told;
    size_t n;
    char batch[ACCESS_BATCH];
};

static struct log_gate trouble;

/* ---- where to */

static int syslog_connect(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        fd_close(&fd);
    return fd;
}

/* A pipe may be standard output and shared with others who count on blocking writes: the same
 * pipe is opened once more, for us alone. Where that is not allowed, poll(2) goes first. */
static void pipe_reopen(struct access_log *log)
{
    char name[40];
    int fd;

    snprintf(name, sizeof name, "/proc/self/fd/%d", log->fd);
    if ((fd = open(name, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0)
        return;
    if (log->own)
        close(log->fd);
    log->fd = fd;
    log->own = true;
}

static void sink_open(struct access_log *log, int fd)
{
    struct stat st;

    if (fd < 0 && log->conf->access == CONF_ACCESS_SYSLOG)
        fd = syslog_connect();
    log->fd = fd;
    log->own = fd > STDERR_FILENO;
    log->sink = log->conf->access == CONF_ACCESS_SYSLOG ? SINK_DATAGRAM : SINK_FILE;
    if (fd < 0 || log->sink == SINK_DATAGRAM || fstat(fd, &st) != 0)
        return;
    if (S_ISSOCK(st.st_mode)) {
        log->sink = SINK_STREAM;
    } else if (S_ISFIFO(st.st_mode)) {
        log->sink = SINK_PIPE;
        pipe_reopen(log);
    }
}

static void sink_close(struct access_log *log)
{
    if (log->own)
        fd_close(&log->fd);
    log->fd = -1;
    log->own = false;
}

/* ---- writing */

/* How many bytes of whole lines fit PIPE_BUF, at least one line. */
static size_t pipe_piece(const char *p, size_t n)
{
    CHECK(p);
    if (n <= PIPE_BUF)
        return n;
    const char *end = memrchr(p, '\n', PIPE_BUF);
    if (!end)
        end = memchr(p, '\n', n);
    return end ? (size_t)(end + 1 - p) : n;
}

static ssize_t datagram(struct access_log *log, const char *line, size_t n)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = time(NULL);
    char head[80];
    struct tm tm;

    if (!localtime_r(&now, &tm))
        tm = (struct tm){.tm_mday = 1};
    int len = snprintf(head, sizeof head,
                       "<%d>%.3s %2d %02d:%02d:%02d pasgate[%d]: ", SYSLOG_PRIORITY,
                       months + 3 * (tm.tm_mon % 12), tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec, (int)getpid());
    size_t shown = n - 1 < SYSLOG_LINE_MAX ? n - 1 : SYSLOG_LINE_MAX; /* without '\n' */
    struct iovec iov[] = {{head, (size_t)len}, {(void *)(uintptr_t)line, shown}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};

    if (sendmsg(log->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return (ssize_t)n;
    if (errno == ECONNREFUSED || errno == ENOTCONN || errno == EPIPE) { /* syslogd restarted */
        int fresh = syslog_connect();

        if (fresh >= 0) {
            sink_close(log);
            log->fd = fresh;
            log->own = true;
        }
        errno = EAGAIN;
    } else if (errno == EMSGSIZE) {
        log->dropped++;
        return (ssize_t)n;
    }
    return -1;
}

/* One call; as write(2). */
static ssize_t sink_write(struct access_log *log, const char *p, size_t n)
{
    struct pollfd ready = {.fd = log->fd, .events = POLLOUT};

    switch (log->sink) {
    case SINK_DATAGRAM:
        return datagram(log, p, (size_t)((const char *)memchr(p, '\n', n) + 1 - p));
    case SINK_STREAM:
        return send(log->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    case SINK_PIPE:
        if (poll(&ready, 1, 0) != 1) {
            errno = EAGAIN;
            return -1;
        }
        return write(log->fd, p, pipe_piece(p, n));
    default:
        return write(log->fd, p, n);
    }
}

static uint64_t lines(const char *p, size_t n)
{
    uint64_t count = 0;

    for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        count++;
    return count;
}

/* Gives the first n bytes of the batch up. */
static void batch_drop(struct access_log *log, size_t n)
{
    log->dropped += lines(log->batch, n);
    memmove(log->batch, log->batch + n, log->n - n);
    log->n -= n;
}

void access_flush(struct access_log *log)
{
    size_t at = 0;

    if (!log || log->n == 0)
        return;
    if (log->fd < 0 && log->conf->access == CONF_ACCESS_SYSLOG)
        sink_open(log, -1);
    if (log->fd < 0) {
        batch_drop(log, log->n);
        return;
    }
    while (at < log->n) {
        ssize_t n = sink_write(log, log->batch + at, log->n - at);

        if (n > 0)
            at += (size_t)n;
        else if (n == 0 || errno != EINTR)
            break;
    }
    log->stuck = at < log->n;
    if (log->stuck) {
        int error = errno;

        log->torn = at ? log->batch[at - 1] != '\n' : log->torn;
        if (log_gate_open(&trouble))
            log_warn("access log: %s; %llu lines dropped so far", strerror(error),
                     (unsigned long long)log->dropped);
        memmove(log->batch, log->batch + at, log->n - at);
        log->n -= at;
        if (error == EPIPE || error == EBADF)
            batch_drop(log, log->n);
    } else {
        log->torn = false;
        log->n = 0;
    }
    log->since_ms = 0;
}

/* ---- life and lines */

struct access_log *access_new(const struct conf_log *conf, int fd, uint32_t slot)
{
    struct access_log *log = malloc(sizeof *log);

    if (!log)
        return NULL;
    memset(log, 0, offsetof(struct access_log, batch));
    log->conf = conf;
    log->slot = slot;
    sink_open(log, fd);
    return log;
}

void access_free(struct access_log *log)
{
    if (!log)
        return;
    access_flush(log);
    sink_close(log);
    free(log);
}

/* Says how many lines are missing, where the format has a place for it. */
static void tell_dropped(struct access_log *log)
{
    char when[CLOCK_ISO_SIZE];

    if (log->conf->access_format == CONF_ACCESS_JSON)
        log->n += (size_t)snprintf(log->batch + log->n, sizeof log->batch - log->n,
                                   "{\"time\":\"%s\",\"worker\":%u,\"dropped\":%llu}\n",
                                   clock_iso(when, clock_wall_ms()), log->slot,
                                   (unsigned long long)(log->dropped - log->told));
    log->told = log->dropped;
}

void access_write(struct access_log *log, const struct access_record *record)
{
    enum { TELL = 128 }; /* bytes of the line of tell_dropped() */

    if (!log)
        return;
    if (sizeof log->batch - log->n < ACCESS_LINE_MAX + TELL && !log->stuck)
        access_flush(log);
    if (sizeof log->batch - log->n < ACCESS_LINE_MAX + TELL) {
        log->dropped++;
        return;
    }
    if (log->dropped != log->told)
        tell_dropped(log);
    log->n += access_format(log->batch + log->n, sizeof log->batch - log->n,
                            log->conf->access_format, log->slot, record);
}

void access_flush_due(struct access_log *log, uint64_t now_ms)
{
    if (!log || log->n == 0)
        return;
    if (log->since_ms == 0)
        log->since_ms = now_ms;
    else if (now_ms - log->since_ms >= ACCESS_FLUSH_MS)
        access_flush(log);
}

void access_reopen(struct access_log *log, int fd)
{
    if (!log)
        return;
    access_flush(log);
    if (log->torn && log->n) { /* its first half is in the old file */
        const char *end = memchr(log->batch, '\n', log->n);

        batch_drop(log, end ? (size_t)(end + 1 - log->batch) : log->n);
    }
    log->torn = log->stuck = false;
    sink_close(log);
    sink_open(log, fd);
}

uint64_t access_dropped(const struct access_log *log)
{
    return log ? log->dropped : 0;
}
