/* What a process may no longer ask of the kernel: filters of system calls (seccomp), and a
 * folder that it cannot open (Landlock). Neither is ever undone; both go on over fork() and
 * exec(), add up when called again, and set no_new_privs. One thread.
 *
 * What is forbidden is a list, and fails with an error: a later version of a library that tries
 * something new finds it as before, or degrades, and certificates are still renewed; who took
 * the process over gets nothing by it. Only calls by another architecture's numbers kill. */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stddef.h>
#include <stdint.h>

/* The leak checker of a sanitized build forks, and traces its own process, at exit. */
#if defined __SANITIZE_ADDRESS__
#define SANDBOX_LEAK_CHECK 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define SANDBOX_LEAK_CHECK 1
#endif
#endif
#ifndef SANDBOX_LEAK_CHECK
#define SANDBOX_LEAK_CHECK 0
#endif

enum sandbox_when {
    SANDBOX_ALWAYS,
    SANDBOX_BITS,  /* (argument & mask) == value */
    SANDBOX_OTHER, /* argument != value */
    SANDBOX_ABOVE, /* argument > value */
};

/* Calls that are forbidden, or those with such an argument. */
struct sandbox_rule {
    const char
        *calls; /* names, a space between; what this architecture has not is passed over */
    int error;  /* what they fail with; 0: EPERM */
    enum sandbox_when when;
    unsigned arg; /* which one, from 0 */
    uint64_t mask, value;
};

/* 0; -1 with errno: nothing is forbidden, because the kernel has no filters (or no memory). */
int sandbox_forbid(const struct sandbox_rule *rules, size_t n);

/* The same for the calls of rule[0], where the arguments are as both rules say. */
int sandbox_forbid_both(const struct sandbox_rule rule[2]);

/* Whether sandbox_hide() can work here. */
int sandbox_can_hide(void);

/* From now on this process can open nothing at this path, nor write to any file; it reads what
 * was beside it, and beside each folder above it, when this was called, and all below that.
 * Those folders themselves cannot be listed. 0; -1 with errno: nothing is hidden. A path that
 * is not there is no error. */
int sandbox_hide(const char *path);

#endif
