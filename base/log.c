#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

enum {
    LOG_TEXT_MAX = 2048,             /* bytes of one message before escaping */
    LOG_LINE_MAX = LOG_TEXT_MAX * 6, /* every byte could become \u00xx */
    LOG_GATE_MS = 10000,
};

static enum log_level log_level = LOG_LEVEL_INFO;
static enum log_format log_format = LOG_FORMAT_TEXT;
static char log_process[32] = "pasgate";
static int log_fd = STDERR_FILENO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_init(enum log_level level, enum log_format format, const char *process)
{
    log_level = level;
    log_format = format;
    snprintf(log_process, sizeof log_process, "%s", process);
}

void log_to_fd(int fd)
{
    log_fd = fd;
}

bool log_wants(enum log_level level)
{
    return level <= log_level;
}

/* Escapes by the rules of JSON, which also suit a text line. */
static size_t escape(char *out, size_t room, const char *text)
{
    size_t n = 0;

    for (const unsigned char *p = (const unsigned char *)text; *p && n + 7 < room; p++) {
        if (*p == '\n')
            n += (size_t)sprintf(out + n, "\\n");
        else if (*p < 0x20 || *p == 0x7f)
            n += (size_t)sprintf(out + n, "\\u%04x", *p);
        else if (log_format == LOG_FORMAT_JSON && (*p == '"' || *p == '\\'))
            n += (size_t)sprintf(out + n, "\\%c", *p);
        else
            out[n++] = (char)*p;
    }
    out[n] = '\0';
    return n;
}

static void write_line(const char *line, size_t n)
{
    /* A log that cannot be written must not stop the service: there is no one
     * left to tell. */
    ssize_t sent = write(log_fd, line, n);
    (void)sent;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char text[LOG_TEXT_MAX], safe[LOG_LINE_MAX], line[LOG_LINE_MAX + 160], when[CLOCK_ISO_SIZE];
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
    escape(safe, sizeof safe, text);
    clock_iso(when, clock_wall_ms());
    int n = snprintf(line, sizeof line, form, when, level_names[level], log_process,
                     (int)getpid(), safe);
    write_line(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

bool log_gate_open(struct log_gate *gate)
{
    uint64_t now = clock_mono_ms();

    if (now < gate->next_ms) {
        gate->held++;
        return false;
    }
    if (gate->held)
        log_warn("the next message was held back %llu times", (unsigned long long)gate->held);
    gate->held = 0;
    gate->next_ms = now + LOG_GATE_MS;
    return true;
}

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    log_error("bug: CHECK(%s) failed at %s:%d", expr, file, line);
    __builtin_trap();
}
