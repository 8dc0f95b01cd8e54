#include "acmed/hook.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OURS_MAX = 8,
    ENV_MAX = 256,          /* variables that are passed on */
    NAMES_MAX = 100 * 255,  /* bytes of all names */
    VALUE_MAX = 4096 + 256, /* of any other: a path */
};

struct environment {
    char *v[ENV_MAX + OURS_MAX + 1];
    size_t n, ours; /* the first `ours` are to be freed */
};

static void set(struct environment *env, const char *name, const char *value)
{
    if (asprintf(&env->v[env->n], "PASGATE_%s=%.*s", name, VALUE_MAX, value ? value : "") >= 0)
        env->ours = ++env->n;
}

static void set_names(struct environment *env, const struct hook_call *call)
{
    size_t cap = NAMES_MAX + sizeof "PASGATE_NAMES=", n;
    char *text = malloc(cap);

    if (!text)
        return;
    n = (size_t)snprintf(text, cap, "PASGATE_NAMES=");
    for (size_t i = 0; i < call->n_names && n < cap; i++)
        n += (size_t)snprintf(text + n, cap - n, "%s%s", i ? " " : "", call->names[i]);
    env->v[env->n] = text;
    env->ours = ++env->n;
}

static void fill(struct environment *env, const struct hook_call *call)
{
    *env = (struct environment){0};
    set(env, "EVENT", call->event);
    set(env, "CERTIFICATE", call->certificate);
    set_names(env, call);
    set(env, "CHAIN", call->chain);
    set(env, "KEY", call->key);
    set(env, "ERROR", call->error);
    if (call->dns_name) {
        set(env, "DNS_NAME", call->dns_name);
        set(env, "DNS_VALUE", call->dns_value);
    }
    for (char **e = environ; *e && env->n < ENV_MAX; e++)
        if (strncmp(*e, "PASGATE_", 8) != 0)
            env->v[env->n++] = *e;
    env->v[env->n] = NULL;
}

/* Nothing of ours but stderr: the other descriptors are close-on-exec; a group of its own, so
 * that what it started ends with it; and no signal ignored, as acmed does. */
static int spawn(pid_t *pid, const char *program, char **env)
{
    char *argv[] = {(char *)(uintptr_t)program, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int error;

    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    error = posix_spawn(pid, program, &files, &attributes, argv, env);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    return error;
}

int hook_start(struct hook *hook, const struct hook_call *call, uint64_t now_ms)
{
    struct environment env;
    int error;

    if (hook->pid) {
        errno = EBUSY;
        return -1;
    }
    fill(&env, call);
    error = spawn(&hook->pid, call->program, env.v);
    for (size_t i = 0; i < env.ours; i++)
        free(env.v[i]);
    if (error)
        hook->pid = 0;
    hook->deadline_ms = now_ms + HOOK_DEADLINE_MS;
    errno = error;
    return error ? -1 : 0;
}

enum hook_result hook_poll(struct hook *hook, uint64_t now_ms)
{
    int status;
    pid_t got;

    if (!hook->pid)
        return HOOK_IDLE;
    got = waitpid(hook->pid, &status, WNOHANG);
    if (got == 0 && now_ms < hook->deadline_ms)
        return HOOK_RUNS;
    if (got == 0) {
        hook_release(hook);
        return HOOK_BAD;
    }
    hook->pid = 0;
    return got > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? HOOK_GOOD : HOOK_BAD;
}

void hook_release(struct hook *hook)
{
    if (!hook->pid)
        return;
    kill(-hook->pid, SIGKILL);
    kill(hook->pid, SIGKILL);
    waitpid(hook->pid, NULL, 0);
    hook->pid = 0;
}
