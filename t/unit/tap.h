/* tap.h: the Test Anything Protocol in a header, for the unit tests.
 *
 *     #include "t/unit/tap.h"
 *
 *     int main(void)
 *     {
 *         is_int(1 + 1, 2, "arithmetic %s", "holds");
 *         return done();
 *     }
 *
 * One process, one thread, no plan in advance: done() prints it, so prove tells
 * when a test died on the way. Each check prints one line and returns whether
 * it held; a failed one also tells file, line and both values.
 *
 *     ok(cond, fmt, ...)                      pass(fmt, ...)   fail(fmt, ...)
 *     is_int(got, want, fmt, ...)             integers
 *     is_str(got, want, fmt, ...)             C strings; NULL equals NULL only
 *     is_mem(got, n, want, n, fmt, ...)       bytes with a length, NULs allowed
 *     diag(fmt, ...)                          a comment
 */
#ifndef T_UNIT_TAP_H
#define T_UNIT_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define ok(cond, ...) tap_ok(__FILE__, __LINE__, (cond), __VA_ARGS__)
#define pass(...)     tap_ok(__FILE__, __LINE__, true, __VA_ARGS__)
#define fail(...)     tap_ok(__FILE__, __LINE__, false, __VA_ARGS__)
#define is_int(got, want, ...) \
    tap_int(__FILE__, __LINE__, (intmax_t)(got), (intmax_t)(want), __VA_ARGS__)
#define is_str(got, want, ...) tap_str(__FILE__, __LINE__, (got), (want), __VA_ARGS__)
#define is_mem(got, got_n, want, want_n, ...) \
    tap_mem(__FILE__, __LINE__, (got), (got_n), (want), (want_n), __VA_ARGS__)

#define TAP_CHECK(fmt_at) \
    __attribute__((format(printf, fmt_at, fmt_at + 1), unused)) static bool
#define TAP_SHOWN_BYTES 400 /* of a block that differs; enough to see where */

static int tap_count, tap_failed;

/* Prints a comment below the current test. */
__attribute__((format(printf, 1, 2), unused)) static void diag(const char *fmt, ...)
{
    va_list ap;

    fputs("# ", stdout);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

/* The line of one test; every check ends here. */
__attribute__((format(printf, 4, 0), unused)) static bool
tap_line(const char *file, int line, bool held, const char *fmt, va_list ap)
{
    if (tap_count == 0)
        setvbuf(stdout, NULL, _IOLBF, 0); /* what was printed survives a crash and a fork */
    printf("%sok %d - ", held ? "" : "not ", ++tap_count);
    vprintf(fmt, ap);
    putchar('\n');
    if (!held) {
        tap_failed++;
        diag("failed at %s:%d", file, line);
    }
    return held;
}

TAP_CHECK(4) tap_ok(const char *file, int line, bool held, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    tap_line(file, line, held, fmt, ap);
    va_end(ap);
    return held;
}

TAP_CHECK(5)
tap_int(const char *file, int line, intmax_t got, intmax_t want, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (!tap_line(file, line, got == want, fmt, ap))
        diag("got %jd, expected %jd", got, want);
    va_end(ap);
    return got == want;
}

TAP_CHECK(5)
tap_str(const char *file, int line, const char *got, const char *want, const char *fmt, ...)
{
    bool held = got && want ? strcmp(got, want) == 0 : got == want;
    va_list ap;

    va_start(ap, fmt);
    if (!tap_line(file, line, held, fmt, ap)) {
        diag("got      %s", got ? got : "(null)");
        diag("expected %s", want ? want : "(null)");
    }
    va_end(ap);
    return held;
}

/* Prints n bytes with everything unprintable as \xNN. */
__attribute__((unused)) static void tap_bytes(const char *what, const void *p, size_t n)
{
    const unsigned char *s = p;

    printf("# %s %zu bytes: ", what, n);
    for (size_t i = 0; i < n && i < TAP_SHOWN_BYTES; i++)
        if (s[i] >= 0x20 && s[i] < 0x7f && s[i] != '\\')
            putchar(s[i]);
        else
            printf("\\x%02x", s[i]);
    puts(n > TAP_SHOWN_BYTES ? "..." : "");
}

TAP_CHECK(7)
tap_mem(const char *file, int line, const void *got, size_t got_n, const void *want,
        size_t want_n, const char *fmt, ...)
{
    bool held = got_n == want_n && (got_n == 0 || memcmp(got, want, got_n) == 0);
    va_list ap;

    va_start(ap, fmt);
    if (!tap_line(file, line, held, fmt, ap)) {
        tap_bytes("got     ", got, got_n);
        tap_bytes("expected", want, want_n);
    }
    va_end(ap);
    return held;
}

/* Prints the plan. The value is for main() to return: 0 when all held. */
__attribute__((unused)) static int done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed ? 1 : 0;
}

#endif
