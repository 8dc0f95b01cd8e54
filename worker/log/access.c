/* The batch of lines, and where it is written. */
#include "worker/log/access.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sink.h"

enum {
    SYSLOG_PRIORITY = 3 * 8 + 6, /* daemon, info */
    SYSLOG_LINE_MAX = 8 * 1024,  /* accepted by journald and rsyslog by default */
};

struct access_log {
    const struct conf_log *conf;
    struct sink sink; /* for syslog only its socket, with a datagram for each line */
    uint32_t slot;
    bool own;   /* we must close the sink's fd */
    bool stuck; /* the last write did not take everything: wait until the next one is due */
    bool torn;  /* what was written ends in the middle of a line; the batch begins with its rest
                 */
    bool half;  /* the same, but the rest was dropped: a newline is due before the next line */
    uint64_t since_ms; /* time of the first check of this batch; 0: not checked yet */
    uint64_t dropped, told;
    uint64_t in_log; /* number of these that the event log has reported */
    size_t n;
    char batch[ACCESS_BATCH];
};

static struct log_gate trouble;

/* ---- where it is written */

static int syslog_connect(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        fd_close(&fd);
    return fd;
}

static void target_open(struct access_log *log, int fd)
{
    int fresh;

    if (fd < 0 && log->conf->access == CONF_ACCESS_SYSLOG)
        fd = syslog_connect();
    log->own = fd > STDERR_FILENO;
    if (log->conf->access != CONF_ACCESS_SYSLOG && (fresh = sink_reopen(fd)) >= 0) {
        if (log->own)
            close(fd);
        fd = fresh;
        log->own = true;
    }
    sink_open(&log->sink, fd);
}

static void target_close(struct access_log *log)
{
    if (log->own)
        fd_close(&log->sink.fd);
    log->sink.fd = -1;
    log->own = false;
}

/* ---- writing */

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

    if (sendmsg(log->sink.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return (ssize_t)n;
    if (errno == ECONNREFUSED || errno == ENOTCONN || errno == EPIPE) { /* syslogd restarted */
        int fresh = syslog_connect();

        if (fresh >= 0) {
            target_close(log);
            log->sink.fd = fresh;
            log->own = true;
        }
        errno = EAGAIN;
    } else if (errno == EMSGSIZE) {
        log->dropped++;
        return (ssize_t)n;
    }
    return -1;
}

/* One call; like write(2), but it never waits. */
static ssize_t target_write(struct access_log *log, const char *p, size_t n)
{
    if (log->conf->access == CONF_ACCESS_SYSLOG)
        return datagram(log, p, (size_t)((const char *)memchr(p, '\n', n) + 1 - p));
    return sink_write(&log->sink, p, n);
}

static uint64_t lines(const char *p, size_t n)
{
    uint64_t count = 0;

    for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        count++;
    return count;
}

/* Drops the first n bytes of the batch. A newline in front only ends a half line, which was
 * either dropped before or lacks nothing else. */
static void batch_drop(struct access_log *log, size_t n)
{
    log->dropped += lines(log->batch, n) - (n && log->batch[0] == '\n');
    memmove(log->batch, log->batch + n, log->n - n);
    log->n -= n;
}

/* A reader may be gone for long: rate-limited, not one line per try. */
static void access_tell_trouble(const struct access_log *log, int error)
{
    char lost[48] = "";

    if (log->dropped)
        snprintf(lost, sizeof lost, "; lines lost so far: %llu",
                 (unsigned long long)log->dropped);
    if (log_gate_open(&trouble))
        log_warn("access log: %s%s", strerror(error), lost);
}

static void tell_recovery(struct access_log *log)
{
    if (log->dropped == log->in_log)
        return;
    log_warn("access log: written again; lines lost: %llu",
             (unsigned long long)(log->dropped - log->in_log));
    log->in_log = log->dropped;
}

void access_flush(struct access_log *log)
{
    size_t at = 0;

    if (!log || log->n == 0)
        return;
    if (log->sink.fd < 0 && log->conf->access == CONF_ACCESS_SYSLOG)
        target_open(log, -1);
    if (log->sink.fd < 0) {
        batch_drop(log, log->n);
        return;
    }
    while (at < log->n) {
        ssize_t n = target_write(log, log->batch + at, log->n - at);

        if (n > 0) {
            at += (size_t)n;
        } else if (n < 0 && errno == EMSGSIZE) { /* this line never fits in a datagram */
            log->dropped++;
            at = (size_t)((const char *)memchr(log->batch + at, '\n', log->n - at) + 1 -
                          log->batch);
        } else if (n == 0 || errno != EINTR) {
            break;
        }
    }
    log->stuck = at < log->n;
    if (log->stuck) {
        int error = errno;

        log->torn = at ? log->batch[at - 1] != '\n' : log->torn;
        access_tell_trouble(log, error);
        memmove(log->batch, log->batch + at, log->n - at);
        log->n -= at;
        if (error == EPIPE || error == EBADF || error == EIO) {
            batch_drop(log, log->n);
            log->half = log->torn;
            log->torn = false;
        }
    } else {
        log->torn = false;
        log->n = 0;
        tell_recovery(log);
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
    target_open(log, fd);
    return log;
}

void access_free(struct access_log *log)
{
    if (!log)
        return;
    access_flush(log);
    target_close(log);
    free(log);
}

/* Writes how many lines are missing, if the format allows it. */
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

/* So that the next line is not read as part of a line whose rest was lost. */
static void end_half_line(struct access_log *log)
{
    log->batch[log->n++] = '\n';
    log->half = false;
    log->torn = true;
}

void access_write(struct access_log *log, const struct access_record *record)
{
    enum { TELL = 128 }; /* bytes for the line of tell_dropped() and end_half_line() */

    if (!log)
        return;
    if (sizeof log->batch - log->n < ACCESS_LINE_MAX + TELL && !log->stuck)
        access_flush(log);
    if (sizeof log->batch - log->n < ACCESS_LINE_MAX + TELL) {
        log->dropped++;
        return;
    }
    if (log->half)
        end_half_line(log);
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
    bool same = log->sink.fd >= 0 && sink_is_same(log->sink.fd, fd);

    if (log->torn && log->n && !same) { /* its beginning is in the old file */
        const char *end = memchr(log->batch, '\n', log->n);

        batch_drop(log, end ? (size_t)(end + 1 - log->batch) : log->n);
    }
    log->torn &= same;
    log->half &= same;
    log->stuck = false;
    target_close(log);
    target_open(log, fd);
}

uint64_t access_dropped(const struct access_log *log)
{
    return log ? log->dropped : 0;
}
