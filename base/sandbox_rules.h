/* Lists of system calls that more than one kind of process does without (sandbox.h). */
#ifndef BASE_SANDBOX_RULES_H
#define BASE_SANDBOX_RULES_H

/* Calls that start another program. */
extern const char sandbox_programs[];

/* Calls that take the pid of another process, for any purpose: signals, tracing, memory,
 * scheduling. Calls that a process also needs for itself are in sandbox_forbid_others(). */
extern const char sandbox_strangers[];

/* Calls that affect the whole system, or that could bypass a filter. */
extern const char sandbox_system_wide[];

/* The same, but libraries try them first and fall back to an older call on ENOSYS. */
extern const char sandbox_newer[];

/* Forbids the pid of another process as an argument of calls that must stay allowed: tgkill
 * except to this process, limits and scheduling of others, and SIGIO that the kernel would send
 * on our behalf. Each process calls it for itself, because the filter contains its pid: what a
 * process may do to itself, its children may not do to it. 0; -1 with errno, as
 * sandbox_forbid(). */
int sandbox_forbid_others(void);

/* Tries most of these calls, and of sandbox_strangers, on a process of our uid (our parent), in
 * ways that change nothing. Returns the name of the first call that is not forbidden, or NULL.
 */
const char *sandbox_try_others(void);

#endif
