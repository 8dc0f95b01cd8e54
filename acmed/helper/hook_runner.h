/* The process that starts the operator's program for acmed, which itself may not. It is forked
 * before acmed has read a key, holds a socket and nothing else, and starts one program only. A
 * child of it looks after each run.
 *
 *   acmed -> runner   its program, then variables of its environment, each with a NUL; and a
 *                     socket
 *   child -> acmed    struct hook_started on that; later struct hook_ended
 *   acmed -> child    any byte: kill it
 *
 * When acmed has died, what runs may end in peace, until its deadline; but for a record of DNS:
 * what a successor does with that may not be undone by who comes late. acmed/helper/hook.c
 * only. */
#ifndef ACMED_HELPER_HOOK_RUNNER_H
#define ACMED_HELPER_HOOK_RUNNER_H

#include <sys/types.h>

enum { HOOK_MESSAGE_MAX = 64 * 1024 }; /* bytes: helper/hook.c sends less */

struct hook_started {
    int error; /* errno; 0: it runs */
    pid_t pid;
};

enum { HOOK_LAST = 96 }; /* bytes of its last line that are told, with a NUL */

struct hook_ended {
    int status;           /* as of waitpid() */
    char last[HOOK_LAST]; /* the last line that it printed, in any bytes */
};

_Noreturn void hook_runner_main(int sock, const char *program);

#endif
