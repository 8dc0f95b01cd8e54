/* Lists of system calls that more than one kind of process does without (sandbox.h). */
#ifndef BASE_SANDBOX_RULES_H
#define BASE_SANDBOX_RULES_H

#include "base/sandbox.h"

/* Calls that start another program. */
extern const char sandbox_programs[];

/* Calls that take the pid of another process, for any purpose: signals, tracing, memory,
 * scheduling. Calls that a process also needs for itself are in sandbox_forbid_others(). */
extern const char sandbox_strangers[];

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
