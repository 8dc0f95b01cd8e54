/* Limits what a process may ask of the kernel: system call filters (seccomp), and a directory
 * that it cannot open (Landlock). Neither can be undone; both are inherited over fork() and
 * exec(), add up when called again, and set no_new_privs. One thread.
 *
 * A filter lists what is forbidden, and a forbidden call fails with an error. So a later
 * version of a library that uses a new call still works, or falls back, and certificates are
 * still renewed; an attacker in the process gains nothing by that. Only a call by another
 * architecture's numbers kills the process. */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* At exit, the leak checker of a sanitized build forks and traces its own process. */
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

/* Forbidden calls: always, or only with such an argument. */
struct sandbox_rule {
    const char
        *calls; /* names, separated by spaces; names that this architecture lacks are skipped */
    int error;  /* errno of the failed call; 0: EPERM */
    enum sandbox_when when;
    unsigned arg; /* index of the argument, from 0 */
    uint64_t mask, value;
};

/* False: the kernel has no filters, and no process of this host can be confined by them. Where
 * it has them, a failure of the calls below is an error. */
bool sandbox_has_filters(void);

/* 0; -1 with errno: nothing is forbidden. */
int sandbox_forbid(const struct sandbox_rule *rules, size_t n);

/* Forbids the calls of rule[0] where the conditions of both rules are met. */
int sandbox_forbid_both(const struct sandbox_rule rule[2]);

/* True if the kernel supports sandbox_hide(). */
int sandbox_can_hide(void);

/* From now on this process can open nothing at or below this path, and can write to no file. It
 * can read the entries that existed at the time of the call beside the path, and beside each
 * directory above it, with everything below those entries. The directories above the path
 * cannot be listed themselves. 0; -1 with errno: nothing is hidden. A path that does not exist
 * is no error. */
int sandbox_hide(const char *path);

#endif
