/* The process that starts the operator's program for acmed, which itself may not. It is forked
 * before acmed has read a key, holds a socket and nothing else, and starts one program only. A
 * child of it looks after each run.
 *
 *   acmed -> runner   its program, then variables of its environment, each with a NUL; and a
 * socket child -> acmed    struct hook_started on that; later one int, its status as of
 * waitpid() acmed -> child    any byte: kill it
 *
 * When acmed has died, what runs may end in peace, until its deadline. acmed/hook.c only. */
#ifndef ACMED_HOOK_RUNNER_H
#define ACMED_HOOK_RUNNER_H

#include <sys/types.h>

enum { HOOK_MESSAGE_MAX = 64 * 1024 }; /* bytes: hook.c sends less */

struct hook_started {
    int error; /* errno; 0: it runs */
    pid_t pid;
};

_Noreturn void hook_runner_main(int sock, const char *program);

#endif
