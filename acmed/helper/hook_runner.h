/* The process that starts the operator's program for acmed, which itself must not. It is forked
 * before acmed has read a key, holds a socket and nothing else, and starts one program only. It
 * forks a child to supervise each run.
 *
 *   acmed -> runner   the program, environment variables, each NUL-terminated; a socket
 *   child -> acmed    on that socket: struct hook_started; later struct hook_ended
 *   acmed -> child    any byte: kill the run
 *
 * When acmed dies, a run may continue until its deadline, except for DNS records: a late run
 * must not undo what acmed's successor does. acmed/helper/hook.c only. */
#ifndef ACMED_HELPER_HOOK_RUNNER_H
#define ACMED_HELPER_HOOK_RUNNER_H

#include <sys/types.h>

#include "acmed/helper/hook_output.h"

enum { HOOK_MESSAGE_MAX = 64 * 1024 }; /* bytes; helper/hook.c sends less */

struct hook_started {
    int error; /* errno; 0: it runs */
    pid_t pid;
};

struct hook_ended {
    int status;           /* as of waitpid() */
    char last[HOOK_LAST]; /* the last output line that is not blank, any bytes */
};

_Noreturn void hook_runner_main(int sock, const char *program);

#endif
