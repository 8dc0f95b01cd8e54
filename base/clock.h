/* Clocks. Deadlines and ages use the monotonic clock, which nobody can set;
 * wall time is only for log lines, certificates and texts for people. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_read_us(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Microseconds and milliseconds since boot, without suspend; the same in all our processes. */
static inline uint64_t clock_mono_us(void)
{
    return clock_read_us(CLOCK_MONOTONIC);
}

static inline uint64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

/* Milliseconds since boot, including the time during which the machine was suspended. */
static inline uint64_t clock_boot_ms(void)
{
    return clock_read_us(CLOCK_BOOTTIME) / 1000;
}

/* Milliseconds since 1970, UTC. */
static inline uint64_t clock_wall_ms(void)
{
    return clock_read_us(CLOCK_REALTIME) / 1000;
}

/* Writes "2026-11-22T10:15:30.123Z" and a NUL into out; returns out. Any value is accepted:
 * times after the year 9999 are shown as the last millisecond of that year. */
enum { CLOCK_ISO_SIZE = 25 };
char *clock_iso(char out[CLOCK_ISO_SIZE], uint64_t wall_ms);

/* Writes a duration in the unit that a person would use, rounded to the nearest: "40 seconds",
 * "15 minutes", "36 hours", "80 days", "53 years". Returns out. */
enum { CLOCK_SPAN_SIZE = 32 };
char *clock_span(char out[CLOCK_SPAN_SIZE], uint64_t ms);

#endif
