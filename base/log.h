/* The event log: one line, one write(2), to standard error. Never used on the
 * path of a request that succeeds; the access log is worker/log/access.h.
 *
 * No call here ever waits for a reader (base/sink.h). Lines that cannot be written at
 * once are held, up to LOG_HELD bytes, and retried by log_flush_due() and by later
 * lines. Lines beyond that are lost and counted, and the count is logged as soon as
 * lines can be written again.
 *
 * Any process, one thread each. The text is escaped, so that a peer's bytes cannot
 * forge a line. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Sets level, format and process name ("worker 0"). Before that: info, text and
 * "pasgate". The name is copied. */
void log_init(enum log_level level, enum log_format format, const char *process);

/* Sends the lines to another descriptor (not owned). Default: 2. Held lines are dropped and
 * counted as lost. If half a line was written to the same file before, it is ended first. */
void log_to_fd(int fd);

enum { LOG_HELD = 64 * 1024 /* bytes of lines that are not written yet, per process */ };

/* Call once per round of the event loop: retries held lines when a retry is due. */
void log_flush_due(uint64_t now_ms);
/* Retries now, at the end of a process. Never waits. */
void log_flush(void);

/* Lines that this process has lost since the last call: for a counter. */
uint64_t log_lost_since(void);

/* One line without time, level and process; escaped like any other, in either format. For
 * errors of the configuration at start. */
void log_plain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

bool log_wants(enum log_level level);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) \
    (log_wants(LOG_LEVEL_DEBUG) ? log_line(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void)0)

/* For problems of the host that would repeat (no descriptors, full disk): returns true
 * at most once in 10 s per gate, and counts the suppressed messages.
 *   static struct log_gate gate;
 *   if (log_gate_open(&gate)) log_warn("accept: %s", strerror(errno)); */
struct log_gate {
    uint64_t next_ms;
    uint64_t held;
};
bool log_gate_open(struct log_gate *gate);

#endif
