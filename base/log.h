/* The log of events: one line, one write(2), to standard error. Never used on
 * the path of a request that goes well; the access log is worker/log/access.h.
 *
 * No call here ever waits for a reader (base/sink.h). What is not taken at once is
 * held, up to LOG_HELD bytes, and tried again by log_flush_due() and the lines that
 * follow; beyond that lines are lost, counted, and the count is told as soon as
 * lines are taken again.
 *
 * Any process, one thread each. The text is escaped, so that bytes of a peer
 * cannot forge a line. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Says how to write, and under which process name ("worker 0"). Until then:
 * text, info, "pasgate". The name is copied. */
void log_init(enum log_level level, enum log_format format, const char *process);

/* Sends the lines to another descriptor (not owned). Default: 2. What is held is forgotten. */
void log_to_fd(int fd);

enum { LOG_HELD = 64 * 1024 /* bytes of lines that nobody took yet, for each process */ };

/* Once per round of a process's loop: tries again what is held. Costs nothing else. */
void log_flush_due(uint64_t now_ms);
/* Now: the end of a process. Never waits. */
void log_flush(void);

/* Lines that this process has lost since the last call: for a counter. */
uint64_t log_lost_since(void);

/* One line as it is, without time and level, unescaped: errors of the configuration at start.
 */
void log_plain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

bool log_wants(enum log_level level);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) \
    (log_wants(LOG_LEVEL_DEBUG) ? log_line(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void)0)

/* For host trouble that would repeat (no descriptors, full disk): says yes at
 * most once in 10 s per gate, and counts what it held back.
 *   static struct log_gate gate;
 *   if (log_gate_open(&gate)) log_warn("accept: %s", strerror(errno)); */
struct log_gate {
    uint64_t next_ms;
    uint64_t held;
};
bool log_gate_open(struct log_gate *gate);

#endif
