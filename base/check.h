/* Assertions that stay on in every build.
 *
 * CHECK() is for our own bugs only: errors that a peer, a file or the host can
 * cause are handled with a return code. A failed check ends this process; the
 * supervisor starts a new one, and the other processes keep running. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

_Noreturn void check_failed(const char *expr, const char *file, int line);

#define CHECK(expr) \
    (__builtin_expect(!!(expr), 1) ? (void)0 : check_failed(#expr, __FILE__, __LINE__))

#endif
