#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/escape.h"
#include "base/sink.h"
#include "base/str.h"

enum {
    LOG_TEXT_MAX = 2048,     /* bytes of one message before escaping */
    LOG_LINE_MAX = PIPE_BUF, /* bytes of a line: a pipe takes it whole or not at all */
    LOG_FRAME = 192,         /* of these, for time, level, process and pid */
    LOG_GATE_MS = 10000,
    LOG_RETRY_MS = 200, /* between two attempts to write held lines */
};

static enum log_level log_level = LOG_LEVEL_INFO;
static enum log_format log_format = LOG_FORMAT_TEXT;
static char log_process[32] = "pasgate";

/* The destination, and the lines that it has not accepted yet: whole lines, except that the
 * first one may have been written in part. */
static struct {
    struct sink sink;
    pid_t pid; /* owner of the held lines: a child starts with none */
    bool torn; /* what was written ends in the middle of a line; its rest is held, or lost */
    size_t n;
    uint64_t retry_ms;
    uint64_t lost, told, counted;
    char held[LOG_HELD];
} journal = {.sink = {.fd = STDERR_FILENO}};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_init(enum log_level level, enum log_format format, const char *process)
{
    log_level = level;
    log_format = format;
    snprintf(log_process, sizeof log_process, "%s", process);
}

static uint64_t count_lines(const char *p, size_t n)
{
    uint64_t count = 0;

    for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        count++;
    return count;
}

/* A newline in front only ends a half line, which was counted before. */
static void drop_held(void)
{
    journal.lost += count_lines(journal.held, journal.n);
    journal.lost -= journal.n && journal.held[0] == '\n';
    journal.n = 0;
}

void log_to_fd(int fd)
{
    if (journal.pid == getpid())
        drop_held();
    journal.pid = getpid();
    journal.n = 0;
    journal.torn = journal.torn && sink_is_same(fd, journal.sink.fd);
    sink_open(&journal.sink, fd);
}

bool log_wants(enum log_level level)
{
    return level <= log_level;
}

/* ---- writing, without ever waiting */

/* A forked child drops the copy of its parent's held lines: the parent writes them. */
static void log_take_over(void)
{
    pid_t self = getpid();

    if (journal.pid == self)
        return;
    log_to_fd(journal.sink.fd);
    journal.lost = journal.told = journal.counted = 0;
}

/* Writes as many bytes as possible; returns their number. *error: why not all, or 0. */
static size_t write_some(const char *p, size_t n, int *error)
{
    size_t done = 0;

    *error = 0;
    while (done < n && *error == 0) {
        ssize_t sent = sink_write(&journal.sink, p + done, n - done);

        if (sent > 0)
            done += (size_t)sent;
        else
            *error = sent < 0 ? errno : EAGAIN;
    }
    if (done > 0)
        journal.torn = p[done - 1] != '\n';
    return done;
}

/* After such an error nobody will ever read what is written there, so it is lost. */
static bool is_dead(int error)
{
    return error == EPIPE || error == EBADF || error == EIO || error == EINVAL;
}

static void write_held(void)
{
    int error;
    size_t done = write_some(journal.held, journal.n, &error);

    journal.n -= done;
    memmove(journal.held, journal.held + done, journal.n);
    if (error && is_dead(error))
        drop_held();
    journal.retry_ms = clock_mono_ms() + LOG_RETRY_MS;
}

static void log_hold(const char *line, size_t n, int error)
{
    if (is_dead(error) || n > sizeof journal.held - journal.n) {
        journal.lost += count_lines(line, n);
        return;
    }
    if (journal.n == 0)
        journal.retry_ms = clock_mono_ms() + LOG_RETRY_MS;
    memcpy(journal.held + journal.n, line, n);
    journal.n += n;
}

/* The rest of a half line was lost: without this the next line would be read as part of it. */
static void end_half_line(void)
{
    int error;

    if (write_some("\n", 1, &error) == 0 && !is_dead(error))
        log_hold("\n", 1, error);
}

static void write_line(const char *line, size_t n)
{
    int error = EAGAIN;
    size_t done = 0;

    if (journal.n > 0 && clock_mono_ms() >= journal.retry_ms)
        write_held();
    if (journal.n == 0 && journal.torn)
        end_half_line();
    if (journal.n == 0)
        done = write_some(line, n, &error);
    if (done < n)
        log_hold(line + done, n - done, error);
}

static void tell_lost(void)
{
    uint64_t lost = journal.lost;

    if (journal.n > 0 || lost == journal.told)
        return;
    log_warn("log lines lost: %llu; the reader was too slow, or they could not be written",
             (unsigned long long)(lost - journal.told));
    if (journal.lost == lost)
        journal.told = lost;
    journal.lost = lost; /* this line itself does not count as lost */
    journal.retry_ms = clock_mono_ms() + LOG_RETRY_MS;
}

void log_flush(void)
{
    log_take_over();
    if (journal.n > 0)
        write_held();
    tell_lost();
}

void log_flush_due(uint64_t now_ms)
{
    if ((journal.n > 0 || journal.lost != journal.told) && now_ms >= journal.retry_ms)
        log_flush();
}

uint64_t log_lost_since(void)
{
    uint64_t n = journal.lost - journal.counted;

    journal.counted = journal.lost;
    return n;
}

static void put_line(char line[LOG_LINE_MAX], int n)
{
    size_t len = n < 0 ? 0 : (size_t)n < LOG_LINE_MAX ? (size_t)n : LOG_LINE_MAX - 1;

    if (len == 0)
        return;
    line[len - 1] = '\n';
    log_take_over();
    write_line(line, len);
}

void log_plain(const char *fmt, ...)
{
    char text[LOG_TEXT_MAX], line[LOG_LINE_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    int n = (int)escape_text(line, sizeof line - 1, str_from(text), ESCAPE_LINE);
    line[n++] = '\n';
    put_line(line, n);
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char text[LOG_TEXT_MAX], safe[LOG_LINE_MAX - LOG_FRAME], line[LOG_LINE_MAX];
    char when[CLOCK_ISO_SIZE];
    const char *form = log_format == LOG_FORMAT_JSON
                           ? "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"pid\":%d,"
                             "\"message\":\"%s\"}\n"
                           : "%s %s %s[%d]: %s\n";
    va_list ap;

    if (!log_wants(level))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    escape_text(safe, sizeof safe, str_from(text),
                log_format == LOG_FORMAT_JSON ? ESCAPE_JSON : ESCAPE_LINE);
    clock_iso(when, clock_wall_ms());
    int n = snprintf(line, sizeof line, form, when, level_names[level], log_process,
                     (int)getpid(), safe);
    put_line(line, n);
}

bool log_gate_open(struct log_gate *gate)
{
    uint64_t now = clock_mono_ms();

    if (now < gate->next_ms) {
        gate->held++;
        return false;
    }
    if (gate->held)
        log_warn("the next message was suppressed %llu time%s", (unsigned long long)gate->held,
                 str_plural(gate->held));
    gate->held = 0;
    gate->next_ms = now + LOG_GATE_MS;
    return true;
}

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    log_error("bug: CHECK(%s) failed at %s:%d", expr, file, line);
    __builtin_trap();
}
