/* Lists of system calls that more than one kind of process has no need for (sandbox.h). */
#ifndef BASE_SANDBOX_RULES_H
#define BASE_SANDBOX_RULES_H

/* Starts another program. */
extern const char sandbox_programs[];

/* Takes the pid of somebody else, whatever for: signals, tracing, memory, scheduling. Calls
 * that are about oneself as well are in sandbox_forbid_others(). */
extern const char sandbox_strangers[];

/* Is about the whole system, or a way around a filter. */
extern const char sandbox_system_wide[];

/* The same, but libraries try them first: with ENOSYS they take the older call. */
extern const char sandbox_newer[];

/* Forbids what has another process' pid among its arguments where the call itself has to stay:
 * tgkill but for oneself, limits and scheduling of others, and SIGIO that the kernel would send
 * in our name. To be called anew in each process: what one may do to itself, its children may
 * not do to it. 0; -1 with errno, as sandbox_forbid(). */
int sandbox_forbid_others(void);

/* Tries each of them, and of sandbox_strangers, on a process of our uid (our parent), in ways
 * that change nothing. The name of the first that is not forbidden, or NULL. */
const char *sandbox_try_others(void);

#endif
