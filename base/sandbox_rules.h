/* Lists of system calls that more than one kind of process does without (sandbox.h). */
#ifndef BASE_SANDBOX_RULES_H
#define BASE_SANDBOX_RULES_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include "base/sandbox.h"

/* Calls that start another program. */
extern const char sandbox_programs[];

/* Calls that take the pid of another process, for any purpose: signals, tracing, memory,
 * scheduling. Calls that a process also needs for itself are in sandbox_forbid_others(). */
extern const char sandbox_strangers[];

/* Calls that change files by their names or descriptors. */
extern const char sandbox_files[];

/* Calls that a process without files of its own could put code or data aside with, System V
 * IPC among them. */
extern const char sandbox_memory[];

/* Calls that change the process's identity. */
extern const char sandbox_identity[];

/* Rules, to be listed in an array. Reading stays allowed, writing to what is open, too. */
#define SANDBOX_NO_WRITING                                                      \
    {.calls = sandbox_files}, {"open", 0, SANDBOX_BITS, 1, O_WRONLY, O_WRONLY}, \
        {"open", 0, SANDBOX_BITS, 1, O_RDWR, O_RDWR},                           \
        {"open", 0, SANDBOX_BITS, 1, O_CREAT, O_CREAT},                         \
        {"open", 0, SANDBOX_BITS, 1, O_TRUNC, O_TRUNC},                         \
        {"openat", 0, SANDBOX_BITS, 2, O_WRONLY, O_WRONLY},                     \
        {"openat", 0, SANDBOX_BITS, 2, O_RDWR, O_RDWR},                         \
        {"openat", 0, SANDBOX_BITS, 2, O_CREAT, O_CREAT},                       \
    {                                                                           \
        "openat", 0, SANDBOX_BITS, 2, O_TRUNC, O_TRUNC                          \
    }

/* Threads stay allowed: libcurl resolves names in one. The flags of clone3() are in memory,
 * where a filter cannot see them, so it is refused as unknown; libc then uses clone(). */
#define SANDBOX_NO_PROCESSES                                       \
    {.calls = "fork vfork"}, {.calls = "clone3", .error = ENOSYS}, \
    {                                                              \
        "clone", 0, SANDBOX_BITS, 0, CLONE_THREAD, 0               \
    }

/* Only the families of IPv4 and IPv6, netlink and unix(7). */
#define SANDBOX_FEW_SOCKETS                                            \
    {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_AX25},          \
        {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_IPX},       \
        {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_APPLETALK}, \
        {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_NETROM},    \
        {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_BRIDGE},    \
        {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_ATMPVC},    \
        {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_X25},       \
        {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_ROSE},      \
        {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_DECnet},    \
        {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_NETBEUI},   \
        {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_SECURITY},  \
        {"socket", EACCES, SANDBOX_BITS, 0, UINT32_MAX, AF_KEY},       \
    {                                                                  \
        "socket", EACCES, SANDBOX_ABOVE, 0, 0, AF_NETLINK              \
    }

/* Calls that affect the whole system, or that could bypass a filter. */
extern const char sandbox_system_wide[];

/* The same, but libraries try them first and fall back to an older call on ENOSYS. */
extern const char sandbox_newer[];

/* The rules of sandbox_forbid_others(), for the process that asks. */
enum { SANDBOX_OTHERS = 11 };
void sandbox_rules_others(struct sandbox_rule rules[SANDBOX_OTHERS]);

/* Forbids the pid of another process as an argument of calls that must stay allowed: tgkill
 * except to this process, limits and scheduling of others, and SIGIO that the kernel would send
 * on our behalf. Each process calls it for itself, because the filter contains its pid: what a
 * process may do to itself, its children may not do to it. 0; -1 with errno, as
 * sandbox_forbid(). */
int sandbox_forbid_others(void);

/* Tries each of these calls, and of sandbox_strangers, in ways that change nothing. Returns the
 * name of the first call that is not forbidden, or NULL. */
const char *sandbox_try_others(void);

#endif
